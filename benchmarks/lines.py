"""All lines of the table, and what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial

from benchmarks import attention, dicom, encoder, everything, exported, page, tiny_vit
from benchmarks.folders import SCORE_PEER, check, score
from benchmarks.line import Line, Target
from benchmarks.measure import Device
from benchmarks.prediction import picture, volume
from benchmarks.scene import scene
from benchmarks.start_up import start_up
from benchmarks.training_step import training_step

_TRANSFORMERS = "transformers"
_AUTHORS = "segment-anything 1.0"
_UPSTREAM = "TinyViT in its authors' operations"
_LOOP = "loop over transformers' SamModel, a box per class"

LINES: tuple[Line, ...] = (
    Line(
        "encoder-512",
        "encoder, ViT-B, 512 px",
        encoder.encoder(encoder.transformers_of, 512),
        _TRANSFORMERS,
        (Target("times", 1.4),),
        agreement=encoder.agreement,
    ),
    Line(
        "encoder-1024",
        "encoder, ViT-B, 1024 px",
        encoder.encoder(encoder.transformers_of, 1024),
        _TRANSFORMERS,
        (Target("times", 2.2), Target("memory", 0.4)),
        agreement=encoder.agreement,
    ),
    Line(
        "encoder-512-authors",
        "encoder, ViT-B, 512 px",
        encoder.encoder(encoder.segment_anything_of, 512),
        _AUTHORS,
        needs=("segment_anything",),
    ),
    Line(
        "encoder-1024-authors",
        "encoder, ViT-B, 1024 px",
        encoder.encoder(encoder.segment_anything_of, 1024),
        _AUTHORS,
        needs=("segment_anything",),
        usual=False,
    ),
    Line(
        "encoder-256-lite",
        "encoder, lite-medsam, 256 px",
        tiny_vit.encoder(256),
        _UPSTREAM,
        (Target("times", 2.0),),
        agreement=tiny_vit.agreement,
    ),
    Line(
        "lora-512",
        "LoRA r=4 step, ViT-B, 512 px, batch 1, 14 classes",
        training_step(512, 1, 14),
        "transformers + peft",
        (Target("times", 1.5), Target("memory", 0.5)),
    ),
    Line(
        "lora-256-lite",
        "LoRA r=4 step, lite-medsam, 256 px, batch 4, 14 classes",
        tiny_vit.training_step(256, 4, 14),
        f"{_UPSTREAM} + peft",
    ),
    Line(
        "predict",
        "volume of 3 x 512 x 512 end to end, ViT-B, 512 px, 14 classes",
        volume("sam-vit-b", 512, 3),
        _LOOP,
    ),
    Line(
        "predict-overhead",
        "volume of 100 x 512 x 512 end to end, lite-medsam, 128 px, 14 classes",
        volume("lite-medsam", 128, 100),
        targets=(Target("overhead", 0.1),),
    ),
    Line(
        "predict-picture",
        "picture of 4096 x 4096 end to end, lite-medsam, 256 px, 14 classes",
        picture("lite-medsam", 256, 4096),
        usual=False,
    ),
    *(
        Line(
            f"image-{name}",
            "segmenter, images to class logits, lite-medsam, 256 px, batch 1, 14 classes",
            exported.image("lite-medsam", 256, name),
            f"{title} with the exported network",
            needs=needs,
            agreement=partial(exported.agreement, name),
        )
        for name, title, needs in (
            ("onnxruntime", "ONNX Runtime", ("onnx", "onnxruntime")),
            ("openvino", "OpenVINO", ("onnx", "onnxruntime", "openvino")),
        )
    ),
    Line(
        "scene",
        "GeoTIFF of 6000 x 6000 x 4 of 16 bits end to end, lite-medsam, 64 px, windows of 512, 6 classes",
        scene("lite-medsam", 64, 6000, 6000, 512),
        "loop with full-array stitching",
        needs=("rasterio",),
    ),
    Line(
        "everything",
        "segment everything, ViT-B, 512 x 512, 10 x 10 points, 30 % of the masks kept",
        everything.everything("sam-vit-b", 512, 10, 0.3),
        "transformers' decoder",
        (Target("times", 2.0),),
        agreement=everything.agreement,
    ),
    Line(
        "check",
        "check of 200 volumes of 128 x 128 x 32",
        check(200, (128, 128, 32)),
        "a loop that only reads the files",
    ),
    Line(
        "score",
        "score of 20 volumes of 128 x 128 x 64 (512 x 512 x 200 with --full), 13 organs",
        score(20, (128, 128, 64), (512, 512, 200)),
        SCORE_PEER,
    ),
    Line(
        "dicom-series",
        "DICOM series of 300 x 512 x 512 read in HU",
        dicom.series(300, 512),
        "SimpleITK",
        needs=("pydicom", "SimpleITK"),
        agreement=dicom.agreement,
    ),
    Line("start-help", "samtailor --help", start_up("--help"), "python -c 'import torch'"),
    Line("start-version", "samtailor --version", start_up("--version"), "python -c 'import torch'"),
    Line(
        "start-app",
        "samtailor app, lite-medsam, to the first page",
        page.start,
        "python -c 'import torch'",
        needs=("starlette", "uvicorn"),
    ),
    Line(
        "click",
        "click on the page, lite-medsam, 256 px, 14 classes, slice of 512 x 512",
        page.click("lite-medsam", 256, 512),
        "Segmenter.refine for each click",
        (Target("times", 2.0),),
        needs=("starlette", "httpx2"),
    ),
    *(
        Line(
            f"side-{side}",
            "encoder, ViT-B, by image side",
            encoder.encoder(encoder.transformers_of, side),
            grows="image side, pixels",
            at=side,
        )
        for side in (256, 512, 1024, 2048)
    ),
    *(
        Line(
            f"classes-{classes}",
            "LoRA r=4 step, lite-medsam, 256 px, batch 1, by number of classes",
            tiny_vit.training_step(256, 1, classes),
            grows="classes",
            at=classes,
        )
        for classes in (2, 14, 50, 150)
    ),
    *(
        Line(
            f"slices-{slices}",
            "volume end to end, lite-medsam, 64 px, 14 classes, by number of slices",
            volume("lite-medsam", 64, slices),
            grows="slices of 512 x 512",
            at=slices,
        )
        for slices in (50, 100, 200, 400)
    ),
    *(
        Line(
            f"scene-{rows * columns // 1_000_000}",
            "sparse GeoTIFF, 4 bands of 16 bits, lite-medsam, 64 px, windows of 512, 6 classes, by millions of pixels",
            scene("lite-medsam", 64, rows, columns, 512),
            needs=("rasterio",),
            usual=False,
            grows="million pixels",
            at=rows * columns // 1_000_000,
        )
        for rows, columns in ((512, 512), (700, 30_000), (5_000, 30_000), (30_000, 30_000))
    ),
    *(
        Line(
            f"gpu-attention-{name}-{way}",
            f"attention of {work}, ViT-B, 1024 px, batch 2, bfloat16, {way}",
            attention.attention(attention.WAYS[way], areas, length),
            "fused kernel, whole bias as mask",
            device="cuda",
        )
        for name, work, areas, length in (("global", "the whole image", 2, 64), ("window", "25 windows", 50, 14))
        for way in attention.WAYS
    ),
    Line(
        "gpu-lora-1024",
        "LoRA r=4 step, ViT-B, 1024 px, batch 2, 14 classes, bfloat16",
        training_step(1024, 2, 14),
        "transformers + peft",
        (Target("rate", 0.5), Target("times", 2.5)),
        device="cuda",
    ),
    Line(
        "gpu-predict",
        "volume of 100 x 512 x 512 end to end, ViT-B, 512 px, 14 classes",
        volume("sam-vit-b", 512, 100),
        _LOOP,
        (Target("times", 3.0),),
        device="cuda",
    ),
)


def select(names: Sequence[str], device: Device) -> list[Line]:
    """Lines of a device by name or pattern ('encoder-*'), in the order of the table; the usual ones if none is named.

    Raises:
        ValueError: If a name or pattern fits no line of the device.
    """
    there = [line for line in LINES if line.device == device]
    for name in names:
        if not any(fnmatchcase(line.name, name) for line in there):
            expected = ", ".join(line.name for line in there)
            raise ValueError(f"--lines: expected names or patterns of {expected}; found '{name}'")
    if not names:
        return [line for line in there if line.usual]
    return [line for line in there if any(fnmatchcase(line.name, name) for name in names)]


def find(name: str) -> Line:
    """The line of that name."""
    return next(line for line in LINES if line.name == name)

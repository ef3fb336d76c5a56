"""Prediction of whole volumes and pictures, end to end: from loading the segmenter to the written label.

Weights are random: time and memory do not depend on them. Overhead is what the prediction takes beyond the network's
calls inside it, as a share of the wall time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import samtailor
from benchmarks.encoder import vit
from benchmarks.line import Place, Prepared, Side
from samtailor.data.intensity import CTWindow, Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.labels import LabelSpace
from samtailor.models.sam import sam_config
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import BASES, find_base
from samtailor.recipes import LoRA

SPACING = (0.8, 0.8, 2.5)
CLASSES = 14
_PICTURE_WINDOW = 512


def volume(base: str, size: int, slices: int, side: int = 512) -> Callable[[Side, Place], Prepared]:
    """A NIfTI volume in, a NIfTI label out.

    Args:
        base: Base model; the peer is SAM ViT-B whatever it is.
        size: Side of the network's input.
        slices: Slices of the volume.
        side: Rows and columns of a slice.
    """

    def prepare(which: Side, place: Place) -> Prepared:
        shape = (64, 64, max(2, slices // 50)) if place.small else (side, side, slices)
        source, input_size = place.folder / "volume.nii.gz", 64 if place.small else size
        write_volume(source, shape)
        if which == "peer":
            return peer(source, place, size)
        name = "lite-medsam" if place.small else base
        made_segmenter(name, place.folder, Preprocessing(CTWindow(), input_size, None, 1))
        return ours(source, place)

    return prepare


def picture(base: str, size: int, side: int) -> Callable[[Side, Place], Prepared]:
    """A large colour picture in windows of 512 pixels, in and out as PNG."""

    def prepare(which: Side, place: Place) -> Prepared:
        length, input_size = (1024, 64) if place.small else (side, size)
        made_segmenter(base, place.folder, Preprocessing(Range(), input_size, _PICTURE_WINDOW, 3))
        pixels = np.random.default_rng(0).integers(0, 255, (length // 8, length // 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((length, length)).save(place.folder / "scene.png")
        return ours(place.folder / "scene.png", place)

    return prepare


def ours(source: Path, place: Place) -> Prepared:
    """`samtailor.predict`, watched for the time inside the network."""
    inside = [time_in(SegmenterModel, method, place) for method in ("encode", "decode")]
    shares: list[float] = []

    def run() -> None:
        for seconds in inside:
            seconds.clear()
        start = time.perf_counter()
        samtailor.predict(
            place.folder / "segmenter", [source], place.folder / "out", device=place.device, overwrite=True
        )
        shares.append(1 - sum(map(sum, inside)) / (time.perf_counter() - start))

    return Prepared(run, facts=lambda: {"overhead": median(shares[1:] or shares)}, holder=place.holder)


def peer(source: Path, place: Place, size: int) -> Prepared:
    """What one writes with transformers' SamModel: slice by slice, one box per class, the best class of each pixel.

    As on our side, the network is loaded from disk in every run.
    """
    from transformers import SamModel

    whole = vit(size, place)
    SamModel(sam_config(whole)).save_pretrained(place.folder / "model")
    length = whole.image_size
    boxes = torch.tensor([0.0, 0.0, length, length], device=place.device).expand(1, CLASSES, 4)

    @torch.inference_mode()
    def run() -> None:
        model = SamModel.from_pretrained(place.folder / "model").eval().to(place.device)
        file = nib.load(source)
        values = torch.from_numpy(np.clip((file.get_fdata(dtype=np.float32) + 160) / 400, 0, 1))
        label = np.zeros(values.shape, np.uint8)
        for index in range(values.shape[2]):
            plane = values[None, None, :, :, index].to(place.device)
            image = F.interpolate(plane, (length, length), mode="bilinear", antialias=True).expand(1, 3, -1, -1)
            with torch.autocast(place.device, torch.bfloat16, enabled=place.device == "cuda"):  # as ours
                masks = model(image, input_boxes=boxes, multimask_output=False).pred_masks[:, :, 0]
            large = F.interpolate(masks.float(), label.shape[:2], mode="bilinear")
            label[:, :, index] = large[0].argmax(dim=0).cpu().numpy()
        nib.save(nib.Nifti1Image(label, file.affine), place.folder / "label.nii.gz")

    return Prepared(run, holder=place.holder)


def made_segmenter(name: str, home: Path, preprocessing: Preprocessing, classes: int = CLASSES) -> None:
    """An untrained LoRA segmenter of the base with random weights, and the base in the zoo."""
    base = find_base(name)
    torch.manual_seed(0)
    torch.save(base.build().state_dict(), home / "base.pth")
    BASES[name] = replace(base, weights=home / "base.pth", convert=dict)
    labels = LabelSpace.from_names(tuple(f"class {i}" for i in range(classes)))
    SegmenterModel.create(name, LoRA(), labels, preprocessing).save(home / "segmenter")


def write_volume(path: Path, shape: tuple[int, int, int]) -> None:
    """Noise in HU with the grain of a CT."""
    rng = np.random.default_rng(0)
    values = np.empty(shape, np.int16, order="F")
    for index in range(shape[2]):
        values[..., index] = rng.normal(0, 60, shape[:2])
    nib.save(nib.Nifti1Image(values, np.diag([*SPACING, 1])), path)


def time_in(owner: Any, method: str, place: Place) -> list[float]:
    """Wall seconds of every later call of a method, which on a GPU is waited for."""
    seconds: list[float] = []
    call = getattr(owner, method)

    def measured_call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = call(*args, **kwargs)
        if place.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        return result

    setattr(owner, method, measured_call)
    return seconds

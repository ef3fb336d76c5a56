"""A segmenter beside itself, as `samtailor export` writes it, in the runtimes that it is written for."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.encoder import image_of, without_gradients
from benchmarks.line import Place, Prepared, Side
from benchmarks.prediction import made_segmenter
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.segmenter import Segmenter

Runtime = Literal["onnxruntime", "openvino"]
_SMALL = 64


def image(base: str, size: int, runtime: Runtime) -> Callable[[Side, Place], Prepared]:
    """One image to its class logits, in single precision; with as many threads on both sides."""

    def prepare(side: Side, place: Place) -> Prepared:
        length = _SMALL if place.small else size
        segmenter, pixels = _segmenter(base, length, place.folder), image_of(length)
        if side == "ours":
            network = segmenter.model.for_inference()
            return Prepared(lambda: without_gradients(network, pixels))
        segmenter.export(place.folder / "export")
        run = _opened(place.folder / "export" / "segmenter.onnx", runtime)
        return Prepared(lambda: run(pixels.numpy()))

    return prepare


def _segmenter(base: str, size: int, folder: Path) -> Segmenter:
    made_segmenter(base, folder, Preprocessing(Range(), size, None, 3))
    return Segmenter(SegmenterModel.load(folder / "segmenter"))


def _opened(file: Path, runtime: Runtime) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The exported network as a function, with the threads that torch has."""
    if runtime == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {"images": images})[0]  # type: ignore[no-any-return]
    import openvino

    return in_openvino(openvino.Core().read_model(file), "f32")


def in_openvino(
    network: Any, precision: Literal["f32", "bf16"]
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A network that OpenVINO has read as a function, with the threads that torch has."""
    import openvino

    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": precision}
    compiled = openvino.compile_model(network, "CPU", settings)
    return lambda images: compiled(images)[0]  # type: ignore[no-any-return]


def agreement(runtime: Runtime) -> float:
    """Difference of both sides' logits, same weights, of the largest number; 64 px."""
    with tempfile.TemporaryDirectory() as home:
        segmenter, pixels = _segmenter("lite-medsam", _SMALL, Path(home)), image_of(_SMALL)
        segmenter.export(Path(home) / "export")
        expected = without_gradients(segmenter.model.for_inference(), pixels).numpy()
        found = _opened(Path(home) / "export" / "segmenter.onnx", runtime)(pixels.numpy())
    return float(np.abs(found - expected).max() / np.abs(expected).max())

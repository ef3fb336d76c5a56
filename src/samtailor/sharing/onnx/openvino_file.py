"""A network in OpenVINO's own format, by way of ONNX."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from samtailor.extras import require_extra
from samtailor.sharing.onnx.tracing import NetworkPart, require_same, write_onnx


def require_openvino() -> None:
    """Refuse to begin without the packages that exporting needs."""
    for module in ("onnx", "onnxruntime", "openvino"):
        require_extra(module, "openvino", "exporting to OpenVINO", "export")


def write_openvino(part: NetworkPart, folder: Path, metadata: Mapping[str, str]) -> None:
    """Write a network as `NAME.xml`, with its metadata, and its weights, in single precision, as `NAME.bin`.

    Raises:
        ConfigError: If OpenVINO computes something else from it, in single precision, than torch from the network.
    """
    import openvino

    core, target = openvino.Core(), folder / f"{part.name}.xml"
    with tempfile.TemporaryDirectory(prefix="samtailor-") as scratch:
        write_onnx(part, Path(scratch), metadata)
        traced = core.read_model(Path(scratch) / f"{part.name}.onnx")
        openvino.save_model(traced, target, compress_to_fp16=False)
        del traced  # maps the file
    network = core.compile_model(target, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    require_same(part, lambda feed: list(network(feed).values()), "OpenVINO")

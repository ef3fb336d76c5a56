"""In what formats a segmenter is exported."""

from __future__ import annotations

from typing import Literal

ExportFormat = Literal["onnx", "openvino"]
"""What other programs run."""

NETWORK_ENDS: dict[ExportFormat, str] = {"onnx": ".onnx", "openvino": ".xml"}
"""How the names of files end that hold a network."""

WEIGHTS_ENDS: dict[ExportFormat, str] = {"onnx": ".onnx.data", "openvino": ".bin"}
"""How those of its weights end, where they lie beside it."""

"""A network as an ONNX file: traced, compared with the network, described.

torch has two exporters. The one by `torch.export` reasons about sizes in symbols: with windows, whose number is a
quotient rounded up, it took 95 s for a network of four blocks on two cores, where the tracer took 4 s; both gave the
same numbers. Tracing keeps whatever is no tensor operation, so the networks come from `samtailor.models.plain`, and
what was traced is compared with the network on images of another number and size before it is kept.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from samtailor.errors import ConfigError
from samtailor.extras import require_extra

OPSET = 18
"""Of ONNX's operators: the first whose resizing is all that torch's is; ONNX Runtime has known it since 1.14."""

LARGEST = 1_900_000_000
"""Bytes of weights in one file; above it, as protobuf holds no more than 2 GiB, they lie beside it."""

Array = NDArray[Any]

TOLERANCE = 1e-4
"""How far a runtime's numbers may be from the network's, in units of the largest one."""


@dataclass(frozen=True)
class NetworkPart:
    """A network to export.

    Attributes:
        name: Of its file.
        network: Traced; takes tensors, and gives one or several.
        example: Its inputs to be traced with.
        other: Inputs of another batch and size, to compare with.
        inputs: Names of the inputs, each with the names of the axes that may have any length.
        outputs: The same of the outputs.
    """

    name: str
    network: nn.Module
    example: tuple[Tensor, ...]
    other: tuple[Tensor, ...]
    inputs: Mapping[str, Mapping[int, str]]
    outputs: Mapping[str, Mapping[int, str]]


def require_onnx() -> None:
    """Refuse to begin without the packages that exporting needs."""
    for module in ("onnx", "onnxruntime"):
        require_extra(module, "onnx", "exporting to ONNX", "export")


def write_onnx(part: NetworkPart, folder: Path, metadata: Mapping[str, str]) -> None:
    """Write a network as `NAME.onnx` into a folder, its weights inside, or beside it where they are too many.

    Raises:
        ConfigError: If ONNX Runtime computes something else from it than torch from the network.
    """
    import onnx
    import onnxruntime

    target = folder / f"{part.name}.onnx"
    with tempfile.TemporaryDirectory(prefix="samtailor-") as scratch:
        traced = Path(scratch) / target.name
        _trace(part, traced)
        proto = onnx.load(traced)
    onnx.helper.set_model_props(proto, dict(metadata))
    is_large = sum(parameter.nbytes for parameter in part.network.parameters()) > LARGEST
    onnx.save(proto, target, save_as_external_data=is_large, location=f"{target.name}.data")
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    require_same(part, lambda feed: list(session.run(None, feed)), "ONNX Runtime")


def _trace(part: NetworkPart, file: Path) -> None:
    axes = {name: dict(lengths) for name, lengths in (*part.inputs.items(), *part.outputs.items())}
    with torch.no_grad(), warnings.catch_warnings():
        # Of the tracer, where it meets sizes that are the same for all images; and that it is the older of the two.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            part.network,
            part.example,
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_axes=axes,
        )


def require_same(part: NetworkPart, run: Callable[[dict[str, Array]], Sequence[Array]], runtime: str) -> None:
    """Refuse a file that gives other numbers than the network.

    Args:
        part: The network, with images that it was not traced with.
        run: What a runtime computes from the file: inputs by name to outputs in order.
        runtime: Its name.

    Raises:
        ConfigError: Naming the output that differs.
    """
    found = run({name: value.numpy() for name, value in zip(part.inputs, part.other, strict=True)})
    with torch.no_grad():
        expected = part.network(*part.other)
    wanted = [expected] if isinstance(expected, Tensor) else expected
    for name, one, other in zip(part.outputs, wanted, found, strict=True):
        difference, size = float(np.abs(one.numpy() - other).max()), float(one.abs().max())
        if not difference <= TOLERANCE * size:
            raise ConfigError(
                f"export: expected {runtime} to give the network's own numbers, found {name} of {part.name} off by "
                f"{difference:.2g} of {size:.2g}; report it with the versions of torch, onnx and {runtime}"
            )

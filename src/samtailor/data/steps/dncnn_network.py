"""DnCNN, the network of Zhang et al. 2017 (arXiv 1608.03981) that finds the noise in a gray image, as scico has it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from samtailor.errors import WeightsError

_WIDTH = 64
_EPSILON = 1e-5  # of the batch normalisation that the weights were trained with
_ARRAY = 1  # flax's number of the MessagePack extension for an array


class DnCNN(nn.Sequential):
    """Layers of 3 x 3 convolutions with ReLU between them; the batch normalisation behind the inner ones is in them.

    Nothing is padded: of an image with as many pixels around it as there are layers, (N, C, h + 2 layers,
    w + 2 layers), it gives the noise in its first channel, (N, 1, h, w). A second channel, if there is one, holds the
    noise's standard deviation everywhere.
    """

    def __init__(self, layers: int, channels: int) -> None:
        sizes = [channels, *[_WIDTH] * (layers - 1), 1]
        inner = range(1, layers - 1)
        convolutions = [nn.Conv2d(*size, 3, bias=i in inner) for i, size in enumerate(pairwise(sizes))]
        steps = [step for convolution in convolutions for step in (convolution, nn.ReLU())]
        super().__init__(*steps[:-1])


def read_dncnn(path: Path, layers: int, channels: int) -> DnCNN:
    """A network with the weights of a file that flax has written.

    Raises:
        WeightsError: If the file holds something else than the weights of such a network.
    """
    arrays, expected = _read_arrays(path), _shapes(layers, channels)
    if (found := {name: array.shape for name, array in arrays.items()}) != expected:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        told = ", ".join(f"{name} {expected.get(name)} is {found.get(name)}" for name in wrong[:3])
        raise WeightsError(
            f"{path}: expected a DnCNN of {layers} layers and {channels} channels, found another network ({told}; "
            f"{len(wrong)} differ in all); delete it, and the right one is fetched"
        )
    network = DnCNN(layers, channels)
    for i, convolution in enumerate(step for step in network if isinstance(step, nn.Conv2d)):
        name = {0: "params/conv_start", layers - 1: "params/conv_end"}.get(i, f"params/{_block(i)}/Conv_0")
        # From (height, width, in, out). What the last one says of the channel of levels is left out.
        weight = arrays[f"{name}/kernel"].transpose(3, 2, 0, 1)[: convolution.out_channels].astype(np.float64)
        with torch.no_grad():
            if convolution.bias is not None:
                factor, bias = _normalisation(arrays, f"{_block(i)}/BatchNorm_0")
                weight *= factor[:, None, None, None]
                convolution.bias.copy_(torch.from_numpy(bias))
            convolution.weight.copy_(torch.from_numpy(weight))
    return network.eval().requires_grad_(False)


def _normalisation(
    arrays: dict[str, NDArray[np.float32]], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By what a batch normalisation multiplies each channel, and what it adds then."""
    mean, variance = (arrays[f"batch_stats/{name}/{part}"].astype(np.float64) for part in ("mean", "var"))
    factor = arrays[f"params/{name}/scale"] / np.sqrt(variance + _EPSILON)
    return factor, arrays[f"params/{name}/bias"] - mean * factor


def _block(convolution: int) -> str:
    return f"ConvBNBlock_{convolution - 1}"


def _shapes(layers: int, channels: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays in the file of a network."""
    shapes: dict[str, tuple[int, ...]] = {
        "params/conv_start/kernel": (3, 3, channels, _WIDTH),
        "params/conv_end/kernel": (3, 3, _WIDTH, channels),
    }
    for i in range(1, layers - 1):
        shapes[f"params/{_block(i)}/Conv_0/kernel"] = (3, 3, _WIDTH, _WIDTH)
        for part in ("params/{}/scale", "params/{}/bias", "batch_stats/{}/mean", "batch_stats/{}/var"):
            shapes[part.format(f"{_block(i)}/BatchNorm_0")] = (_WIDTH,)
    return shapes


def _read_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """Arrays of single precision in nested dictionaries of MessagePack, by their paths; nothing is unpickled."""
    try:
        return dict(_leaves(msgpack.unpackb(path.read_bytes())))
    except (OSError, ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        found = f"what cannot be read ({error})"
        raise WeightsError(f"{path}: expected weights that flax has written, found {found}; delete it") from error


def _leaves(node: Any, path: str = "") -> list[tuple[str, NDArray[np.float32]]]:
    if isinstance(node, dict):
        return [leaf for name, child in node.items() for leaf in _leaves(child, f"{path}/{name}" if path else name)]
    if node.code != _ARRAY:
        raise ValueError(f"extension {node.code} at {path}")
    shape, dtype, content = msgpack.unpackb(node.data)
    if dtype != "float32":
        raise ValueError(f"{dtype} at {path}")
    return [(path, np.frombuffer(content, "<f4").reshape(shape))]


def noise_of(network: DnCNN, image: NDArray[np.float32], level: float | None) -> NDArray[np.float32]:
    """The noise in a gray image, (h, w), of what has as many pixels around it as the network has layers.

    Args:
        network: The network.
        image: Intensities in about [0, 1].
        level: Standard deviation of the noise, for a network with a channel for it; else None.
    """
    seen: Tensor = torch.from_numpy(image)[None, None]
    if level is not None:
        seen = torch.cat([seen, torch.full_like(seen, level)], dim=1)
    with torch.inference_mode():
        noise: NDArray[np.float32] = network(seen)[0, 0].numpy()
    return noise

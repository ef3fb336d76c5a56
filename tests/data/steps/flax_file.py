"""Random weights of a DnCNN in the file that flax writes, and the network written down literally."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Tree = dict[str, Any]


def dncnn_weights(layers: int, channels: int, seed: int = 0) -> Tree:
    """Arrays named and shaped as flax's, with kernels (height, width, in, out)."""
    rng = np.random.default_rng(seed)

    def kernel(inputs: int, outputs: int) -> Tree:
        return {"kernel": rng.normal(0, (4.5 * inputs) ** -0.5, (3, 3, inputs, outputs)).astype(np.float32)}

    params: Tree = {"conv_start": kernel(channels, 64), "conv_end": kernel(64, channels)}
    statistics: Tree = {}
    for i in range(layers - 2):
        spans = ((0.5, 1.5), (-0.1, 0.1), (-0.1, 0.1), (0.2, 0.8))
        scale, bias, mean, variance = (rng.uniform(*span, 64).astype(np.float32) for span in spans)
        params[f"ConvBNBlock_{i}"] = {"Conv_0": kernel(64, 64), "BatchNorm_0": {"scale": scale, "bias": bias}}
        statistics[f"ConvBNBlock_{i}"] = {"BatchNorm_0": {"mean": mean, "var": variance}}
    return {"params": params, "batch_stats": statistics}


def write_flax(path: Path, tree: Tree) -> Path:
    """As `flax.serialization.msgpack_serialize` does."""

    def packed(array: Any) -> msgpack.ExtType:
        return msgpack.ExtType(1, msgpack.packb((array.shape, array.dtype.name, array.tobytes())))

    path.write_bytes(msgpack.packb(tree, default=packed))
    return path


def literal_noise(weights: Tree, image: Tensor) -> Tensor:
    """What Zhang et al.'s layers in scico's order find in an image, (1, C, H, W), without padding, (1, C, h, w)."""

    def convolved(y: Tensor, part: Tree) -> Tensor:
        return F.conv2d(y, torch.from_numpy(part["kernel"]).permute(3, 2, 0, 1))

    params = weights["params"]
    y = F.relu(convolved(image, params["conv_start"]))
    for i in range(len(params) - 2):
        block, statistics = params[f"ConvBNBlock_{i}"], weights["batch_stats"][f"ConvBNBlock_{i}"]["BatchNorm_0"]
        given = (statistics["mean"], statistics["var"], block["BatchNorm_0"]["scale"], block["BatchNorm_0"]["bias"])
        y = F.relu(F.batch_norm(convolved(y, block["Conv_0"]), *map(torch.from_numpy, given), eps=1e-5))
    return convolved(y, params["conv_end"])

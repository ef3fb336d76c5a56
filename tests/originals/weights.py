"""Random weights and inputs that depend on nothing but names, so that they need not be stored."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def random_tensor(name: str, shape: tuple[int, ...], scale: float = 1.0) -> Tensor:
    """Normal numbers seeded by a name; the same on every machine."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy((scale * random.standard_normal(shape)).astype(np.float32))


def random_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights of a network from the names and shapes of its tensors; nowhere zero, so that every one of them counts."""
    return {name: _weights(name, shape) for name, shape in shapes.items()}


def thinned(masks: Tensor) -> Tensor:
    """Every fourth pixel of masks, so that what is stored stays small; every window of every layer bears on them."""
    return masks[..., 1::4, 1::4]


def _weights(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1)
    if name.endswith("running_var"):
        return 0.5 + random_tensor(name, shape).abs()
    if len(shape) <= 1:
        noise = random_tensor(name, shape, 0.1)
        return noise if name.endswith(("bias", "running_mean")) else 1 + noise
    if "pos" in name or "attention_biases" in name or "embed" in name.rsplit(".", 2)[0]:
        return random_tensor(name, shape, 0.3)
    return random_tensor(name, shape, float(np.prod(shape[1:])) ** -0.5)

"""From the network's logits to a window's pixels: some rows at a time, in a cache-sized piece of memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

_PIXELS = 1 << 15
"""Pixels of one piece on the CPU: with 14 classes 1.8 MB, which stays in a core's cache (measured: 2^15 is quicker
than 2^13 and 2^17)."""
_PIXELS_ON_GPU = 1 << 22
"""Pixels of one piece on a GPU, where a piece costs a few launches whatever its size."""


def enlarged(logits: Tensor, side: int) -> Iterator[tuple[int, Tensor]]:
    """Logits of one window at the window's own size, from top to bottom.

    Bilinear, and where the window is smaller than the logits antialiased: the values are those of
    `interpolate(..., mode="bilinear", antialias=True)`, which never holds less than the whole window.

    Args:
        logits: (K, n, n).
        side: Rows and columns of the window.

    Yields:
        First row, and logits of some rows, (K, rows, side).
    """
    size = logits.shape[-1]
    logits = logits.float()
    if side <= size:  # smaller than what the network gave anyway
        whole = logits if side == size else _resized(logits, side, side)
        yield from pieces(whole)
        return
    first, weight, second, second_weight = _taps(size, side, logits.device)
    rows = rows_at_once(side, logits.device)
    bounds = [0, *range(rows, side, rows), side]
    needed = torch.stack([first, second]).cpu()
    for start, stop in pairwise(bounds):
        low, high = int(needed[0, start]), int(needed[1, stop - 1]) + 1
        wide = _resized(logits[:, low:high], high - low, side)
        upper = wide.index_select(1, first[start:stop] - low)
        lower = wide.index_select(1, second[start:stop] - low)
        upper *= weight[start:stop, None]
        yield start, upper.addcmul_(lower, second_weight[start:stop, None])


def pieces(logits: Tensor) -> Iterator[tuple[int, Tensor]]:
    """First row and logits of some rows at a time of (K, H, W), without a copy."""
    rows = rows_at_once(logits.shape[2], logits.device)
    for start in range(0, logits.shape[1], rows):
        yield start, logits[:, start : start + rows]


def rows_at_once(width: int, device: torch.device) -> int:
    """Rows of one piece."""
    return max(1, (_PIXELS if device.type == "cpu" else _PIXELS_ON_GPU) // width)


def winner(logits: Tensor) -> Tensor:
    """Class of the greatest logit of every pixel, the first one of equals, (K, h, w) to int16 (h, w)."""
    if logits.device.type != "cpu":
        return logits.argmax(dim=0).to(torch.int16)
    # PyTorch's argmax over the first axis walks through memory class by class for each pixel: ten times as slow.
    best = logits[0].clone()
    index = torch.zeros(best.shape, dtype=torch.int16)
    for k in range(1, len(logits)):
        index.masked_fill_(logits[k] > best, k)
        torch.maximum(best, logits[k], out=best)
    return index


def _resized(logits: Tensor, height: int, width: int) -> Tensor:
    """(K, h, w) to (K, height, width); an axis that keeps its size keeps its values."""
    return F.interpolate(logits[None], (height, width), mode="bilinear", antialias=True)[0]


@lru_cache(maxsize=8)
def _taps(size: int, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The two rows that each row of an enlarged image lies between, and their weights, each (side,).

    Taken from what PyTorch makes of the identity, so that they are its own weights to the last bit.
    """
    matrix = _resized(torch.eye(size)[None], side, size)[0]
    first = (matrix != 0).int().argmax(dim=1)
    second = (first + 1).clamp(max=size - 1)
    weight = matrix.gather(1, first[:, None])[:, 0]
    second_weight = matrix.gather(1, second[:, None])[:, 0].masked_fill(second == first, 0)
    return first.to(device), weight.to(device), second.to(device), second_weight.to(device)

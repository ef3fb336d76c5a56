"""From the network's logits to a window's pixels: some rows at a time, in a cache-sized piece of memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

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
        yield from pieces(_smaller(logits, side))
        return
    for piece in _pieces_between(size, side, logits.device):
        yield piece.start, piece.of(logits[:, piece.needed])


def labelled(logits: Tensor, side: int) -> Iterator[tuple[int, Tensor]]:
    """Class of the greatest logit of every pixel of one window, from top to bottom.

    An enlarged logit lies between its neighbours, so a class that is nowhere near the greatest need not be enlarged.

    Args:
        logits: (K, n, n).
        side: Rows and columns of the window.

    Yields:
        First row, and classes of some rows, int16 (rows, side).
    """
    size = logits.shape[-1]
    logits = logits.float()
    if side <= size:
        yield from ((start, winner(part)) for start, part in pieces(_smaller(logits, side)))
        return
    for piece in _pieces_between(size, side, logits.device):
        near = logits[:, piece.needed]
        if near.device.type == "cpu":
            classes = contenders(near)
            yield piece.start, _winner(piece.of(near[classes]), classes)
        else:  # which would have to be waited for
            yield piece.start, winner(piece.of(near))


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
    return _winner(logits, range(len(logits))) if logits.device.type == "cpu" else logits.argmax(dim=0).to(torch.int16)


def _winner(logits: Tensor, classes: Sequence[int]) -> Tensor:
    """`winner` of some classes, K of them in ascending order, on the CPU.

    PyTorch's argmax over the first axis walks through memory class by class for each pixel: ten times as slow.
    """
    best = logits[0].clone()
    index = torch.full(best.shape, classes[0], dtype=torch.int16)
    for logit, name in zip(logits[1:], classes[1:], strict=True):
        index.masked_fill_(logit > best, name)
        torch.maximum(best, logit, out=best)
    return index


def contenders(logits: Tensor) -> list[int]:
    """Classes that may be the greatest somewhere between the points of a grid.

    Args:
        logits: At the points, (K, h, w).

    Returns:
        In ascending order those whose greatest corner reaches, in some cell, the smallest corner of every class.
    """
    corners = (min(2, logits.shape[1]), min(2, logits.shape[2]))
    greatest = F.max_pool2d(logits, corners, stride=1)
    smallest = -F.max_pool2d(-logits, corners, stride=1)
    slack = 1e-5 * logits.abs().amax()  # interpolation rounds
    beaten = greatest < smallest.amax(dim=0) - slack  # never where something is not a number
    return [k for k, everywhere in enumerate(beaten.flatten(1).all(dim=1).tolist()) if not everywhere]


@dataclass(frozen=True)
class _Piece:
    """Some rows of a window that is larger than its logits.

    Attributes:
        start: First row.
        needed: Rows of the logits that they lie between.
        side: Columns.
        above: Row of logits above each row, of those needed.
        below: Row below.
        weights: Weights of both.
    """

    start: int
    needed: slice
    side: int
    above: Tensor
    below: Tensor
    weights: tuple[Tensor, Tensor]

    def of(self, logits: Tensor) -> Tensor:
        """The needed rows of logits, (K, h, n), to (K, rows, side)."""
        wide = _resized(logits, logits.shape[1], self.side)
        upper, lower = wide.index_select(1, self.above), wide.index_select(1, self.below)
        upper *= self.weights[0]
        return upper.addcmul_(lower, self.weights[1])


@lru_cache(maxsize=8)
def _pieces_between(size: int, side: int, device: torch.device) -> list[_Piece]:
    """All rows of a window, from top to bottom."""
    above, above_weight, below, below_weight = _taps(size, side)
    rows = rows_at_once(side, device)
    found = []
    for start in range(0, side, rows):
        these = slice(start, start + rows)
        low, high = int(above[start]), int(below[these][-1]) + 1
        found.append(
            _Piece(
                start,
                slice(low, high),
                side,
                (above[these] - low).to(device),
                (below[these] - low).to(device),
                (above_weight[these, None].to(device), below_weight[these, None].to(device)),
            )
        )
    return found


def _smaller(logits: Tensor, side: int) -> Tensor:
    """Logits at a size that is not greater than theirs."""
    return logits if side == logits.shape[-1] else _resized(logits, side, side)


def _resized(logits: Tensor, height: int, width: int) -> Tensor:
    """(K, h, w) to (K, height, width); an axis that keeps its size keeps its values."""
    return F.interpolate(logits[None], (height, width), mode="bilinear", antialias=True)[0]


def _taps(size: int, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The row above each row of an enlarged image and its weight, and the row below and its; each (side,).

    Taken from what PyTorch makes of the identity, so that they are its own weights to the last bit.
    """
    matrix = _resized(torch.eye(size)[None], side, size)[0]
    above = (matrix != 0).int().argmax(dim=1)
    below = (above + 1).clamp(max=size - 1)
    weight = matrix.gather(1, above[:, None])[:, 0]
    below_weight = matrix.gather(1, below[:, None])[:, 0].masked_fill(below == above, 0)
    return above, weight, below, below_weight

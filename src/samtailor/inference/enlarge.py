"""From the network's logits to a window's pixels: some rows at a time, in a cache-sized piece of memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.inference.views import Axes

_PIXELS = 1 << 16
"""Pixels of one piece on the CPU: with 14 classes 3.7 MB (measured: 2^16 is quicker than 2^13 to 2^15, and steadier
than 2^17)."""
_PIXELS_ON_GPU = 1 << 22
"""Pixels of one piece on a GPU, where a piece costs a few launches whatever its size."""


def enlarged(
    logits: Tensor, side: int, inside: tuple[int, int] | None = None, flip: Axes = ()
) -> Iterator[tuple[int, Tensor]]:
    """Logits of a window, (K, n, n), at its own size: first row and (K, rows, side) of some rows, from top to bottom.

    Bilinear, and where the window is smaller than the logits antialiased: the values are those of
    `interpolate(..., mode="bilinear", antialias=True)`, which never holds less than the whole window.

    Args:
        logits: (K, n, n).
        side: Rows and columns of the window.
        inside: First rows and columns that are wanted; all if None.
        flip: Axes of these, counted from the end, that are flipped.
    """
    size = logits.shape[-1]
    height, width = inside or (side, side)
    logits = logits.float()
    if side <= size:  # smaller than what the network gave anyway
        whole = logits if side == size else _resized(logits, side, side)
        whole = whole[:, :height, :width]
        yield from pieces(whole.flip(flip) if flip else whole, side)
        return
    across = [axis for axis in flip if axis == -1]
    is_flipped = -2 in flip
    for start, needed, matrix in _rows_between(size, side, height if is_flipped else side, is_flipped, logits.device):
        if start >= height:
            break
        with torch.autocast(logits.device.type, enabled=False):  # it would take the product in half precision
            rows = matrix @ _resized(logits[:, needed], matrix.shape[1], side)
        rows = rows[:, : height - start, :width]
        yield start, rows.flip(across) if across else rows


def pieces(logits: Tensor, width: int | None = None) -> Iterator[tuple[int, Tensor]]:
    """First row and logits of some rows at a time of (K, H, W), without a copy; as many as of that width if given."""
    rows = rows_at_once(width or logits.shape[2], logits.device)
    for start in range(0, logits.shape[1], rows):
        yield start, logits[:, start : start + rows]


def rows_at_once(width: int, device: torch.device) -> int:
    """Rows of one piece."""
    return max(1, (_PIXELS if device.type == "cpu" else _PIXELS_ON_GPU) // width)


def winner(logits: Tensor) -> Tensor:
    """Class of the greatest logit of every pixel, the first one of equals, (K, h, w) to int16 (h, w).

    Where a logit is not a number it is the first class.
    """
    # On a CPU argmax and max with indices walk through memory class by class for each pixel; amax does not.
    classes = len(logits)
    greatest = (logits < logits.amax(dim=0)).logical_not_()
    from_the_end = torch.arange(classes, 0, -1, dtype=torch.int16, device=logits.device)
    return classes - (greatest * from_the_end[:, None, None]).amax(dim=0)


def _resized(logits: Tensor, height: int, width: int) -> Tensor:
    """(K, h, w) to (K, height, width); an axis that keeps its size keeps its values."""
    return F.interpolate(logits[None], (height, width), mode="bilinear", antialias=True)[0]


@lru_cache(maxsize=8)
def _rows_between(
    size: int, side: int, height: int, is_flipped: bool, device: torch.device
) -> list[tuple[int, slice, Tensor]]:
    """Of each piece of an enlarged image its first row, the rows it lies between, how much of each is in its rows.

    Taken from what PyTorch makes of the identity, so that they are its own weights. Of the first rows of the image
    only, which may come from the last of them to the first.
    """
    whole = _resized(torch.eye(size)[None], side, size)[0][:height]
    whole = whole.flip(0) if is_flipped else whole
    found, rows = [], rows_at_once(side, device)
    for start in range(0, height, rows):
        weights = whole[start : start + rows]
        used = weights.any(dim=0).nonzero()[:, 0]
        needed = slice(int(used[0]), int(used[-1]) + 1)
        found.append((start, needed, weights[:, needed].to(device)))
    return found

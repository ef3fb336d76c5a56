"""Whole scenes in bounded memory: large arrays are worked through some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PIXELS = 1 << 22  # temporary arrays of 8 bytes a pixel then take 32 MB


def blocks(shape: tuple[int, ...]) -> Iterator[tuple[int | slice, ...]]:
    """Indices of rows of the planes of an array (..., H, W) or (N,), four million pixels each, that cover it."""
    height, width = shape[-2:] if len(shape) > 1 else (shape[0], 1)
    rows = max(1, _PIXELS // max(1, width))
    for plane in np.ndindex(shape[:-2]):
        for start in range(0, height, rows):
            yield *plane, slice(start, start + rows)


def counts_of(plane: NDArray[Any], length: int) -> NDArray[np.int64]:
    """How often each of 0, 1, ..., `length` - 1 occurs in a plane of integers, (H, W); other values do not count."""
    counts = np.zeros(length, dtype=np.int64)
    for rows in blocks(plane.shape):
        block = plane[rows]
        counts += np.bincount(block[(block >= 0) & (block < length)], minlength=length)
    return counts

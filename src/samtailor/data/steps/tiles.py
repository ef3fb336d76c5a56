"""Filters that look at a neighbourhood, in memory that does not grow with the slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIDE = 512


def tiles(shape: tuple[int, ...]) -> Iterator[tuple[int | slice, ...]]:
    """Indices of squares of the planes of an array, (..., H, W), that cover it; those at its end may be smaller."""
    for plane in np.ndindex(shape[:-2]):
        for y in range(0, shape[-2], _SIDE):
            for x in range(0, shape[-1], _SIDE):
                yield *plane, slice(y, min(y + _SIDE, shape[-2])), slice(x, min(x + _SIDE, shape[-1]))


def filtered(
    image: NDArray[Any], reach: int, apply: Callable[[NDArray[np.float32]], NDArray[Any]]
) -> NDArray[np.float32]:
    """Filter each plane for itself, by tiles that overlap by what the filter sees: the result has no seams.

    Beyond its border a plane is mirrored.

    Args:
        image: Intensities of any type, (..., H, W).
        reach: Pixels to each side that the filter sees.
        apply: Takes a tile with as many pixels around it, (h + 2 reach, w + 2 reach), and gives the tile, (h, w).

    Returns:
        (..., H, W).
    """
    result = np.empty(image.shape, np.float32)
    for *plane, rows, columns in tiles(image.shape):
        around = (_mirrored(span, reach, size) for span, size in zip((rows, columns), image.shape[-2:], strict=True))
        seen = image[tuple(plane)][np.ix_(*around)].astype(np.float32)
        result[*plane, rows, columns] = apply(seen)
    return result


def _mirrored(span: int | slice, reach: int, size: int) -> NDArray[np.intp]:
    """Positions from `reach` before a span to `reach` behind it, those beyond the border mirrored: 1 0 0 1 2."""
    assert isinstance(span, slice)
    position = np.arange(span.start - reach, span.stop + reach) % (2 * size)
    mirrored: NDArray[np.intp] = np.minimum(position, 2 * size - 1 - position)
    return mirrored

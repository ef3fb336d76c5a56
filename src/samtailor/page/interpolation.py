"""An object in the slices between two, by its shape in these.

Each shape is a map of signed distances to its outline, which is positive inside; the maps between two are mixed by how
far each slice is (Herman, Zheng and Bucholtz 1992; Raya and Udupa 1990). Shapes that lie apart are brought over each
other first, so that an object that moves is not lost in between.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def between(first: Mask, last: Mask, count: int, spacing: tuple[float, float] = (1.0, 1.0)) -> list[Mask]:
    """Shapes of a number of slices, evenly spaced between two.

    Args:
        first: The shape before them, (H, W), not empty.
        last: The shape behind them, (H, W), not empty.
        count: How many slices there are between.
        spacing: Distance of rows and of columns.

    Returns:
        A mask (H, W) of each.
    """
    centres = [np.argwhere(mask).mean(axis=0) for mask in (first, last)]
    way = np.rint(centres[1] - centres[0]).astype(int)
    rows, columns = _seen(first, last, way)
    moved = _moved(last[rows, columns], -way)
    distances = [_signed_distance(mask, spacing) for mask in (first[rows, columns], moved)]
    found = []
    for number in range(1, count + 1):
        share = number / (count + 1)
        mixed = (1 - share) * distances[0] + share * distances[1] > 0
        shape = np.zeros(first.shape, bool)
        shape[rows, columns] = _moved(mixed, np.rint(share * way).astype(int))
        found.append(shape)
    return found


def _seen(first: Mask, last: Mask, way: NDArray[np.int_]) -> tuple[slice, slice]:
    """Rows and columns that hold both shapes, and each of them where it is moved to."""
    places = np.concatenate([np.argwhere(first), np.argwhere(last), np.argwhere(first) + way, np.argwhere(last) - way])
    low, high = np.maximum(places.min(axis=0) - 1, 0), np.minimum(places.max(axis=0) + 2, first.shape)
    rows, columns = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return rows, columns


def _moved(mask: Mask, way: NDArray[np.int_]) -> Mask:
    """The mask moved by rows and columns; what leaves it is lost."""
    moved = np.zeros_like(mask)
    source, target = [], []
    for step, side in zip(way.tolist(), mask.shape, strict=True):
        source.append(slice(max(0, -step), min(side, side - step)))
        target.append(slice(max(0, step), min(side, side + step)))
    moved[tuple(target)] = mask[tuple(source)]
    return moved


def _signed_distance(mask: Mask, spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Distance to the outline, positive inside; the border of the slice is no outline."""
    if mask.all():
        return np.full(mask.shape, float(max(mask.shape)))
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    return np.asarray(inside - outside)

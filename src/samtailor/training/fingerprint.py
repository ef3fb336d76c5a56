"""What a labelled folder is like, as far as the scale at which it is to be looked at depends on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_SEEN = 2048  # pixels of a side of a slice that are looked at


def object_side(labels: Iterable[NDArray[np.int16]]) -> float | None:
    """Side, in pixels, of the objects of the class that has the smallest ones; None where there are none.

    Objects are connected parts of a slice, and their side is the root of their area. That of a class is the side of the
    object in which its median pixel lies: specks, of which there may be many, count as little as they cover.

    Args:
        labels: Class indices of cases, (S, H, W); class 0 has no objects. Of scenes the middle is looked at.
    """
    areas: dict[int, list[int]] = defaultdict(list)
    for plane in (_middle(plane) for label in labels for plane in label):
        for present in np.unique(plane[plane > 0]).tolist():
            parts, _ = ndimage.label(plane == present)
            areas[present] += np.bincount(parts.ravel())[1:].tolist()
    return min((_median_side(np.sort(sizes)) for sizes in areas.values()), default=None)


def _middle(plane: NDArray[np.int16]) -> NDArray[np.int16]:
    """As much of a slice as is looked at: finding the parts of a whole scene takes seconds for each class."""
    rows, columns = (slice(max(0, (n - _SEEN) // 2), max(0, (n - _SEEN) // 2) + _SEEN) for n in plane.shape)
    return np.asarray(plane[rows, columns])


def _median_side(areas: NDArray[np.int64]) -> float:
    """Side of the object, of areas in ascending order, in which the median of all their pixels lies."""
    covered = np.cumsum(areas)
    return float(np.sqrt(areas[np.searchsorted(covered, covered[-1] / 2)]))

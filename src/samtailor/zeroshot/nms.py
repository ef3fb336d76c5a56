"""Non-maximum suppression of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def suppress(boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float) -> NDArray[np.intp]:
    """Boxes that are kept: the best first, each that overlaps no kept one too much; of equals the earlier.

    Args:
        boxes: Left, top, right, bottom, (N, 4).
        scores: (N,).
        threshold: Largest IoU of two boxes that are both kept.

    Returns:
        Indices, best score first.
    """
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = (np.ascontiguousarray(side) for side in boxes[order].T)
    areas = (right - left) * (bottom - top)
    alive = np.ones(len(order), dtype=np.bool_)
    for i in range(len(order)):
        if not alive[i]:
            continue
        later = np.flatnonzero(alive[i + 1 :]) + i + 1
        width = np.minimum(right[i], right[later]) - np.maximum(left[i], left[later])
        height = np.minimum(bottom[i], bottom[later]) - np.maximum(top[i], top[later])
        both = np.maximum(width, 0) * np.maximum(height, 0)
        # Two boxes without area, of masks one pixel thin, overlap nothing: 0 is compared with threshold times 0.
        with np.errstate(invalid="ignore", divide="ignore"):
            alive[later[both / (areas[i] + areas[later] - both) > threshold]] = False
    return order[alive]

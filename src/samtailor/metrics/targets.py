"""Small targets: which are found, and how many pixels are false alarms (the metrics of infrared detection).

Pd and Fa of Li et al., Dense Nested Attention Network for Infrared Small Target Detection (2022), in the form of
BasicIRSTD's evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samtailor.labels import IGNORE
from samtailor.metrics.protocols import OverallMetric

DISTANCE = 3.0
"""Centroids of a target and of the prediction that finds it are less than this apart, in pixels."""


@dataclass(frozen=True)
class TargetCounts:
    """Targets and pixels of one image; the last five are pixels.

    Attributes:
        targets: True targets.
        found: True targets that a prediction finds.
        false_alarms: Predicted pixels outside of the predictions that find a target.
        intersection: Of truth and prediction.
        union: Of truth and prediction.
        pixels: That count.
    """

    targets: int
    found: int
    false_alarms: int
    intersection: int
    union: int
    pixels: int


def count_targets(truth: NDArray[Any], prediction: NDArray[Any]) -> TargetCounts:
    """Match the targets of an image.

    True targets are taken in the order of their first pixel; each takes the first prediction whose centroid is near,
    which is then used up.

    Args:
        truth: Class indices, (H, W) or (S, H, W); all but the background are targets, `IGNORE` counts nowhere.
        prediction: Class indices, of the truth's shape.
    """
    counted = truth != IGNORE
    true, predicted = (truth > 0) & counted, (prediction > 0) & counted
    targets, _ = _targets(true)
    guesses, sizes = _targets(predicted)
    matched: list[int] = []
    for centre in targets:
        near = (k for k, guess in enumerate(guesses) if k not in matched and np.linalg.norm(guess - centre) < DISTANCE)
        matched += islice(near, 1)
    return TargetCounts(
        targets=len(targets),
        found=len(matched),
        false_alarms=int(predicted.sum()) - int(sizes[matched].sum()),
        intersection=int((true & predicted).sum()),
        union=int((true | predicted).sum()),
        pixels=int(counted.sum()),
    )


def _targets(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Centroids (T, axes) and sizes (T,) of the components that are connected by sides or corners."""
    components, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    numbers = range(1, count + 1)
    centroids = np.array(ndimage.center_of_mass(mask, components, numbers), dtype=np.float64)
    sizes = np.bincount(components.reshape(-1), minlength=count + 1)[1:]
    return centroids.reshape(count, mask.ndim), sizes


def of_targets(
    metric: OverallMetric, cases: Sequence[TargetCounts], draws: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """A score of small targets of each draw of cases.

    Args:
        metric: Its name.
        cases: Counts of each case, N of them.
        draws: How often each case is drawn, (B, N).

    Returns:
        (B,), NaN where it is not defined; None if the metric is not of small targets.
    """
    counts = draws @ np.array([astuple(case) for case in cases], dtype=np.int64)
    targets, found, false_alarms, intersection, union, pixels = counts.T
    with np.errstate(invalid="ignore"):  # 0 / 0: no target in any case of the draw
        match metric:
            case "iou":
                return np.asarray(intersection / union)
            case "niou":
                ious = [case.intersection / max(case.union, 1) for case in cases]  # 0 without any target
                counted = draws * np.array([case.pixels > 0 for case in cases])
                return np.asarray((counted @ np.array(ious)) / counted.sum(axis=1))
            case "pd":
                return np.asarray(found / targets)
            case "fa":
                return np.asarray(1e6 * false_alarms / pixels)
            case _:
                return None

"""Overlap of two label maps: voxel counts per class, and DSC and IoU of the counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from samtailor.labels import IGNORE
from samtailor.metrics.empty import EMPTY_RULES, EmptyRule

OverlapMetric = Literal["dsc", "iou"]

# Pixels counted at a time: the joint label of a whole volume would take eight bytes per voxel.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Overlap:
    """Voxels of each class; the last axis of each array is the class.

    Attributes:
        tp: Voxels of the class in truth and prediction, (..., K).
        fp: Voxels of the class in the prediction only, (..., K).
        fn: Voxels of the class in the truth only, (..., K).
    """

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]

    @property
    def truth(self) -> NDArray[np.int64]:
        """Voxels of each class in the truth, (..., K)."""
        return self.tp + self.fn

    @property
    def prediction(self) -> NDArray[np.int64]:
        """Voxels of each class in the prediction, where the truth is known, (..., K)."""
        return self.tp + self.fp


def overlap(truth: NDArray[Any], prediction: NDArray[Any], classes: int) -> Overlap:
    """Count the voxels of each class in one pass.

    Args:
        truth: Class indices, `IGNORE` where nothing counts; any shape.
        prediction: Class indices, of the truth's shape.
        classes: Number of classes K.

    Returns:
        Counts of shape (K,).

    Raises:
        ValueError: If the shapes differ, or an index is no class.
    """
    joint = confusion(truth, prediction, classes)
    tp = joint.diagonal()
    return Overlap(tp.copy(), joint.sum(axis=0) - tp, joint.sum(axis=1) - tp)


def confusion(truth: NDArray[Any], prediction: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Voxels of each pair of true (row) and predicted (column) class, (K, K).

    Args:
        truth: Class indices, `IGNORE` where nothing counts; any shape.
        prediction: Class indices, of the truth's shape.
        classes: Number of classes K.

    Raises:
        ValueError: If the shapes differ, or an index is no class.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"expected truth and prediction of one shape, found {truth.shape} and {prediction.shape}")
    rows, columns = truth.reshape(-1), prediction.reshape(-1)
    joint = np.zeros((classes + 1) * classes, dtype=np.int64)  # the first row gathers ignored voxels
    for start in range(0, rows.size, _BLOCK):
        row, column = rows[start : start + _BLOCK], columns[start : start + _BLOCK]
        _check(row, IGNORE, classes, "truth")
        _check(column, 0, classes, "prediction")
        pairs = (row.astype(np.intp) - IGNORE) * classes + column
        joint += np.bincount(pairs, minlength=joint.size)
    return joint.reshape(classes + 1, classes)[1:]


def _check(indices: NDArray[Any], lowest: int, classes: int, what: str) -> None:
    """Refuse indices outside [lowest, classes)."""
    if indices.min() < lowest or indices.max() >= classes:
        found = f"{indices.min()} to {indices.max()}"
        raise ValueError(f"{what}: expected class indices from {lowest} to {classes - 1}, found {found}")


def dsc(counts: Overlap, rule: EmptyRule) -> NDArray[np.float64]:
    """Dice similarity coefficient, 2 tp / (2 tp + fp + fn), of the counts' shape; absent classes by the rule."""
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, counts, rule)


def iou(counts: Overlap, rule: EmptyRule) -> NDArray[np.float64]:
    """Intersection over union, tp / (tp + fp + fn), of the counts' shape; absent classes by the rule."""
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn, counts, rule)


def score(counts: Overlap, metric: OverlapMetric, rule: EmptyRule) -> NDArray[np.float64]:
    """The metric of that name, of the counts' shape."""
    match metric:
        case "dsc":
            return dsc(counts, rule)
        case "iou":
            return iou(counts, rule)


def _ratio(
    numerator: NDArray[np.int64], denominator: NDArray[np.int64], counts: Overlap, rule: EmptyRule
) -> NDArray[np.float64]:
    """Numerator over denominator, with the rule's values where the truth is empty."""
    values = EMPTY_RULES[rule]
    ratio = numerator / np.maximum(denominator, 1)
    absent = np.where(counts.fp > 0, values.false_positive, values.both_empty)
    return np.where(counts.truth > 0, ratio, absent)

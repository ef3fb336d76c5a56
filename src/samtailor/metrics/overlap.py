"""Overlap of two label maps: voxel counts per class, and DSC and IoU of the counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from samtailor.labels import IGNORE
from samtailor.metrics.empty import EMPTY_RULES, EmptyRule

OverlapMetric = Literal["dsc", "iou"]

# Pixels counted at a time: the joint label of a whole volume would take eight bytes per voxel.
_BLOCK = 1 << 20


class Overlap(NamedTuple):
    """Voxels of each class; the last axis of each array is the class.

    Attributes:
        tp: Voxels of the class in truth and prediction, (..., K).
        fp: Voxels of the class in the prediction only, (..., K).
        fn: Voxels of the class in the truth only, (..., K).
    """

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]

    @classmethod
    def from_confusion(cls, joint: NDArray[np.int64]) -> Self:
        """Counts (K,) of the voxels of each pair of true (row) and predicted (column) class, (K, K)."""
        tp = joint.diagonal().copy()
        return cls(tp, joint.sum(axis=0) - tp, joint.sum(axis=1) - tp)

    @classmethod
    def stacked(cls, counts: Iterable[Self], axis: int = 0) -> Self:
        """Counts of several cases, which get an axis of their own."""
        return cls(*(np.stack(some, axis) for some in zip(*counts, strict=True)))

    @property
    def truth(self) -> NDArray[np.int64]:
        """Voxels of each class in the truth, (..., K)."""
        return self.tp + self.fn

    @property
    def prediction(self) -> NDArray[np.int64]:
        """Voxels of each class in the prediction, where the truth is known, (..., K)."""
        return self.tp + self.fp


def confusion(truth: NDArray[Any], prediction: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Voxels of each pair of true (row) and predicted (column) class, (K, K), in one pass.

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
        for what, indices, lowest in (("truth", row, IGNORE), ("prediction", column, 0)):
            low, high = indices.min(), indices.max()
            if low < lowest or high >= classes:
                limits = f"from {lowest} to {classes - 1}"
                raise ValueError(f"{what}: expected class indices {limits}, found {low} to {high}")
        joint += np.bincount((row.astype(np.intp) - IGNORE) * classes + column, minlength=joint.size)
    return joint.reshape(classes + 1, classes)[1:]


def score(counts: Overlap, metric: OverlapMetric, rule: EmptyRule) -> NDArray[np.float64]:
    """Of the counts' shape: DSC, 2 tp / (2 tp + fp + fn), or IoU, tp / (tp + fp + fn); absent classes by the rule."""
    values = EMPTY_RULES[rule]
    both = 2 * counts.tp if metric == "dsc" else counts.tp
    absent = np.where(counts.fp > 0, values.false_positive, values.both_empty)
    return np.where(counts.truth > 0, both / np.maximum(both + counts.fp + counts.fn, 1), absent)

"""Scores of a confusion matrix: accuracy, mean IoU, mean F1, kappa."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.metrics.protocols import OverallMetric

_MOST_PIXEL_COUNTS = 1 << 22  # of the matrices of several draws, in memory at once


def overall_accuracy(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """Share of the pixels whose class is right, (...), of pixels of true (row) and predicted class, (..., K, K)."""
    return _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum(axis=(-2, -1)))


def ious(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """IoU of each class, (..., K); NaN for one that neither truth nor prediction has."""
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    return _ratio(right, matrix.sum(axis=-1) + matrix.sum(axis=-2) - right)


def f1_scores(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """F1 of each class, which is its DSC, (..., K); NaN for one that neither truth nor prediction has."""
    return _ratio(2 * np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(axis=-1) + matrix.sum(axis=-2))


def kappa(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """Cohen's kappa, (...): how much of what chance leaves open is right; NaN where chance leaves nothing open."""
    total = matrix.sum(axis=(-2, -1)).astype(np.float64)
    by_chance = _ratio((matrix.sum(axis=-1).astype(np.float64) * matrix.sum(axis=-2)).sum(axis=-1), total**2)
    return _ratio(overall_accuracy(matrix) - by_chance, 1 - by_chance)


def of_confusion(
    metric: OverallMetric, cases: Sequence[NDArray[np.int64]], draws: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """A score of the confusion matrix of each draw of cases.

    Args:
        metric: Its name.
        cases: Confusion matrix of each case, (K, K), N of them.
        draws: How often each case is drawn, (B, N).

    Returns:
        (B,), NaN where it is not defined; None if the metric is not of confusion matrices.
    """
    if metric not in _SCORES:
        return None
    single = np.stack(cases).reshape(len(cases), -1)
    at_once = max(1, _MOST_PIXEL_COUNTS // single.shape[1])
    parts = (draws[i : i + at_once] @ single for i in range(0, len(draws), at_once))
    return np.concatenate([_SCORES[metric](part.reshape(len(part), *cases[0].shape)) for part in parts])


_SCORES: dict[OverallMetric, Callable[[NDArray[np.int64]], NDArray[np.float64]]] = {
    "oa": overall_accuracy,
    "kappa": kappa,
    "miou": lambda matrices: nan_mean(ious(matrices)),
    "miou_without_background": lambda matrices: nan_mean(ious(matrices)[:, 1:]),
    "mf1": lambda matrices: nan_mean(f1_scores(matrices)),
    "mf1_without_background": lambda matrices: nan_mean(f1_scores(matrices)[:, 1:]),
}


def nan_mean(values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """Mean over an axis, by default the last, of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, values, 0).sum(axis=axis) / known.sum(axis=axis)
    return mean


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Numerator over denominator; NaN for 0 / 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: NDArray[np.float64] = np.where(denominator == 0, np.nan, numerator / denominator)
    return ratio

"""Scores of all cases together, which are not the mean of the cases' scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from samtailor.metrics import confusion
from samtailor.metrics.protocols import OverallMetric
from samtailor.metrics.targets import TargetCounts


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
                ious = [case.intersection / max(case.union, 1) for case in cases]
                return np.asarray((draws @ np.array(ious)) / draws.sum(axis=1))
            case "pd":
                return np.asarray(found / targets)
            case "fa":
                return np.asarray(1e6 * false_alarms / pixels)
            case _:
                return None


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
    single = np.stack(cases)
    matrices = (draws @ single.reshape(len(single), -1)).reshape(len(draws), *single.shape[1:])
    match metric:
        case "oa":
            return confusion.overall_accuracy(matrices)
        case "kappa":
            return confusion.kappa(matrices)
        case "miou" | "miou_without_background":
            classes = confusion.ious(matrices)
        case "mf1" | "mf1_without_background":
            classes = confusion.f1_scores(matrices)
        case _:
            return None
    return nan_mean(classes[:, 1:] if metric.endswith("_without_background") else classes)


def nan_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1)
    return mean

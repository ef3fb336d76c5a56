"""The content of `metrics.json`: all scores as plain values, and the rules they were made by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from samtailor.evaluation.bootstrap import Interval, Statistic
from samtailor.evaluation.case_scores import AVERAGINGS, Averaging, CaseScores
from samtailor.metrics.protocols import Metric

OVERALL_MEANS = {
    "classes": AVERAGINGS["mean"],
    "cases": "each class averaged over the cases; the mean over everything is of each case over its classes, then "
    "over the cases",
}


IGNORED_BACKGROUND = (
    "pixels whose true class is the first ('not labelled') count nowhere, and the means leave that class out; a "
    "labelled pixel that is predicted as it is wrong"
)
"""What it means that the background is ignored."""


def metrics_of(scores: CaseScores, averaging: Averaging = "mean") -> tuple[Metric, ...]:
    """Scores of a class in the file: DSC and IoU always, and what the protocol adds; only those two can be pooled."""
    surface = tuple(metric for metric in scores.metrics if metric not in ("dsc", "iou"))
    return ("dsc", "iou", *(surface if averaging == "mean" else ()))


def to_json(scores: CaseScores) -> dict[str, Any]:
    """Plain values, None for NaN and for intervals that are not defined."""
    names = scores.labels.names
    content: dict[str, Any] = {
        "protocol": scores.protocol,
        "upper_bound": scores.upper_bound,
        "source": dict(scores.source),
        "rules": {
            **scores.rules.rules(names),
            **({"background": IGNORED_BACKGROUND} if scores.ignore_background else {}),
            "grid": "native grid of each case, whole volumes",
            **AVERAGINGS,
            "mean": OVERALL_MEANS[scores.rules.overall_mean],
            "interval": "95 % percentile bootstrap over cases; null where fewer than two cases count",
            "resamples": scores.resamples,
            "seed": scores.seed,
        },
        "classes": list(names),
        "number_of_cases": len(scores.cases),
        "cases": _cases(scores),
        "interval": {},
    }
    for averaging in AVERAGINGS:
        summaries = {metric: scores.summary(metric, averaging) for metric in metrics_of(scores, averaging)}
        values, intervals = content[averaging], content["interval"][averaging] = {}, {}
        for k, name in enumerate(names):
            estimates = {metric: summary.classes[k] for metric, summary in summaries.items()}
            values[name], intervals[name] = _split(estimates)
        for mean in ("with_background", "without_background"):
            key = f"{averaging}_{mean}"
            estimates = {metric: getattr(summary, mean) for metric, summary in summaries.items()}
            content[key], content["interval"][key] = _split(estimates)
    overall = {metric: scores.overall(metric) for metric in scores.overall_metrics}
    content["overall"], content["interval"]["overall"] = _split(overall)
    if scores.confusion is not None:
        content["confusion"] = scores.confusion.tolist()
    return content


def _cases(scores: CaseScores) -> dict[str, Any]:
    """Scores and voxels of each case and class."""
    values = {metric: scores.per_case(metric) for metric in metrics_of(scores)}
    counts = scores.counts
    return {
        case.name: {
            name: {
                **{metric: number(array[n, k]) for metric, array in values.items()},
                "truth_voxels": int(counts.truth[n, k]),
                "predicted_voxels": int(counts.prediction[n, k]),
                "overlap_voxels": int(counts.tp[n, k]),
            }
            for k, name in enumerate(scores.labels.names)
        }
        for n, case in enumerate(scores.cases)
    }


def number(value: float) -> float | None:
    """A plain number; None for NaN, which JSON does not know."""
    return None if np.isnan(value) else float(value)


def _split(estimates: Mapping[Any, Statistic]) -> tuple[dict[str, float | None], dict[str, Interval | None]]:
    """Value and interval of each metric."""
    values = {metric: number(estimate.value) for metric, estimate in estimates.items()}
    return values, {metric: estimate.interval for metric, estimate in estimates.items()}

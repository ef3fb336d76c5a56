"""Scores of a set of cases: per case and class, averaged, pooled, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from samtailor.data.labels import LabelSpace
from samtailor.evaluation.bootstrap import percentile_interval, resample
from samtailor.metrics.empty import EMPTY_RULES, EmptyRule
from samtailor.metrics.overlap import Metric, Overlap, score

Averaging = Literal["mean", "pooled"]

METRICS: tuple[Metric, ...] = ("dsc", "iou")
AVERAGINGS: dict[Averaging, str] = {
    "mean": "each class averaged over the cases, then over the classes",
    "pooled": "voxels of all cases added up before scoring (and before the rule for absent classes is applied), "
    "then averaged over the classes",
}

Interval = tuple[float, float]


@dataclass(frozen=True)
class CaseScore:
    """Voxel counts of one case.

    Attributes:
        name: Name of the case.
        overlap: Voxels of each class, arrays of shape (K,).
    """

    name: str
    overlap: Overlap


@dataclass(frozen=True)
class Estimate:
    """A number and how much other cases might have changed it.

    Attributes:
        value: NaN if the rule leaves the class out of every case.
        interval: 95 % bootstrap interval over cases; None where fewer than two cases count.
    """

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Summary:
    """One metric over all cases.

    Attributes:
        classes: Of each class.
        with_background: Mean over all classes.
        without_background: Mean over all classes but the first.
    """

    classes: tuple[Estimate, ...]
    with_background: Estimate
    without_background: Estimate


@dataclass(frozen=True)
class Scores:
    """Everything that is known about the quality of a set of predictions.

    Attributes:
        labels: Label space.
        rule: What an absent class scores.
        cases: Counts of each case, at least one.
        resamples: Bootstrap resamples of the intervals.
        seed: Seed of the bootstrap.
    """

    labels: LabelSpace
    rule: EmptyRule
    cases: tuple[CaseScore, ...]
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError("expected at least one case, found none")

    @cached_property
    def counts(self) -> Overlap:
        """Counts of all cases, arrays of shape (N, K)."""
        overlaps = [case.overlap for case in self.cases]
        return Overlap(
            np.stack([counts.tp for counts in overlaps]),
            np.stack([counts.fp for counts in overlaps]),
            np.stack([counts.fn for counts in overlaps]),
        )

    def per_case(self, metric: Metric) -> NDArray[np.float64]:
        """Score of each case and class, (N, K); NaN where the rule leaves a class out."""
        return score(self.counts, metric, self.rule)

    def case_means(self, metric: Metric) -> NDArray[np.float64]:
        """Mean of each case over the classes but the background, (N,); NaN where none counts."""
        return _nan_mean(self.per_case(metric)[:, 1:])

    def summary(self, metric: Metric, averaging: Averaging = "mean") -> Summary:
        """The metric of all cases.

        Args:
            metric: 'dsc' or 'iou'.
            averaging: 'mean' averages each class over the cases; 'pooled' adds up the voxels of all cases first,
                so that large cases weigh more and a few pixels in one case cannot score 0 for the whole.
        """
        once = np.ones((1, len(self.cases)), dtype=np.int64)
        values = self._statistics(metric, averaging, once)[0]
        draws = resample(len(self.cases), self.resamples, self.seed)
        ends = percentile_interval(self._statistics(metric, averaging, draws))
        *classes, with_background, without_background = (
            Estimate(float(value), (float(low), float(high)) if count >= 2 and not np.isnan(low) else None)
            for value, low, high, count in zip(values, *ends, self._support(metric), strict=True)
        )
        return Summary(tuple(classes), with_background, without_background)

    def _statistics(self, metric: Metric, averaging: Averaging, draws: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores of each draw of cases (B, N): of each class, with and without background, (B, K + 2)."""
        match averaging:
            case "mean":
                values = self.per_case(metric)
                known = ~np.isnan(values)
                numbers = draws @ known
                with np.errstate(invalid="ignore"):  # 0 / 0: a class that counts in no case of the draw
                    classes = (draws @ np.where(known, values, 0)) / numbers
            case "pooled":
                pooled = Overlap(draws @ self.counts.tp, draws @ self.counts.fp, draws @ self.counts.fn)
                classes = score(pooled, metric, self.rule)
        return np.column_stack([classes, _nan_mean(classes), _nan_mean(classes[:, 1:])])

    def _support(self, metric: Metric) -> NDArray[np.int64]:
        """Cases that count for each class, with and without background, (K + 2,)."""
        known = ~np.isnan(self.per_case(metric))
        overall = (known.any(axis=1).sum(), known[:, 1:].any(axis=1).sum())
        return np.concatenate([known.sum(axis=0), overall])

    def to_json(self) -> dict[str, Any]:
        """Content of `metrics.json`: plain values, None for NaN and for intervals that are not defined."""
        content: dict[str, Any] = {
            "protocol": {
                "empty_rule": self.rule,
                "description": EMPTY_RULES[self.rule].description,
                "grid": "native grid of each case, whole volumes",
                **AVERAGINGS,
                "interval": "95 % percentile bootstrap over cases; null where fewer than two cases count",
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "classes": list(self.labels.names),
            "number_of_cases": len(self.cases),
            "cases": self._cases_json(),
            "interval": {},
        }
        for averaging in AVERAGINGS:
            dsc, iou = (self.summary(metric, averaging) for metric in METRICS)
            classes = list(zip(self.labels.names, dsc.classes, iou.classes, strict=True))
            content[averaging] = {name: _values(*pair) for name, *pair in classes}
            content["interval"][averaging] = {name: _intervals(*pair) for name, *pair in classes}
            for name, *pair in (
                (f"{averaging}_with_background", dsc.with_background, iou.with_background),
                (f"{averaging}_without_background", dsc.without_background, iou.without_background),
            ):
                content[name] = _values(*pair)
                content["interval"][name] = _intervals(*pair)
        return content

    def _cases_json(self) -> dict[str, Any]:
        """Scores and voxels of each case and class."""
        dsc, iou = (self.per_case(metric) for metric in METRICS)
        return {
            case.name: {
                name: {
                    "dsc": number(dsc[n, k]),
                    "iou": number(iou[n, k]),
                    "truth_voxels": int(self.counts.truth[n, k]),
                    "predicted_voxels": int(self.counts.prediction[n, k]),
                    "overlap_voxels": int(self.counts.tp[n, k]),
                }
                for k, name in enumerate(self.labels.names)
            }
            for n, case in enumerate(self.cases)
        }


def number(value: float) -> float | None:
    """A plain number; None for NaN, which JSON does not know."""
    return None if np.isnan(value) else float(value)


def _values(dsc: Estimate, iou: Estimate) -> dict[str, float | None]:
    """Values of both metrics."""
    return {"dsc": number(dsc.value), "iou": number(iou.value)}


def _intervals(dsc: Estimate, iou: Estimate) -> dict[str, Interval | None]:
    """Intervals of both metrics."""
    return {"dsc": dsc.interval, "iou": iou.interval}


def _nan_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1)
    return mean

"""Numbers of a set of scored cases: per case and class, averaged, pooled, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from samtailor.evaluation.bootstrap import Statistic, means_of_draws, resample, with_intervals
from samtailor.labels import LabelSpace
from samtailor.metrics.confusion import nan_mean, of_confusion
from samtailor.metrics.overlap import Overlap, OverlapMetric, score
from samtailor.metrics.protocols import PROTOCOLS, Metric, OverallMetric, Protocol, ProtocolName
from samtailor.metrics.targets import TargetCounts, of_targets

Averaging = Literal["mean", "pooled"]

AVERAGINGS: dict[Averaging, str] = {
    "mean": "each class averaged over the cases, then over the classes",
    "pooled": "voxels of all cases added up before scoring (and before the rule for absent classes is applied), "
    "then averaged over the classes",
}

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

_OVERLAP: tuple[OverlapMetric, ...] = ("dsc", "iou")


@dataclass(frozen=True)
class CaseScore:
    """What is known about one case.

    Attributes:
        name: Name of the case.
        overlap: Voxels of each class, arrays of shape (K,).
        measured: What the protocol measures of each class, by the key of the metric, (K,); NaN where a class is left
            out.
        confusion: Pixels of true (row) and predicted class, (K, K), where the protocol asks for them.
        targets: Small targets, where the protocol asks for them.
        unit: What is counted: 'pixels' of pictures.
        fold: Which fold of a cross-validation has left it out, and predicted it; None elsewhere.
    """

    name: str
    overlap: Overlap
    measured: Mapping[Metric, NDArray[np.float64]] = field(default_factory=dict)
    confusion: NDArray[np.int64] | None = None
    targets: TargetCounts | None = None
    unit: Literal["voxels", "pixels"] = "voxels"
    fold: int | None = None


@dataclass(frozen=True)
class Summary:
    """One metric over all cases: of each class, and its means over all classes and over all but the first."""

    classes: tuple[Statistic, ...]
    with_background: Statistic
    without_background: Statistic


@dataclass(frozen=True, repr=False)
class CaseScores:
    """The numbers alone; `samtailor.evaluation.scores.Scores` adds the tables and files that are made of them.

    Attributes:
        labels: Label space.
        protocol: By which rules, see `samtailor.metrics.protocols`.
        cases: Counts of each case, at least one.
        resamples: Bootstrap resamples of the intervals.
        seed: Seed of the bootstrap.
        upper_bound: Why these scores are no segmenter's but a bound that uses the ground truth, in a sentence that
            every table, file and figure repeats; None for scores of predictions.
        source: What was scored: data, split, and the run, base or predictions; plain values.
        ignore_background: Whether pixels whose true class is the first counted nowhere; means over all classes then
            leave that class out.
    """

    labels: LabelSpace
    protocol: ProtocolName
    cases: tuple[CaseScore, ...]
    resamples: int = 1000
    seed: int = 0
    upper_bound: str | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    ignore_background: bool = False

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError("expected at least one case, found none")
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol: expected one of {', '.join(PROTOCOLS)}; found '{self.protocol}'")

    @property
    def rules(self) -> Protocol:
        """The protocol itself."""
        return PROTOCOLS[self.protocol]

    @property
    def unit(self) -> Literal["voxels", "pixels"]:
        """What is counted: pixels where all cases are pictures."""
        return "pixels" if all(case.unit == "pixels" for case in self.cases) else "voxels"

    @cached_property
    def folds(self) -> dict[int, Self]:
        """The scores of the cases of each fold alone; none where they are not those of a cross-validation."""
        numbers = sorted({case.fold for case in self.cases if case.fold is not None})
        parts = {n: [replace(case, fold=None) for case in self.cases if case.fold == n] for n in numbers}
        return {n: replace(self, cases=tuple(cases)) for n, cases in parts.items()}

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The protocol's scores of a class in a case that are known here, the main one first."""
        known = {metric for case in self.cases for metric in (*case.measured, *_OVERLAP)}
        return tuple(metric for metric in self.rules.metrics if metric in known)

    @cached_property
    def _draws(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How often each case counts: once each, (1, N), and in each resample, (B, N)."""
        cases = len(self.cases)
        return np.ones((1, cases), dtype=np.int64), resample(cases, self.resamples, self.seed)

    @cached_property
    def overall_metrics(self) -> tuple[OverallMetric, ...]:
        """The protocol's scores of all cases together that are known here."""
        return tuple(metric for metric in self.rules.overall if self._overall(metric, self._draws[0]) is not None)

    def listed_metrics(self, averaging: Averaging = "mean") -> tuple[Metric, ...]:
        """Scores of a class in files: DSC and IoU always, and what the protocol adds; only those two can be pooled."""
        surface = tuple(metric for metric in self.metrics if metric not in _OVERLAP)
        return (*_OVERLAP, *(surface if averaging == "mean" else ()))

    @cached_property
    def counts(self) -> Overlap:
        """Counts of all cases, arrays of shape (N, K)."""
        return Overlap.stacked(case.overlap for case in self.cases)

    @cached_property
    def confusion(self) -> NDArray[np.int64] | None:
        """Pixels of all cases of true (row) and predicted class, (K, K); None where they are not known."""
        matrices = [case.confusion for case in self.cases if case.confusion is not None]
        return np.sum(matrices, axis=0) if len(matrices) == len(self.cases) else None

    def per_case(self, metric: Metric) -> NDArray[np.float64]:
        """Score of each case and class, (N, K); NaN where the rule leaves a class out, or it was not computed."""
        if metric in _OVERLAP:
            return self._of_counts(self.counts, metric)
        unknown = np.full(len(self.labels), np.nan)
        return np.stack([case.measured.get(metric, unknown) for case in self.cases])

    def _of_counts(self, counts: Overlap, metric: OverlapMetric) -> NDArray[np.float64]:
        """DSC or IoU of counts, of their shape."""
        values = score(counts, metric, self.rules.empty)
        if self.ignore_background:
            values[..., 0] = np.nan
        return values

    def case_means(self, metric: Metric) -> NDArray[np.float64]:
        """Mean of each case over the classes but the background, (N,); NaN where none counts."""
        return nan_mean(self.per_case(metric)[:, 1:])

    def summary(self, metric: Metric, averaging: Averaging = "mean") -> Summary:
        """The metric of all cases.

        Args:
            metric: Its name.
            averaging: 'mean' averages each class over the cases; 'pooled' (DSC and IoU only) adds up the voxels of
                all cases first, so that large cases weigh more and a few pixels in one case cannot score 0 for the
                whole.
        """
        value, resampled = (self._statistics(metric, averaging, draws) for draws in self._draws)
        *classes, with_background, without_background = with_intervals(value[0], resampled, self._support(metric))
        return Summary(tuple(classes), with_background, without_background)

    def overall(self, metric: OverallMetric) -> Statistic:
        """A score of all cases together.

        Raises:
            ValueError: If the protocol does not have it, or it is not known here.
        """
        if metric not in self.overall_metrics:
            raise ValueError(f"metric: expected one of {self.overall_metrics}, found '{metric}'")
        value, resampled = (self._overall(metric, draws) for draws in self._draws)
        return with_intervals(value, resampled[:, None], [len(self.cases)])[0]

    def _overall(self, metric: OverallMetric, draws: NDArray[np.int64]) -> Any:
        """The score of each draw of cases (B, N), (B,); None if it is not known here."""
        targets = [case.targets for case in self.cases if case.targets is not None]
        if len(targets) == len(self.cases):
            return of_targets(metric, targets, draws)
        if self.ignore_background and metric in ("miou", "mf1"):
            metric = "miou_without_background" if metric == "miou" else "mf1_without_background"
        matrices = [case.confusion for case in self.cases if case.confusion is not None]
        return of_confusion(metric, matrices, draws) if len(matrices) == len(self.cases) else None

    def _statistics(self, metric: Metric, averaging: Averaging, draws: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores of each draw of cases (B, N): of each class, with and without background, (B, K + 2)."""
        if averaging == "mean":
            values = self.per_case(metric)
            classes = means_of_draws(values, draws)
            if self.rules.overall_mean == "cases":
                cases = np.column_stack([nan_mean(values), nan_mean(values[:, 1:])])
                return np.column_stack([classes, means_of_draws(cases, draws)])
        else:
            pooled = Overlap(*(draws @ counts for counts in self.counts))
            classes = self._of_counts(pooled, cast(OverlapMetric, metric))
        return np.column_stack([classes, nan_mean(classes), nan_mean(classes[:, 1:])])

    def _support(self, metric: Metric) -> NDArray[np.int64]:
        """Cases that count for each class, with and without background, (K + 2,)."""
        known = ~np.isnan(self.per_case(metric))
        overall = (known.any(axis=1).sum(), known[:, 1:].any(axis=1).sum())
        return np.concatenate([known.sum(axis=0), overall])

"""Paired differences of results on the same cases, with intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.evaluation.bootstrap import percentile_interval, resample
from samtailor.evaluation.comparison.results import ScoredResult
from samtailor.evaluation.comparison.statistics import differences, holm, signed_rank
from samtailor.evaluation.metrics_json import number
from samtailor.evaluation.scores import Statistic
from samtailor.metrics.protocols import METRIC_NAMES

MEAN = "mean of the classes"
LOWER_IS_BETTER = frozenset({"hd95", "hd", "assd", "masd", "fa"})


@dataclass(frozen=True)
class Difference:
    """Whether two results differ in one class, or in the mean of the classes.

    Attributes:
        what: The class, or `MEAN`.
        means: Of the reference and of the other, over the pairs; NaN without pairs.
        change: The other minus the reference, mean over the pairs, with its interval.
        pairs: Cases in which the class counts in both results.
        unpaired: Cases in which it counts in one of them only.
        signs: Cases in which the other is better, equal, worse.
        p: Wilcoxon's signed-rank test; NaN without pairs.
        corrected: The same after Holm's correction over all tests of the comparison.
    """

    what: str
    means: tuple[float, float]
    change: Statistic
    pairs: int
    unpaired: int
    signs: tuple[int, int, int]
    p: float
    corrected: float = float("nan")


@dataclass(frozen=True)
class PairedDifference:
    """Two results, test by test.

    Attributes:
        reference: What is subtracted.
        result: What it is subtracted from.
        tests: The mean of the classes first, then each class but the background.
    """

    reference: ScoredResult
    result: ScoredResult
    tests: tuple[Difference, ...]


@dataclass(frozen=True)
class Comparison:
    """Results on the same cases, and how they differ.

    Attributes:
        metric: The score.
        results: On the same cases and classes, the reference first.
        pairs: Each result with the first, or each with every other.
        left_out: Cases and classes that not all results have, in words.
        resamples: Bootstrap resamples of the intervals.
        seed: Seed of the bootstrap.
    """

    metric: str
    results: tuple[ScoredResult, ...]
    pairs: tuple[PairedDifference, ...]
    left_out: tuple[str, ...]
    resamples: int
    seed: int

    @property
    def tests(self) -> list[Difference]:
        """All tests."""
        return [test for pair in self.pairs for test in pair.tests]

    @property
    def upper_bounds(self) -> dict[str, str]:
        """Results made with the ground truth, and how."""
        return {result.name: result.upper_bound for result in self.results if result.upper_bound}

    @cached_property
    def means(self) -> dict[str, dict[str, Statistic]]:
        """Mean over the cases of each result: of the mean of the classes and of each class."""
        return {
            result.name: dict(zip(rows(result), estimates(columns(result), self.resamples, self.seed), strict=True))
            for result in self.results
        }

    def to_json(self) -> dict[str, Any]:
        """Content of compare.json: plain values, None where a number is not defined."""
        return {
            "metric": self.metric,
            "protocol": self.results[0].protocol,
            "cases": list(self.results[0].cases),
            "classes": list(self.results[0].classes),
            "left_out": list(self.left_out),
            "interval": "95 % percentile bootstrap over cases; null where fewer than two count",
            "resamples": self.resamples,
            "seed": self.seed,
            "test": "Wilcoxon signed-rank, two-sided, zero differences left out; Holm's correction over all tests",
            "results": [
                {
                    "name": result.name,
                    "file": str(result.file),
                    "source": result.source,
                    "upper_bound": result.upper_bound,
                    "means": {what: _estimate(estimate) for what, estimate in self.means[result.name].items()},
                }
                for result in self.results
            ],
            "pairs": [
                {
                    "reference": pair.reference.name,
                    "result": pair.result.name,
                    "upper_bound": pair.reference.upper_bound or pair.result.upper_bound,
                    "tests": {test.what: _test(test) for test in pair.tests},
                }
                for pair in self.pairs
            ],
        }


def metric_title(metric: str) -> str:
    """A metric as people write it."""
    return {str(key): name for key, name in METRIC_NAMES.items()}.get(metric, metric.upper())


def rows(result: ScoredResult) -> list[str]:
    """What is compared: the mean of the classes and each class; with one class only that."""
    return [MEAN, *result.classes] if len(result.classes) > 1 else list(result.classes)


def columns(result: ScoredResult) -> NDArray[np.float64]:
    """Values of the cases for what is compared, (N, len(rows))."""
    return np.column_stack([result.case_means(), result.values]) if len(result.classes) > 1 else result.values


def compare_pair(
    reference: ScoredResult, result: ScoredResult, metric: str, resamples: int, seed: int
) -> tuple[Difference, ...]:
    """All tests of two results on the same cases and classes, not yet corrected."""
    before, after = columns(reference), columns(result)
    changes = differences(after, before)
    known = ~np.isnan(changes)
    unpaired = np.isnan(before) != np.isnan(after)
    better = -1 if metric in LOWER_IS_BETTER else 1
    return tuple(
        Difference(
            what,
            (_mean(before[known[:, k], k]), _mean(after[known[:, k], k])),
            change,
            int(known[:, k].sum()),
            int(unpaired[:, k].sum()),
            tuple(int((np.sign(changes[:, k]) == sign).sum()) for sign in (better, 0, -better)),  # type: ignore[arg-type]
            signed_rank(changes[known[:, k], k]),
        )
        for k, (what, change) in enumerate(zip(rows(reference), estimates(changes, resamples, seed), strict=True))
    )


def correct(pairs: Sequence[PairedDifference]) -> tuple[PairedDifference, ...]:
    """The same pairs with the p values of all their tests corrected."""
    corrected = iter(holm([test.p for pair in pairs for test in pair.tests]))
    return tuple(
        replace(pair, tests=tuple(replace(test, corrected=next(corrected)) for test in pair.tests)) for pair in pairs
    )


def estimates(values: NDArray[np.float64], resamples: int, seed: int) -> list[Statistic]:
    """Mean of each column over the cases in which it is known, with its bootstrap interval.

    Args:
        values: (N, M), NaN where a case does not count.
        resamples: Number of resamples.
        seed: Equal seeds draw the same cases.
    """
    known = ~np.isnan(values)
    draws = np.vstack([np.ones((1, len(values)), np.int64), resample(len(values), resamples, seed)])
    with np.errstate(invalid="ignore"):  # 0 / 0: no case of the draw counts
        means = (draws @ np.where(known, values, 0)) / (draws @ known)
    low, high = percentile_interval(means[1:])
    return [
        Statistic(float(value), (float(a), float(b)) if count >= 2 else None)
        for value, a, b, count in zip(means[0], low, high, known.sum(axis=0), strict=True)
    ]


def left_out(found: Sequence[ScoredResult], shared: ScoredResult) -> tuple[str, ...]:
    """Cases and classes of some results that are not compared, in words."""
    cases = dict.fromkeys(name for result in found for name in result.cases if name not in shared.cases)
    classes = dict.fromkeys(name for result in found for name in result.classes if name not in shared.classes)
    return tuple(f"{what}: {', '.join(names)}" for what, names in (("cases", cases), ("classes", classes)) if names)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _estimate(estimate: Statistic) -> dict[str, Any]:
    return {"value": number(estimate.value), "interval": estimate.interval}


def _test(test: Difference) -> dict[str, Any]:
    """A test for JSON."""
    return {
        "reference": number(test.means[0]),
        "result": number(test.means[1]),
        "difference": _estimate(test.change),
        "pairs": test.pairs,
        "unpaired": test.unpaired,
        "better": test.signs[0],
        "equal": test.signs[1],
        "worse": test.signs[2],
        "p": number(test.p),
        "p_holm": number(test.corrected),
    }

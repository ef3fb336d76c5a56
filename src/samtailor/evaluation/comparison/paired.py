"""Paired differences of two results on the same cases, with intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from samtailor.evaluation.bootstrap import Statistic, means_of_draws, resample, with_intervals
from samtailor.evaluation.comparison.results import ScoredResult
from samtailor.evaluation.comparison.statistics import differences, holm, signed_rank
from samtailor.metrics.protocols import LOWER_IS_BETTER

MEAN = "mean of the classes"


@dataclass(frozen=True)
class Difference:
    """Whether two results differ in one class, or in the mean of the classes.

    Attributes:
        name: The class, or `MEAN`.
        means: Of the reference and of the other, over the pairs; NaN without pairs.
        change: The other minus the reference, mean over the pairs, with its interval.
        pairs: Cases in which the class counts in both results.
        unpaired: Cases in which it counts in one of them only.
        signs: Cases in which the other is better, equal, worse.
        p: Wilcoxon's signed-rank test; NaN without pairs.
        corrected: The same after Holm's correction over all tests of the comparison.
    """

    name: str
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

    @property
    def heading(self) -> str:
        """What is compared with what."""
        return f"{self.result.name} against {self.reference.name}"


def compared_names(result: ScoredResult) -> list[str]:
    """What is compared: the mean of the classes and each class; with one class only that."""
    return [MEAN, *result.classes] if len(result.classes) > 1 else list(result.classes)


def compared_values(result: ScoredResult) -> NDArray[np.float64]:
    """Values of the cases for what is compared, (N, len(compared_names))."""
    return np.column_stack([result.case_means(), result.values]) if len(result.classes) > 1 else result.values


def compare_pair(
    reference: ScoredResult, result: ScoredResult, metric: str, resamples: int, seed: int
) -> tuple[Difference, ...]:
    """All tests of two results on the same cases and classes, not yet corrected."""
    names, before, after = compared_names(reference), compared_values(reference), compared_values(result)
    changes = differences(after, before)
    known = ~np.isnan(changes)
    unpaired = np.isnan(before) != np.isnan(after)
    better = -1 if metric in LOWER_IS_BETTER else 1
    return tuple(
        Difference(
            name,
            (_mean(before[known[:, k], k]), _mean(after[known[:, k], k])),
            change,
            int(known[:, k].sum()),
            int(unpaired[:, k].sum()),
            tuple(int((np.sign(changes[:, k]) == sign).sum()) for sign in (better, 0, -better)),  # type: ignore[arg-type]
            signed_rank(changes[known[:, k], k]),
        )
        for k, (name, change) in enumerate(zip(names, estimates(changes, resamples, seed), strict=True))
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
    draws = np.vstack([np.ones((1, len(values)), np.int64), resample(len(values), resamples, seed)])
    means = means_of_draws(values, draws)
    return with_intervals(means[0], means[1:], (~np.isnan(values)).sum(axis=0))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")

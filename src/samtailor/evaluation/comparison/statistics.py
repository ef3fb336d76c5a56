"""Paired differences of two results on the same cases: intervals, Wilcoxon's signed-rank test, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from samtailor.evaluation.bootstrap import Statistic, means_of_draws, resample, with_intervals
from samtailor.evaluation.comparison.results import ScoredResult
from samtailor.metrics.protocols import LOWER_IS_BETTER

MEAN = "mean of the classes"

ALPHA = 0.05
"""Level of significance."""
EXACT_PAIRS = 50
"""Up to so many pairs the test is exact; scipy's own rule, too, goes over to the normal distribution there."""

_DECIMALS = 12  # of a difference; below is only the rounding of floats, which would hide zeros and ties


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
    """Mean of each column of (N, M) over the cases in which it is known, with its bootstrap interval."""
    draws = np.vstack([np.ones((1, len(values)), np.int64), resample(len(values), resamples, seed)])
    means = means_of_draws(values, draws)
    return with_intervals(means[0], means[1:], (~np.isnan(values)).sum(axis=0))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def differences(values: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Paired differences, free of the rounding of floats; NaN where one of the pair is."""
    return np.round(values - reference, _DECIMALS)


def signed_rank(pairs: NDArray[np.float64]) -> float:
    """P value of Wilcoxon's signed-rank test, two-sided: is the difference symmetric about zero?

    Zero differences are left out, as Wilcoxon did; ties take their mean rank. With at most `EXACT_PAIRS` other
    differences the distribution of the rank sum over all choices of signs is counted out, ties included (scipy counts
    it out only without ties, or up to 13 pairs); with more it is scipy's normal approximation, corrected for ties.

    Args:
        pairs: Differences, (N,), without NaN.

    Returns:
        In (0, 1]; 1 if all differences are zero. NaN without any.

    Sources:
        F. Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1 (1945).
    """
    from scipy.stats import rankdata, wilcoxon

    if not len(pairs):
        return math.nan
    changes = pairs[pairs != 0]
    if not len(changes):
        return 1.0
    if len(changes) > EXACT_PAIRS:
        return float(wilcoxon(changes, correction=False).pvalue)
    doubled = np.rint(2 * rankdata(np.abs(changes))).astype(np.int64)  # mean ranks are whole or half numbers
    counts = np.ones(1)  # choices of signs that give each doubled rank sum
    for rank in doubled:
        counts = np.pad(counts, (0, rank)) + np.pad(counts, (rank, 0))
    positive = int(doubled[changes > 0].sum())
    tail = min(counts[: positive + 1].sum(), counts[positive:].sum())
    return float(min(1.0, 2 * tail / counts.sum()))


def smallest_p(pairs: int) -> float:
    """Smallest p value that a number of differences other than zero can give, when all have one sign."""
    return min(1.0, 2.0 ** (1 - pairs))


def least_pairs(tests: int) -> int:
    """Pairs with which the smallest of some p values can still fall below `ALPHA` after Holm's correction."""
    return next(pairs for pairs in range(1, 64) if tests * smallest_p(pairs) < ALPHA)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number by Holm's step-down method; NaN (no test) stays and is not counted.

    Sources:
        S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6 (1979).
    """
    order = sorted((index for index, p in enumerate(p_values) if not math.isnan(p)), key=lambda index: p_values[index])
    corrected = [math.nan] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * p_values[index]))
        corrected[index] = largest
    return corrected

"""Statistics of paired differences: Wilcoxon's signed-rank test and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
"""Level of significance."""
EXACT_PAIRS = 50
"""Up to so many pairs the test is exact; scipy's own rule, too, goes over to the normal distribution there."""

_DECIMALS = 12  # of a difference; below is only the rounding of floats, which would hide zeros and ties


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
    """P values corrected for their number by Holm's step-down method.

    Args:
        p_values: Of all tests; NaN marks a test that was not done, it stays NaN and is not counted.

    Returns:
        Corrected values in the same order: below a level with the family-wise error of that level.

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

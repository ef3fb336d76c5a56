"""Bootstrap over cases: how much a mean could have differed with other cases of the same kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Coverage of the intervals."""


def resample(cases: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each case is drawn in each resample of as many cases, with replacement.

    Args:
        cases: Number of cases N.
        resamples: Number of resamples B.
        seed: Equal seeds give equal draws.

    Returns:
        (B, N), every row sums to N.
    """
    random = np.random.default_rng(seed)
    return random.multinomial(cases, np.full(cases, 1 / cases), size=resamples)


def percentile_interval(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Percentile interval of each column, over the resamples in which it is defined.

    Args:
        statistics: A statistic of each resample, (B, M); NaN where it is not defined.

    Returns:
        Lower and upper end, (2, M); NaN for a column that is never defined.
    """
    ends = np.full((2, statistics.shape[1]), np.nan)
    known = ~np.isnan(statistics).all(axis=0)
    tail = 100 * (1 - LEVEL) / 2
    ends[:, known] = np.nanpercentile(statistics[:, known], (tail, 100 - tail), axis=0)
    return ends

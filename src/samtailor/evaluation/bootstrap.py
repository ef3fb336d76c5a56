"""Bootstrap over cases: how much a mean could have differed with other cases of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Coverage of the intervals."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Statistic:
    """A number and how much other cases might have changed it.

    Attributes:
        value: NaN if no case counts.
        interval: 95 % bootstrap interval over cases; None where fewer than two cases count.
    """

    value: float
    interval: Interval | None


def resample(cases: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each of N cases is drawn in each of B resamples, with replacement, (B, N); equal seeds, equal draws."""
    return np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), size=resamples)


def percentile_interval(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower and upper end of each column, (2, M), over the resamples (B, M) that are not NaN; NaN where all are."""
    ends = np.full((2, statistics.shape[1]), np.nan)
    known = ~np.isnan(statistics).all(axis=0)
    tail = 100 * (1 - LEVEL) / 2
    ends[:, known] = np.nanpercentile(statistics[:, known], (tail, 100 - tail), axis=0)
    return ends


def means_of_draws(values: NDArray[np.float64], draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of each column of (N, M) over each draw of cases (B, N), (B, M); NaN counts nowhere."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):  # 0 / 0
        means: NDArray[np.float64] = (draws @ np.where(known, values, 0)) / (draws @ known)
    return means


def with_intervals(
    values: NDArray[np.float64], resampled: NDArray[np.float64], counts: Sequence[int] | NDArray[np.int64]
) -> list[Statistic]:
    """Statistics (M,) with intervals, of those of each resample (B, M); `counts`: cases that count for each, (M,)."""
    return [
        Statistic(float(value), (float(low), float(high)) if count >= 2 and not np.isnan(low) else None)
        for value, low, high, count in zip(values, *percentile_interval(resampled), counts, strict=True)
    ]

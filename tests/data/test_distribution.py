"""Percentiles by counting are NumPy's, to the last bit, in as few looks as the type's bits ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.data.distribution import Distribution, percentiles
from samtailor.data.intensity import ByChannel, CTWindow, Percentile, Range, limits_of

PERCENTAGES = [(0.0, 100.0), (0.5, 99.5), (33.3, 50.0), (2.0, 98.0)]


def values(dtype: str, seed: int, channels: int = 3) -> NDArray[Any]:
    """Numbers of a type over much of its range, zeros of both signs among them, (C, N)."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(0, 1, (channels, int(rng.integers(1, 400))))
    kind = np.dtype(dtype)
    if kind.kind == "f":
        drawn[:, ::5], drawn[:, ::7] = 0.0, -0.0
        return (drawn * 10.0 ** rng.uniform(-6, 6)).astype(kind)
    limits = np.iinfo(kind)
    middle, reach = float(limits.max) / 2 + float(limits.min) / 2, min(float(limits.max) / 8, 1e15)
    return np.clip(middle + reach * drawn, float(limits.min), float(limits.max) / 2).astype(kind)


class Looks:
    """Gives values in parts, and counts how often."""

    def __init__(self, whole: NDArray[Any]) -> None:
        self.whole, self.count = whole, 0

    def __call__(self) -> Iterator[NDArray[Any]]:
        self.count += 1
        for start in range(0, self.whole.shape[1], 57):
            yield self.whole[:, start : start + 57]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("dtype", "looks"),
    [
        *(("uint8", 1), ("int8", 1), ("uint16", 1), ("int16", 1), ("int32", 2), ("uint32", 2), ("float32", 2)),
        *(("float64", 4), ("int64", 4)),
    ],
)
def test_percentiles_are_those_of_all_values(dtype: str, looks: int, seed: int) -> None:
    whole = values(dtype, seed)
    parts = Looks(whole)
    together = Distribution.of(parts, len(whole), whole.dtype)
    wanted = [(part, pair) for part in (together, *together) for pair in PERCENTAGES]
    known = [(part, pair) for part in (whole, *whole) for pair in PERCENTAGES]
    for found, (part, pair) in zip(percentiles(wanted), known, strict=True):
        assert found == tuple(np.percentile(part, pair).astype(float))
    assert parts.count == looks
    assert (together.min(), together.max(), together.count) == (whole.min(), whole.max(), whole.size)


def test_a_channel_that_is_repeated_counts_as_often() -> None:
    whole = np.repeat(values("uint16", 0, channels=1), 3, axis=0)
    (found,) = percentiles([(Distribution.of(Looks(whole), 3, whole.dtype), (1.0, 99.0))])
    assert found == tuple(np.percentile(whole, (1, 99)))


@pytest.mark.parametrize(
    "intensity", [Percentile(1, 99), Range(), ByChannel((Percentile(1, 99), CTWindow(40, 400), Percentile(0, 50)))]
)
def test_limits_are_those_of_the_whole_image(intensity: Any) -> None:
    whole = values("int16", 1)
    found = limits_of(intensity, Distribution.of(Looks(whole), len(whole), whole.dtype))
    for one, other in zip(found, intensity.limits(whole), strict=True):
        np.testing.assert_array_equal(one, other)


def test_fixed_limits_need_no_look() -> None:
    parts = Looks(values("int16", 1))
    limits_of(Range(), Distribution.of(parts, 3, np.dtype(np.int16)))
    assert parts.count == 0

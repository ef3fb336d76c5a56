"""Percentiles of values that are too many to be held: those of NumPy to the last bit, by counting.

The bits of a number, read so that they are in order as the numbers are, are counted sixteen at a time, the highest
first: one look at all values tells which of 65,536 bins a percentile is in, and the next one looks into that bin only.
Eight and sixteen bits take one look, single precision two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_BITS = 16


class Counts:
    """How often each bin occurs in each channel of values that are looked at part by part, as often as need be."""

    def __init__(self, parts: Callable[[], Iterable[NDArray[Any]]], channels: int, dtype: np.dtype[Any]) -> None:
        """Know where values come from.

        Args:
            parts: Gives all values, some at a time, (C, N), without NaN: the same ones in every call.
            channels: C.
            dtype: Their type, integers or floats in native byte order.
        """
        self.dtype = dtype
        self.bits = 8 * dtype.itemsize
        self.step = min(_BITS, self.bits)
        self._parts = parts
        self._channels = channels
        self._tables: dict[tuple[int, int, int], NDArray[np.int64]] = {}

    def of(self, wanted: Sequence[tuple[int, int]], shift: int) -> list[NDArray[np.int64]]:
        """How often the next bits, those above the lowest `shift`, are 0, 1, ... in a channel behind a prefix.

        Args:
            wanted: Channels and prefixes; what is asked for at once is counted in one look.
            shift: Bits that are left for later.
        """
        is_first = shift + self.step == self.bits
        missing = {(channel, shift, prefix) for channel, prefix in wanted} - self._tables.keys()
        if missing:
            missing |= {(channel, shift, 0) for channel in range(self._channels) if is_first}
            found = {key: np.zeros(1 << self.step, np.int64) for key in missing}
            for part in self._parts():
                for (channel, _, prefix), table in found.items():
                    keys = _keys(part[channel])
                    keys = keys if is_first else keys[keys >> (shift + self.step) == prefix]
                    table += np.bincount(keys >> shift & (len(table) - 1), minlength=len(table))
            self._tables |= found
        return [self._tables[channel, shift, prefix] for channel, prefix in wanted]


@dataclass(frozen=True)
class Distribution:
    """The values of some channels together.

    Attributes:
        counts: Of all channels of the image.
        channels: Which of them.
    """

    counts: Counts
    channels: tuple[int, ...]

    @classmethod
    def of(cls, parts: Callable[[], Iterable[NDArray[Any]]], channels: int, dtype: np.dtype[Any]) -> Self:
        """All values of an image, from where `Counts` takes them."""
        return cls(Counts(parts, channels, dtype), tuple(range(channels)))

    def __iter__(self) -> Iterator[Distribution]:
        """The values of each channel for themselves."""
        return (Distribution(self.counts, (channel,)) for channel in self.channels)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.counts.dtype

    @property
    def count(self) -> int:
        """How many values there are."""
        first = self.counts.of([(channel, 0) for channel in self.channels], self.counts.bits - self.counts.step)
        return sum(int(table.sum()) for table in first)

    def min(self) -> Any:
        """The least value."""
        return _found([_Search(self, 0)])[0]

    def max(self) -> Any:
        """The greatest value."""
        return _found([_Search(self, self.count - 1)])[0]


def percentiles(wanted: Sequence[tuple[Distribution, tuple[float, float]]]) -> list[tuple[float, float]]:
    """Two percentiles each of values, as `np.percentile` gives them.

    Args:
        wanted: Distributions of one image, and two numbers in [0, 100] for each. What is asked for at once is found in
            the same looks at the values.
    """
    searches, weights = [], []
    for values, percentages in wanted:
        last = values.count - 1
        places = last * np.true_divide(percentages, 100)
        before = np.where(places >= last, last, np.floor(places)).astype(np.int64)
        behind = np.minimum(before + 1, last)
        weights.append(np.asarray(places - before, np.float64))
        searches += [_Search(values, int(rank)) for pair in (before, behind) for rank in pair]
    found = _found(searches).reshape(-1, 2, 2) if searches else ()
    pairs = [_between(before, behind, weight) for (before, behind), weight in zip(found, weights, strict=True)]
    return [(float(low), float(high)) for low, high in pairs]


@dataclass
class _Search:
    """One of the values in order, being looked for.

    Attributes:
        values: Among which.
        rank: Its place, from 0, among those that share its prefix.
        prefix: Its highest bits.
    """

    values: Distribution
    rank: int
    prefix: int = 0

    @property
    def asked(self) -> list[tuple[int, int]]:
        """Channels and prefix of which it has to know the next bits."""
        return [(channel, self.prefix) for channel in self.values.channels]


def _found(searches: Sequence[_Search]) -> NDArray[Any]:
    """The values that are looked for, all of one image."""
    counts = searches[0].values.counts
    for shift in range(counts.bits - counts.step, -1, -counts.step):
        tables = iter(counts.of([asked for search in searches for asked in search.asked], shift))
        for search in searches:
            ends = np.cumsum(np.sum([next(tables) for _ in search.values.channels], axis=0))
            digit = int(np.searchsorted(ends, search.rank, side="right"))
            search.rank -= int(ends[digit - 1]) if digit else 0
            search.prefix = search.prefix << counts.step | digit
    return _values(np.array([search.prefix for search in searches], f"u{counts.bits // 8}"), counts.dtype)


def _keys(values: NDArray[Any]) -> NDArray[Any]:
    """Unsigned integers that are in order as the values are."""
    bits = values.view(f"u{values.itemsize}")
    sign = bits.dtype.type(1 << (8 * values.itemsize - 1))
    match values.dtype.kind:
        case "u":
            keys = bits
        case "i":
            keys = bits ^ sign
        case _:
            keys = np.where(bits & sign, ~bits, bits | sign)
    return np.asarray(keys)


def _values(keys: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Inverse of `_keys`."""
    sign = keys.dtype.type(1 << (8 * keys.itemsize - 1))
    match dtype.kind:
        case "u":
            bits = keys
        case "i":
            bits = keys ^ sign
        case _:
            bits = np.where(keys & sign, keys ^ sign, ~keys)
    return bits.view(dtype)


def _between(before: NDArray[Any], behind: NDArray[Any], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values between two each, rounded as NumPy rounds them."""
    distance = behind - before
    return np.asarray(np.where(weight >= 0.5, behind - distance * (1 - weight), before + distance * weight), np.float64)

"""Stitching the windows of a slice as they come: what no further window touches is passed on and forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from samtailor.data.preprocessing import Window
from samtailor.inference.enlarge import enlarged, pieces
from samtailor.inference.views import FLIPS, Axes


@dataclass(frozen=True)
class Settled:
    """A part of a slice that no further window changes.

    Attributes:
        rows: Its rows.
        columns: Its columns.
        band: Rows across the slice that it belongs to; its last part is that of the last row and the last columns.
        logits: Class logits, (K, rows, columns).
    """

    rows: slice
    columns: slice
    band: slice
    logits: Tensor


class Stitcher:
    """Weighted mean of the windows of one slice, which come row by row.

    It holds one window, and across the slice only those rows in which windows overlap with the next below.
    """

    def __init__(
        self, windows: Sequence[Window], height: int, width: int, flips: Sequence[Axes] = FLIPS["none"]
    ) -> None:
        """Expect windows of one side that cover a slice of that size, in the order of their rows and columns.

        The logits of each window are a sum over some flips, in which each has its weight.
        """
        self._single = len(windows) == 1
        self._flips = flips
        self._width = width
        self._size = min(windows[0].side, height), min(windows[0].side, width)  # of what of a window lies in the slice
        self._bottoms = {band.start: band.stop for band in bands_of(windows, height)}
        self._rights = {part.start: part.stop for part in _parts((window.x for window in windows), width)}
        # Sums of weighted logits, and behind the last class the sum of the weights.
        self._sums: Tensor | None = None  # of a window, (K + 1, rows, columns)
        self._above: Tensor | None = None  # of what overlaps with the windows below, (K + 1, rows, W)
        self._columns_left = self._rows_above = self._rows_left = 0

    def add(self, window: Window, *logits: Tensor) -> Iterator[Settled]:
        """Take in the next window's parts of the sum, (K, n, n) each; gives what is final now, from top to bottom."""
        if self._single:
            for start, part in self._inside(window, logits):
                rows = slice(start, start + part.shape[1])
                yield Settled(rows, slice(0, self._width), rows, part)
            return
        sums = self._blended(window, logits)
        band, across = slice(window.y, self._bottoms[window.y]), slice(window.x, self._rights[window.x])
        for start, part in pieces(sums[:, : band.stop - band.start, : across.stop - across.start]):
            rows = slice(window.y + start, window.y + start + part.shape[1])
            yield Settled(rows, across, band, part[:-1] / part[-1])
        self._keep(sums, band, across)

    def _inside(self, window: Window, logits: Sequence[Tensor]) -> Iterator[tuple[int, Tensor]]:
        """First row in the window, and logits of some rows, of what of the enlarged window lies inside the slice."""
        parts = (enlarged(x, window.side, self._size, flip) for x, flip in zip(logits, self._flips, strict=True))
        for first, *others in zip(*parts, strict=True):
            start, part = first
            yield start, sum((other for _, other in others), part)

    def _blended(self, window: Window, logits: Sequence[Tensor]) -> Tensor:
        """Sums in a window, (K + 1, rows, columns), those before and its own by weights that fall to its rim."""
        rows, columns = self._size
        if self._sums is None or self._above is None:
            self._sums = logits[0].new_zeros(len(logits[0]) + 1, rows, columns, dtype=torch.float32)
            overlap = rows - min(bottom - y for y, bottom in self._bottoms.items())
            self._above = self._sums.new_zeros(len(self._sums), overlap, self._width)
        if window.x == 0:
            self._columns_left, self._rows_above = 0, self._rows_left
        sums, known = self._sums, self._columns_left
        sums[..., :known] = sums[..., columns - known :].clone()
        sums[..., known:] = 0
        above = self._above[:, : self._rows_above, window.x + known : window.x + columns]
        sums[:, : self._rows_above, known:] = above
        weight = _gaussian(window.side, sums.device)
        sums[-1] += weight[:rows, :columns]
        for start, part in self._inside(window, logits):
            stop = start + part.shape[1]
            sums[:-1, start:stop] += part * weight[start:stop, :columns]
        return sums

    def _keep(self, sums: Tensor, band: slice, across: slice) -> None:
        """Of the sums in a window, keep what the next beside it and those below it touch."""
        assert self._above is not None
        rows, columns = band.stop - band.start, across.stop - across.start
        self._columns_left, self._rows_left = sums.shape[2] - columns, sums.shape[1] - rows
        # What lay there is in the sums already, and windows farther right do not ask for it.
        self._above[:, : self._rows_left, across] = sums[:, rows:, :columns]


def bands_of(windows: Iterable[Window], height: int) -> list[slice]:
    """The rows of a slice of that height from each row of windows to the next."""
    return _parts((window.y for window in windows), height)


def _parts(starts: Iterable[int], length: int) -> list[slice]:
    """From each of `starts` to the next, from the last one to the length."""
    known = sorted(set(starts))
    return [slice(start, stop) for start, stop in zip(known, [*known[1:], length], strict=True)]


@lru_cache(maxsize=4)
def _gaussian(side: int, device: torch.device) -> Tensor:
    """Weights of a window's pixels, (side, side): one in the middle, falling with a quarter of the side."""
    distance = (torch.arange(side) - (side - 1) / 2) / (side / 4)
    profile = torch.exp(-0.5 * distance**2)
    return (profile[:, None] * profile).to(device)

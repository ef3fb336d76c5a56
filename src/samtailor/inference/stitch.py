"""Stitching the windows of a slice as they come: what no further window touches is passed on and forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from samtailor.data.preprocessing import Window
from samtailor.inference.enlarge import enlarged, pieces


class Stitcher:
    """Weighted mean of the windows of one slice, which come row by row; holds one row of windows at most."""

    def __init__(self, windows: int, height: int, width: int) -> None:
        """Expect a number of windows of a slice of that size."""
        self.missing = windows
        self._single = windows == 1
        self._height = height
        self._width = width
        self._top = 0
        self._total: Tensor | None = None
        self._weights: Tensor | None = None

    def add(self, window: Window, logits: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Take in the next window's logits, (K, n, n); gives first row and (K, rows, W) of what is final now."""
        self.missing -= 1
        if self._single:
            yield from self._inside(window, logits)
            return
        if window.y > self._top:
            yield from self._finish(window.y)
        self._blend(window, logits)
        if not self.missing:
            yield from self._finish(self._height)

    def _inside(self, window: Window, logits: Tensor) -> Iterator[tuple[int, Tensor]]:
        """First row in the window, and logits of some rows, of what of the enlarged window lies inside the slice."""
        height, width = self._height - window.y, self._width - window.x
        for start, part in enlarged(logits, window.side):
            if start >= height:
                break
            yield start, part[:, : height - start, :width]

    def _blend(self, window: Window, logits: Tensor) -> None:
        """Add a window, with weights that fall to its rim, to what is there."""
        if self._total is None or self._weights is None:
            rows = min(window.side, self._height)
            self._total = logits.new_zeros(len(logits), rows, self._width, dtype=torch.float32)
            self._weights = self._total.new_zeros(rows, self._width)
        weight = _gaussian(window.side, self._total.device)
        rows, columns = min(window.side, self._height - window.y), min(window.side, self._width - window.x)
        across = slice(window.x, window.x + columns)
        self._weights[:rows, across] += weight[:rows, :columns]
        for start, part in self._inside(window, logits):
            stop = start + part.shape[1]
            self._total[:, start:stop, across] += part * weight[start:stop, :columns]

    def _finish(self, bottom: int) -> Iterator[tuple[int, Tensor]]:
        """Pass on what lies above `bottom`, and make what is below it the beginning."""
        assert self._total is not None
        assert self._weights is not None
        rows = bottom - self._top
        for start, part in pieces(self._total[:, :rows]):
            yield self._top + start, part / self._weights[start : start + part.shape[1]]
        for held in (self._total, self._weights):
            rest = held[..., rows:, :].clone()
            held[..., : rest.shape[-2], :] = rest
            held[..., rest.shape[-2] :, :] = 0
        self._top = bottom


@lru_cache(maxsize=4)
def _gaussian(side: int, device: torch.device) -> Tensor:
    """Weights of a window's pixels, (side, side): one in the middle, falling with a quarter of the side."""
    distance = (torch.arange(side) - (side - 1) / 2) / (side / 4)
    profile = torch.exp(-0.5 * distance**2)
    return (profile[:, None] * profile).to(device)

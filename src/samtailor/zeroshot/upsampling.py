"""From the network's low-resolution logits to a mask of the image, computed only where the mask can be.

The originals enlarge every mask to the network's input and from there to the image, both bilinearly. Both steps are one
short weighted sum along each axis; and where all low-resolution logits are below the lower of the two thresholds, the
enlarged ones are too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from samtailor.zeroshot.crops import Crop
from samtailor.zeroshot.masks import Runs, column_runs, joined

_BLOCK = 1 << 21
"""Pixels of the image that are computed at once."""


@dataclass(frozen=True)
class Taps:
    """Bilinear enlargement along one axis: the first low-resolution pixel that counts for each pixel, (N,), and the
    weights of it and the following ones, (taps, N).
    """

    first: NDArray[np.intp]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, sides: list[tuple[int, int]], cells: int) -> Taps:
        """Enlargement of low-resolution pixels in steps: the side of each, and how much of that the next step takes."""
        weights = torch.eye(cells)[None]
        for side, taken in sides:
            weights = F.interpolate(weights, side, mode="linear", align_corners=False)[..., :taken]
        dense = weights[0].numpy()  # (cells, N)
        first = (dense != 0).argmax(axis=0)
        last = cells - 1 - (dense[::-1] != 0).argmax(axis=0)
        taps = int((last - first).max()) + 1
        first = np.minimum(first, cells - taps)
        return cls(first, dense[first + np.arange(taps)[:, None], np.arange(dense.shape[1])])

    def reach(self, used: NDArray[np.bool_]) -> slice:
        """Pixels that depend on any of the low-resolution pixels (cells,) in use; nothing if none is."""
        found = np.flatnonzero(used[self.first + np.arange(len(self.weights))[:, None]].any(axis=0))
        return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)

    def apply(self, rows: NDArray[np.float32], part: slice) -> NDArray[np.float32]:
        """A part of the enlargement of the first axis, (cells, M) to (part, M)."""
        first = self.first[part]
        total = rows[first] * self.weights[0, part, None]
        for tap in range(1, len(self.weights)):
            total += rows[first + tap] * self.weights[tap, part, None]
        return total


@dataclass(frozen=True)
class Upsampling:
    """How low-resolution logits lie in a crop of an image of a size, and how their rows and columns are enlarged."""

    rows: Taps
    columns: Taps
    crop: Crop
    size: tuple[int, int]

    def mask(
        self, logits: NDArray[np.float32], threshold: float, offset: float, least_stability: float
    ) -> tuple[Runs, float] | None:
        """The mask of low-resolution logits, and its stability.

        Args:
            logits: (h, w).
            threshold: Logit above which a pixel belongs to the mask.
            offset: How much higher and lower the thresholds of the stability are.
            least_stability: Masks of a lower stability are not wanted; from 0 all masks are.

        Returns:
            Runs in the image, and the IoU of the mask at the higher and at the lower threshold; None if it is not
            wanted.
        """
        possible = logits > threshold - offset
        rows = self.rows.reach(np.any(possible, axis=1))
        columns = self.columns.reach(np.any(possible, axis=0))
        if rows.start == rows.stop:  # not a pixel, even at the lower threshold: the stability is not defined
            return None if least_stability > 0 else (joined(self.size), float("nan"))
        by_column = np.ascontiguousarray(self.rows.apply(logits, rows).T)  # (low-resolution columns, rows)
        step = max(1, _BLOCK // (rows.stop - rows.start))
        parts = []
        higher = lower = 0
        for start in range(columns.start, columns.stop, step):
            block = self.columns.apply(by_column, slice(start, min(start + step, columns.stop)))
            higher += int(np.count_nonzero(block > threshold + offset))
            lower += int(np.count_nonzero(block > threshold - offset))
            left, top = self.crop.left + start, self.crop.top + rows.start
            parts.append(column_runs(block > threshold, left, top, self.size[0]))
        stability = float(np.float32(higher) / np.float32(lower)) if lower else float("nan")
        if least_stability > 0 and not stability >= least_stability:
            return None
        return joined(self.size, parts), stability

"""Masks as runs of their pixels, column by column as COCO stores them, and without small holes and islands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

NEIGHBOURS = np.ones((3, 3), dtype=np.bool_)
"""Of a pixel, which it is connected with; diagonal ones too, as in both originals."""
_FILL = 10.0
"""Logit of filled holes, and its negative of removed islands (SAM 2)."""


@dataclass(frozen=True)
class Runs:
    """A mask as the runs of its pixels, column after column; a large mask takes some kilobytes.

    Attributes:
        size: Rows and columns of the image.
        starts: First pixel of each run, rising.
        ends: The pixel after each run; no run starts where another ends.
    """

    size: tuple[int, int]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def from_mask(cls, mask: NDArray[np.bool_]) -> Runs:
        """Runs of a mask, (H, W)."""
        return joined((mask.shape[0], mask.shape[1]), [column_runs(mask.T, 0, 0, mask.shape[0])])

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int((self.ends - self.starts).sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First column, first row, last column, last row; zeros if the mask is empty."""
        if not len(self.starts):
            return 0, 0, 0, 0
        height = self.size[0]
        first, last = self.starts // height, (self.ends - 1) // height
        top, bottom = self.starts % height, (self.ends - 1) % height
        if (first != last).any():  # a run goes on in the next column, over the lowest and the highest row
            return int(first[0]), 0, int(last[-1]), height - 1
        return int(first[0]), int(top.min()), int(last[-1]), int(bottom.max())

    def to_mask(self) -> NDArray[np.bool_]:
        """The mask, (H, W)."""
        height, width = self.size
        steps = np.zeros(height * width + 1, dtype=np.int8)
        steps[self.starts] = 1
        steps[self.ends] -= 1
        inside = np.cumsum(steps[:-1], dtype=np.int8).view(np.bool_)
        return np.ascontiguousarray(inside.reshape(width, height).T)

    def to_coco(self) -> dict[str, Any]:
        """Uncompressed RLE as pycocotools reads it: size, and counts of pixels outside and inside in turn."""
        edges = np.stack([self.starts, self.ends], axis=1).reshape(-1)
        total = self.size[0] * self.size[1]
        counts = np.diff(edges, prepend=0, append=total).tolist()
        if len(edges) and counts[-1] == 0:
            counts.pop()
        return {"size": list(self.size), "counts": counts}


def column_runs(columns: NDArray[np.bool_], left: int, top: int, height: int) -> NDArray[np.int64]:
    """Starts and ends of the runs of a part of an image, (2, N), a run for every column at least.

    The part is transposed, (columns, rows), and begins at `left` and `top` of an image with `height` rows.
    """
    count, rows = columns.shape
    padded = np.zeros((count, rows + 1), dtype=np.bool_)
    padded[:, 1:] = columns
    flat = padded.reshape(-1)
    steps = np.flatnonzero(flat[1:] != flat[:-1])  # the pixel before each change; columns are parted by padding
    if flat[-1]:
        steps = np.append(steps, len(flat) - 1)
    column, row = np.divmod(steps, rows + 1)
    places: NDArray[np.int64] = (left + column) * height + top + row
    return places.reshape(-1, 2).T


def joined(size: tuple[int, int], parts: Sequence[NDArray[np.int64]] = ()) -> Runs:
    """Runs of parts (2, N) that follow each other, where one goes on in the next made one; empty without parts."""
    starts, ends = np.concatenate([np.empty((2, 0), np.int64), *parts], axis=1)
    if len(starts):
        apart = starts[1:] != ends[:-1]
        starts, ends = starts[np.append(True, apart)], ends[np.append(apart, True)]
    return Runs(size, starts, ends)


def clean(mask: NDArray[np.bool_], least: int) -> tuple[NDArray[np.bool_], bool]:
    """Fill holes, then remove islands, smaller than `least`; the largest stays. Says whether it has changed."""
    regions, sizes = _regions(~mask)
    small = np.flatnonzero(sizes < least) + 1
    changed = bool(len(small))
    if changed:
        mask = mask | np.isin(regions, small)
    regions, sizes = _regions(mask)
    large = np.flatnonzero(sizes >= least) + 1
    if len(large) < len(sizes):
        kept = large if len(large) else np.array([np.argmax(sizes) + 1])
        mask, changed = np.isin(regions, kept), True
    return mask, changed


def clean_logits(logits: Tensor, largest: int) -> Tensor:
    """SAM 2's way, on low-resolution logits: holes and islands of at most `largest` pixels change their sign."""
    cleaned = logits.clone()
    for is_hole, value in ((True, _FILL), (False, -_FILL)):
        inside = (logits <= 0) if is_hole else (logits > 0)
        regions, sizes = _regions(inside.cpu().numpy())
        small = np.isin(regions, np.flatnonzero(sizes <= largest) + 1)
        cleaned[logits.new_tensor(small).bool()] = value
    return cleaned


def _regions(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int_], NDArray[np.intp]]:
    """Connected regions, numbered from 1, (H, W), and their sizes."""
    regions = np.asarray(ndimage.label(mask, structure=NEIGHBOURS)[0], np.int_)
    return regions, np.bincount(regions.reshape(-1))[1:]

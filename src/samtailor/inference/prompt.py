"""What a user shows of one object: points, a box, a rough mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samtailor.errors import DataError
from samtailor.labels import LabelSpace

Mask = NDArray[np.bool_]
"""Pixels of a slice, (H, W)."""


@dataclass(frozen=True)
class Prompt:
    """What a user shows of one object, in the axes of `Result.label`.

    Attributes:
        name: Class of the object.
        slice: Slice of the volume; 0 for pictures.
        points: Column x and row y of points on the object.
        not_points: Column x and row y of points beside it.
        box: Left, top, right and bottom of a box around it.
        mask: Rough mask of it, (H, W); numbers other than 0 belong to it.
    """

    name: str
    slice: int = 0
    points: tuple[tuple[float, float], ...] = ()
    not_points: tuple[tuple[float, float], ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: Mask | None = None

    def __post_init__(self) -> None:
        """Take masks of 0 and 255, as pictures have them, for what they mean."""
        if self.mask is not None:
            object.__setattr__(self, "mask", self.mask.astype(bool))

    @property
    def places(self) -> list[tuple[float, float]]:
        """Column x and row y of all points and of the box's corners."""
        corners = [] if self.box is None else [self.box[:2], self.box[2:]]
        return [*self.points, *self.not_points, *corners]

    def shown(self, size: tuple[int, ...]) -> Mask:
        """The inside of box and mask, of a slice (H, W)."""
        shown = np.zeros(size, bool) if self.mask is None else self.mask
        return shown if self.box is None else shown | self.in_box(size)

    def in_box(self, size: tuple[int, ...], margin: float = 0.0) -> Mask:
        """The inside of the box, of a slice (H, W), widened by a fraction of its longer side; without a box all."""
        if self.box is None:
            return np.ones(size, bool)
        left, top, right, bottom = self.box
        wider = margin * max(right - left, bottom - top)
        y, x = np.ogrid[: size[0], : size[1]]
        columns, rows = (x >= left - wider) & (x < right + wider), (y >= top - wider) & (y < bottom + wider)
        return np.asarray(columns & rows)

    def require_fit(self, labels: LabelSpace, shape: tuple[int, ...]) -> None:
        """Refuse a prompt that cannot be meant for a label of some classes, (S, H, W).

        Raises:
            DataError: If class, slice or coordinates do not fit.
        """
        slices, height, width = shape
        if self.name not in labels.names:
            raise DataError(f"prompt: expected one of the classes {', '.join(labels.names)}; found '{self.name}'")
        self._require(0 <= self.slice < slices, f"a slice from 0 to {slices - 1}", self.slice)
        self._require(bool(self.places) or self.mask is not None, "points, a box or a mask", "none")
        if self.mask is not None:
            self._require(bool(self.mask.any()), "a mask of something", "an empty one")
            found = " x ".join(map(str, self.mask.shape))
            self._require(self.mask.shape == (height, width), f"a mask of {height} x {width}", found)
        if self.box is not None:
            left, top, right, bottom = self.box
            self._require(left < right and top < bottom, "a box (left, top, right, bottom)", self.box)
        for x, y in self.places:
            within = 0 <= x <= width and 0 <= y <= height
            self._require(within, f"x up to {width} and y up to {height}", f"{x}, {y}")

    def _require(self, fits: bool, expected: str, found: object) -> None:
        if not fits:
            raise DataError(f"prompt for {self.name}: expected {expected}, found {found}")


def pixels_at(points: Sequence[tuple[float, float]], size: tuple[int, ...]) -> Mask:
    """The pixels of a slice (H, W) that points (column x, row y) lie in."""
    there = np.zeros(size, bool)
    for x, y in points:
        there[min(int(y), size[0] - 1), min(int(x), size[1] - 1)] = True
    return there

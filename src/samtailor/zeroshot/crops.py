"""Where prompts are: grids of points, crops of the image, and masks that a crop's border cuts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EDGE_TOLERANCE = 20.0
"""Pixels between the sides of a mask's box and of its crop below which the mask counts as cut (both originals)."""


@dataclass(frozen=True)
class Crop:
    """A part of an image, `right` and `bottom` excluded; layer 0 is the whole image, larger ones have smaller parts."""

    left: int
    top: int
    right: int
    bottom: int
    layer: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


def point_grid(per_side: int) -> NDArray[np.float64]:
    """Centres of a grid's cells in [0, 1], x and y, row by row, (per_side ** 2, 2)."""
    half = 1 / (2 * per_side)
    along = np.linspace(half, 1 - half, per_side)
    y, x = np.meshgrid(along, along, indexing="ij")
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def crops_of(size: tuple[int, int], layers: int, overlap_ratio: float) -> list[Crop]:
    """The image, then the crops of each layer, 2^i along a side, column by column.

    `overlap_ratio` is the overlap of the first layer's crops, as a fraction of the shorter side;
    it halves from layer to layer.
    """
    height, width = size
    crops = [Crop(0, 0, width, height)]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(overlap_ratio * min(size) * (2 / count))
        side_x, side_y = (math.ceil((overlap * (count - 1) + length) / count) for length in (width, height))
        for i in range(count):
            for j in range(count):
                x, y = (side_x - overlap) * i, (side_y - overlap) * j
                crops.append(Crop(x, y, min(x + side_x, width), min(y + side_y, height), layer))
    return crops


def is_cut(box: tuple[int, int, int, int], crop: Crop, size: tuple[int, int]) -> bool:
    """Whether a mask's box, in pixels of the image, ends where its crop does although the image goes on."""
    image = (0, 0, size[1], size[0])
    return any(
        abs(side - border) <= EDGE_TOLERANCE and abs(side - end) > EDGE_TOLERANCE
        for side, border, end in zip(box, crop.sides, image, strict=True)
    )

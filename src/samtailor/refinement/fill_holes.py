"""Holes in objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import Slices
from samtailor.refinement.parts import parts_of
from samtailor.refinement.step import RefinementStep


@dataclass(frozen=True)
class FillHoles(RefinementStep, group="refine.fill-holes"):
    """Fills background that one class encloses; in a volume from all sides, across slices.

    What touches the border of the image, or two classes, is no hole.
    """

    def __call__(
        self,
        label: NDArray[np.int16],
        probabilities: NDArray[np.float16] | None,
        slices: Slices,
        spacing: tuple[float, float, float] | None,
    ) -> NDArray[np.int16]:
        """The label without holes, (S, H, W)."""
        refined = label.copy()
        # One slice encloses nothing across slices; what looks like a border of it is none.
        closed = [length > 1 for length in label.shape]
        for part in parts_of(label, 0):
            ends = zip(part.box, label.shape, closed, strict=True)
            if any(is_axis and (side.start == 0 or side.stop == length) for side, length, is_axis in ends):
                continue
            around = np.unique(part.rim(label))
            if len(around) == 1:
                refined[part.box][part.mask] = around[0]
        return refined

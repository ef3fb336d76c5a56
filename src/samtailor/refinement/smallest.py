"""Objects of at least a certain size."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import Slices
from samtailor.refinement.parts import Part, parts_of
from samtailor.refinement.step import RefinementStep
from samtailor.settings import Within


@dataclass(frozen=True)
class Smallest(RefinementStep, group="refine.smallest"):
    """Takes away objects that are smaller than a size.

    An object is what is connected by faces and of one class. It becomes what most of its rim is: background around an
    island, another class within that class. This needs no probabilities, so that the result is the same whether they
    are asked for or not.

    Attributes:
        size: Of the smallest object that stays, in mm3 for volumes, in pixels for pictures.
    """

    size: Annotated[float, Within(0)] = 10.0

    def __call__(
        self,
        label: NDArray[np.int16],
        probabilities: NDArray[np.float16] | None,
        slices: Slices,
        spacing: tuple[float, float, float] | None,
    ) -> NDArray[np.int16]:
        """The label without small objects, (S, H, W)."""
        refined = label.copy()
        least = self.size / (1.0 if spacing is None else prod(spacing))
        while small := _smaller(refined, least):
            for part in sorted(small, key=lambda part: part.size):
                around = part.rim(refined)
                if not len(around):  # it is everything there is
                    return refined
                refined[part.box][part.mask] = np.bincount(around).argmax()
        return refined


def _smaller(label: NDArray[np.int16], least: float) -> list[Part]:
    """Objects of fewer voxels; each that becomes what is around it leaves one less."""
    from scipy import ndimage

    places = enumerate(ndimage.find_objects(label), start=1)
    parts = (part for k, place in places if place is not None for part in parts_of(label, k, place))
    return [part for part in parts if part.size < least]

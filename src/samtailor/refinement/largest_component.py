"""The largest connected part of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import Slices
from samtailor.refinement.step import RefinementStep


@dataclass(frozen=True)
class LargestComponent(RefinementStep):
    """Keeps the largest part of each class, the first of equals; the others become background.

    Voxels are connected by their faces, in a volume across slices.
    """

    def __call__(
        self,
        label: NDArray[np.int16],
        probabilities: NDArray[np.float16] | None,
        slices: Slices,
        spacing: tuple[float, float, float] | None,
    ) -> NDArray[np.int16]:
        """The label without the smaller parts, (S, H, W)."""
        from scipy import ndimage

        refined = label.copy()
        for class_id, box in enumerate(ndimage.find_objects(label), start=1):
            if box is None:  # the class does not occur
                continue
            parts, count = ndimage.label(label[box] == class_id)
            if count > 1:
                largest = 1 + np.bincount(parts.ravel())[1:].argmax()
                refined[box][(parts > 0) & (parts != largest)] = 0
        return refined

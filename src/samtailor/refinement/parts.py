"""The connected parts of a mask, and what lies around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.refinement.domain import Box, grown, inside, moved


@dataclass(frozen=True)
class Part:
    """Voxels that are connected by their faces.

    Attributes:
        box: The smallest box around them.
        size: How many they are.
    """

    box: Box
    size: int
    _numbers: NDArray[np.integer[Any]] = field(repr=False)
    _number: int

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Where in the box they are."""
        return np.asarray(self._numbers == self._number)

    def rim(self, label: NDArray[np.int16]) -> NDArray[np.int16]:
        """Class indices of the voxels that touch the part with a face, (N,)."""
        from scipy import ndimage

        wide = grown(self.box, (1,) * label.ndim)
        around = label[wide]
        mask = np.zeros(around.shape, np.bool_)
        mask[inside(self.box, wide)] = self.mask
        found: NDArray[np.int16] = around[ndimage.binary_dilation(mask) & ~mask]
        return found


def parts_of(label: NDArray[np.integer[Any]], class_id: int, place: Box | None = None) -> Iterator[Part]:
    """Connected parts of a class; it need only be looked for in a place."""
    from scipy import ndimage

    place = place or tuple(slice(0, length) for length in label.shape)
    numbers, _ = ndimage.label(label[place] == class_id)
    sizes = np.bincount(numbers.ravel())
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        yield Part(moved(box, place), int(sizes[number]), numbers[box], number)

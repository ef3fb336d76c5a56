"""The grid that distances are measured on: the axes and the spacing of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation
from numpy.typing import NDArray

from samtailor.data.case import Geometry


@dataclass(frozen=True)
class Grid:
    """How canonical arrays (S, H, W) are laid out for measuring distances.

    The challenges' scripts work in the axes of the file and with the spacing in its header: where a distance equals a
    tolerance, and which end of the last axis is left out, depend on it.

    Attributes:
        spacing: Distance of voxels along each axis; two axes for pictures.
        in_mm: Whether the spacing is in mm rather than in pixels.
        orientation: Orientation of nibabel that takes canonical axes to the file's; None where there is no file.
    """

    spacing: tuple[float, ...]
    in_mm: bool
    orientation: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, geometry: Geometry) -> Grid:
        """Grid of a file."""
        if axes := geometry.file_axes:
            return cls(axes[0], True, axes[1])
        return cls.of_spacing(geometry.spacing, geometry.shape[0])

    @classmethod
    def of_spacing(cls, spacing: tuple[float, float, float] | None, slices: int) -> Grid:
        """Grid without file: slices along the last axis.

        Args:
            spacing: Distance in mm of slices, rows, columns; None for pictures, and for stacks without millimetres.
            slices: Number of slices.
        """
        if spacing is not None:
            return cls(spacing[::-1], True)
        return cls((1.0, 1.0) if slices == 1 else (1.0, 1.0, 1.0), False)

    def take(self, array: NDArray[Any]) -> NDArray[Any]:
        """A canonical array (S, H, W) in the axes of the grid, without copying."""
        if self.orientation is not None:
            laid: NDArray[Any] = apply_orientation(array, self.orientation)
            return laid
        return array[0] if len(self.spacing) == 2 else array.transpose(2, 1, 0)

"""Axes of volumes: from those of a file to the canonical ones and back."""

from __future__ import annotations

import numpy as np
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from samtailor.data.case import Geometry

_CANONICAL = axcodes2ornt(("S", "P", "L"))


class VolumeAxes(Geometry):
    """How the canonical array of a volume lies in its file, by the affine of the file.

    Attributes:
        file_affine: Voxel indices of the file to its unit of length (RAS+), shape (4, 4).
        file_shape: Shape of the array in the file, without channels.
    """

    file_affine: NDArray[np.float64]
    file_shape: tuple[int, ...]

    @property
    def unit(self) -> float:
        """The file's unit of length in mm."""
        return 1.0

    @property
    def file_axes(self) -> tuple[tuple[float, ...], NDArray[np.float64]]:
        """Spacing in mm along the file's axes, and the orientation `from_canonical`.

        In single precision, as NIfTI's headers have it: a label has the same distances in every format.
        """
        steps = np.linalg.norm(self.file_affine[:3, :3], axis=0).astype(np.float32)
        return tuple(steps.tolist()), self.from_canonical

    @property
    def to_canonical(self) -> NDArray[np.float64]:
        """Orientation of nibabel, shape (3, 2), that takes the file's axes to (slices, rows, columns)."""
        return ornt_transform(io_orientation(self.file_affine), _CANONICAL)  # type: ignore[no-any-return]

    @property
    def from_canonical(self) -> NDArray[np.float64]:
        """The inverse of `to_canonical`."""
        return ornt_transform(_CANONICAL, io_orientation(self.file_affine))  # type: ignore[no-any-return]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        slices, rows, columns = (self.file_shape[int(axis)] for axis in self.from_canonical[:, 0])
        return slices, rows, columns

    @property
    def affine(self) -> NDArray[np.float64]:
        """Indices (slice, row, column) to mm (RAS+), shape (4, 4)."""
        affine: NDArray[np.float64] = self.file_affine @ inv_ornt_aff(self.to_canonical, self.file_shape[:3])
        affine[:3] *= self.unit
        return affine

"""Arrays in memory as cases, so that they can be segmented and saved like files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Case
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.data.formats.picture import PictureGeometry
from samtailor.errors import DataError


def case_of_array(array: NDArray[Any], spacing: tuple[float, float, float] | None = None, name: str = "array") -> Case:
    """A case of an array: with spacing a volume, saved as NIfTI; without one a picture.

    Args:
        array: Integers or floats. A volume (S, H, W) or (C, S, H, W) has slices from inferior to superior, rows from
            anterior to posterior, columns from the patient's right to left, as SimpleITK gives it for an image with
            identity direction. A picture is (H, W) or (H, W, C), with one or three channels.
        spacing: Distance in mm of slices, rows, columns.
        name: Name of the case.

    Raises:
        DataError: If shape, type or spacing are not as described.
    """
    if array.dtype.kind not in "iuf":
        raise DataError(f"{name}: expected integers or floats, found {array.dtype}; convert it, e.g. to float32")
    # As the readers do: halves are too coarse to be scaled, doubles finer than any scanner; torch wants native bytes.
    array = array.astype(np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("="), copy=False)
    return Case(name, *(_picture(array, name) if spacing is None else _volume(array, spacing, name)))


def _picture(array: NDArray[Any], name: str) -> tuple[NDArray[Any], PictureGeometry]:
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,)) or not array.size:
        expected = "a picture (H, W), (H, W, 1) or (H, W, 3)"
        raise DataError(f"{name}: expected {expected}, found shape {array.shape}; give the spacing in mm of a volume")
    image = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return image[:, None], PictureGeometry((array.shape[0], array.shape[1]))


def _volume(array: NDArray[Any], spacing: tuple[float, float, float], name: str) -> tuple[NDArray[Any], VolumeGeometry]:
    if array.ndim not in (3, 4) or not array.size:
        expected = "a volume (S, H, W) or (C, S, H, W)"
        raise DataError(f"{name}: expected {expected}, found shape {array.shape}; leave out the spacing of a picture")
    if np.shape(spacing) != (3,) or not all(0 < step < np.inf for step in spacing):
        expected = "a spacing of three numbers above 0"
        raise DataError(f"{name}: expected {expected}, found {spacing}; give the mm of slices, rows, columns")
    slices, rows, columns = array.shape[-3:]
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])  # ITK's identity, in NIfTI's RAS+
    return array.reshape(-1, slices, rows, columns), VolumeGeometry.new(affine, (columns, rows, slices))

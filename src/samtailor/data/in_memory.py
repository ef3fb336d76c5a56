"""Images that are in memory already, of NumPy, Pillow or torch, as cases that are segmented and saved like files."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from samtailor.data.case import Case
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.data.formats.picture import PictureGeometry
from samtailor.errors import DataError

InMemory = NDArray[Any] | Image.Image | Tensor
"""What `case_of` takes."""

_SPACING = tuple[float, float, float]
_COLOURS = ("P", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
_SEEN_AS = dict.fromkeys(_COLOURS, "RGB") | dict.fromkeys(("1", "LA", "La"), "L")
"""Modes of Pillow's images that are converted, and to which; the others are taken as they are."""


def case_of(image: InMemory, spacing: _SPACING | None = None, name: str = "array") -> Case:
    """A case of an image in memory: with spacing a volume, saved as NIfTI; without one a picture.

    Args:
        image: An array, as `case_of_array` takes it; a picture of Pillow, turned as its EXIF says, without its alpha;
            or a tensor, which differs from an array in that a picture's channels come first, (H, W) or (C, H, W).
        spacing: Distance in mm of slices, rows, columns of a volume.
        name: Name of the case.

    Raises:
        DataError: If type, shape or spacing are not as described.
    """
    if isinstance(image, Image.Image):
        shown = ImageOps.exif_transpose(image)
        return case_of_array(np.asarray(shown.convert(_SEEN_AS.get(shown.mode, shown.mode))), spacing, name)
    if isinstance(image, Tensor):
        if spacing is None and image.ndim == 3:
            image = image.movedim(0, -1)
        # NumPy has no bfloat16.
        image = (image.float() if image.dtype == torch.bfloat16 else image).detach().cpu().numpy()
    if not isinstance(image, np.ndarray):
        expected = "a NumPy array, an image of Pillow or a tensor of torch"
        raise DataError(f"{name}: expected {expected}, found {type(image).__name__}; convert it, e.g. with np.asarray")
    return case_of_array(image, spacing, name)


def case_of_array(array: NDArray[Any], spacing: _SPACING | None = None, name: str = "array") -> Case:
    """A case of an array: with spacing a volume, saved as NIfTI; without one a picture.

    Args:
        array: Integers or floats. A volume (S, H, W) or (C, S, H, W) has slices from inferior to superior, rows from
            anterior to posterior, columns from the patient's right to left, as SimpleITK gives it for an image with
            identity direction. A picture is (H, W) or (H, W, C).
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
    if array.ndim not in (2, 3) or not array.size:
        expected = "a picture (H, W) or (H, W, C)"
        raise DataError(f"{name}: expected {expected}, found shape {array.shape}; give the spacing in mm of a volume")
    image = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return image[:, None], PictureGeometry((array.shape[0], array.shape[1]))


def _volume(array: NDArray[Any], spacing: _SPACING, name: str) -> tuple[NDArray[Any], VolumeGeometry]:
    if array.ndim not in (3, 4) or not array.size:
        expected = "a volume (S, H, W) or (C, S, H, W)"
        raise DataError(f"{name}: expected {expected}, found shape {array.shape}; leave out the spacing of a picture")
    if np.shape(spacing) != (3,) or not all(0 < step < np.inf for step in spacing):
        expected = "a spacing of three numbers above 0"
        raise DataError(f"{name}: expected {expected}, found {spacing}; give the mm of slices, rows, columns")
    slices, rows, columns = array.shape[-3:]
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])  # ITK's identity, in NIfTI's RAS+
    return array.reshape(-1, slices, rows, columns), VolumeGeometry.new(affine, (columns, rows, slices))

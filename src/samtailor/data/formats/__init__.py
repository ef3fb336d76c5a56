"""File formats: every image, label and probability map is read and written here, whatever its format.

`read_case` and `write_label` choose the format by the file's suffix; NIfTI lives in `nifti`, pictures (PNG,
JPEG, TIFF) in `picture`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Case, CaseFiles, Geometry
from samtailor.data.formats import nifti, picture
from samtailor.errors import DataError, FileError
from samtailor.labels import LabelSpace

SUFFIXES = (*nifti.SUFFIXES, *picture.SUFFIXES)
"""Suffixes of the image files that can be read, in lower case."""


def suffix_of(path: Path) -> str:
    """The suffix, '.nii.gz' in one piece, in lower case; '' if the file cannot be an image."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def stem_of(path: Path) -> str:
    """File name without the suffix of an image file."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def read_pixels(paths: tuple[Path, ...]) -> tuple[NDArray[Any], Geometry]:
    """Intensities of one image.

    Args:
        paths: One file, or one NIfTI file per channel.

    Returns:
        Array of shape (C, S, H, W) as in the file, and how it lies there.

    Raises:
        FileError: If a file cannot be read, or the channels have different geometries.
    """
    if _is_volume(paths[0]):
        return nifti.read_volume(paths)
    if len(paths) > 1:
        raise FileError(paths[1], "one picture file per case", f"{len(paths)} files", "merge the channels")
    return picture.read_picture(paths[0])


def read_ids(path: Path, labels: LabelSpace) -> tuple[NDArray[Any], Geometry]:
    """Label ids as in the file (colours of a picture become ids), shape (S, H, W), and how they lie there.

    Raises:
        FileError: If the file cannot be read, or holds something else than label ids or palette colours.
    """
    return nifti.read_ids(path) if _is_volume(path) else picture.read_ids(path, labels)


def read_geometry(path: Path) -> Geometry:
    """How an image or a mask lies in its file, by the header alone.

    Raises:
        FileError: If the file cannot be read.
    """
    if _is_volume(path):
        return nifti.read_geometry(path)
    return picture.PictureGeometry((1, *picture.read_size(path)))


def read_names(path: Path) -> dict[int, str] | None:
    """Class name of each id, if `write_label` wrote the file.

    Raises:
        FileError: If the file cannot be read.
    """
    return nifti.read_names(path) if _is_volume(path) else picture.read_names(path)


def geometry_difference(image: Geometry, label: Geometry) -> tuple[str, str] | None:
    """What the label's grid should be and what it is, if it differs from the image's grid."""
    if image.shape != label.shape:
        what = "slices x rows x columns"
        return f"{_times(image.shape)} {what} like the image", _times(label.shape)
    if isinstance(image, nifti.VolumeGeometry) and isinstance(label, nifti.VolumeGeometry):
        return nifti.grid_difference(image, label)
    return None


def read_case(files: CaseFiles, labels: LabelSpace | None, channels: int | None = None) -> Case:
    """Read image and label of a case.

    Args:
        files: Where the case lies.
        labels: Label space of the label file; None reads the image only.
        channels: Number of channels wanted (see `match_channels`); None takes the file's.

    Raises:
        DataError: If a file cannot be read, or image and label do not go together.
    """
    pixels, geometry = read_pixels(files.images)
    image = match_channels(pixels, channels, files.images[0])
    if labels is None or files.label is None:
        return Case(files.name, image, geometry)
    ids, label_geometry = read_ids(files.label, labels)
    if difference := geometry_difference(geometry, label_geometry):
        raise FileError(files.label, *difference, "resample the label to the image's grid")
    try:
        label = labels.to_indices(ids)
    except DataError as error:
        raise DataError(f"{files.label}: {error}; fix the label, or list the ids in dataset.json") from error
    return Case(files.name, image, geometry, label)


def image_files(path: Path) -> CaseFiles:
    """The case that a user means by one file: `x_0000.nii.gz` brings its channels `x_0001.nii.gz`, ... along.

    Pictures hold all their channels; numbers at the end of their names are names.
    """
    name = stem_of(path)
    if not (name.endswith("_0000") and suffix_of(path) in nifti.SUFFIXES):
        return CaseFiles(name, (path,))
    name = name.removesuffix("_0000")
    digits = "[0-9]" * 4
    siblings = path.parent.glob(f"{_literal(name)}_{digits}{path.name[len(name) + 5 :]}")
    return CaseFiles(name, tuple(sorted(siblings)) or (path,))


def read_image(path: Path, channels: int | None = None) -> Case:
    """Read one image without label, and its further channels (see `image_files`).

    Args:
        path: Image file.
        channels: Number of channels wanted (see `match_channels`); None takes the file's.

    Raises:
        DataError: If the file is missing or cannot be read.
    """
    return read_case(image_files(path), None, channels)


def match_channels(image: NDArray[Any], channels: int | None, path: Path) -> NDArray[Any]:
    """Bring an image to a number of channels without inventing anything.

    Gray pictures are repeated to three channels; coloured ones whose channels are equal become one.

    Args:
        image: Shape (C, S, H, W).
        channels: Number wanted; None changes nothing.
        path: Named in the error.

    Raises:
        FileError: If the image has another number of channels that cannot be brought to the wanted one.
    """
    if channels is None or image.shape[0] == channels:
        return image
    if image.shape[0] == 1 and channels == 3:
        return np.repeat(image, 3, axis=0)
    if image.shape[0] == 3 and channels == 1 and bool((image == image[:1]).all()):
        return image[:1]
    raise FileError(
        path,
        f"{channels} channel{'s' if channels > 1 else ''}",
        f"{image.shape[0]}",
        "give the channels that the data set names",
    )


def write_label(path: Path, label: NDArray[Any], geometry: Geometry, labels: LabelSpace) -> None:
    """Write class indices as the label ids of `labels`, on the grid and in the format of the input.

    Args:
        path: File to write, with the suffix `mask_suffix(geometry)`; appears complete or not at all.
        label: Class indices, shape (S, H, W).
        geometry: Geometry of the image.
        labels: Label space; its names go into the file.
    """
    if isinstance(geometry, nifti.VolumeGeometry):
        nifti.write_label(path, label, geometry, labels)
    else:
        picture.write_label(path, label, labels)


def write_probabilities(path: Path, probabilities: NDArray[Any], geometry: Geometry) -> None:
    """Write class probabilities as float32: a 4-D volume (classes last), or a TIFF with one page per class.

    Args:
        path: File to write, with the suffix `probabilities_suffix(geometry)`.
        probabilities: Shape (K, S, H, W), in [0, 1].
        geometry: Geometry of the image.
    """
    if isinstance(geometry, nifti.VolumeGeometry):
        nifti.write_probabilities(path, probabilities, geometry)
    else:
        picture.write_probabilities(path, probabilities)


def mask_suffix(geometry: Geometry) -> str:
    """Suffix of label files: '.nii.gz' for volumes, '.png' for pictures."""
    return ".nii.gz" if isinstance(geometry, nifti.VolumeGeometry) else ".png"


def probabilities_suffix(geometry: Geometry) -> str:
    """Suffix of probability files: '.nii.gz' for volumes, '.tif' for pictures."""
    return ".nii.gz" if isinstance(geometry, nifti.VolumeGeometry) else ".tif"


def _is_volume(path: Path) -> bool:
    """Whether the suffix is NIfTI's rather than a picture's.

    Raises:
        FileError: If it is neither.
    """
    suffix = suffix_of(path)
    if not suffix:
        raise FileError(path, f"one of {', '.join(SUFFIXES)}", f"'{path.suffix}'", "convert the file")
    return suffix in nifti.SUFFIXES


def _literal(text: str) -> str:
    """The text with the characters escaped that mean something to glob."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def _times(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape))

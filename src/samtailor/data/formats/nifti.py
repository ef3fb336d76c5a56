"""NIfTI volumes: read into canonical axes, written back on the grid, axis order and header of the input."""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError
from numpy.typing import DTypeLike, NDArray

from samtailor.errors import FileError
from samtailor.files import atomic
from samtailor.labels import LabelSpace

SUFFIXES = (".nii.gz", ".nii")
_CANONICAL = axcodes2ornt(("S", "P", "L"))
_COMMENT = 6  # NIfTI header extension code of plain text
_READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)


@dataclass(frozen=True)
class VolumeGeometry:
    """How the canonical array of a volume lies in its NIfTI file.

    Attributes:
        header: Header of the file.
        affine: Voxel indices of the file to mm (RAS+), shape (4, 4).
        file_shape: Shape of the array in the file, without channels.
    """

    header: Any
    affine: NDArray[np.float64]
    file_shape: tuple[int, ...]

    @property
    def to_canonical(self) -> NDArray[np.float64]:
        """Orientation of nibabel, shape (3, 2), that takes the file's axes to (slices, rows, columns)."""
        return ornt_transform(io_orientation(self.affine), _CANONICAL)  # type: ignore[no-any-return]

    @property
    def from_canonical(self) -> NDArray[np.float64]:
        """The inverse of `to_canonical`."""
        return ornt_transform(_CANONICAL, io_orientation(self.affine))  # type: ignore[no-any-return]

    @property
    def canonical_affine(self) -> NDArray[np.float64]:
        """Indices (slice, row, column) to mm (RAS+), shape (4, 4)."""
        return self.affine @ inv_ornt_aff(self.to_canonical, self.file_shape[:3])  # type: ignore[no-any-return]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        slices, rows, columns = (self.file_shape[int(axis)] for axis in self.from_canonical[:, 0])
        return slices, rows, columns

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm of slices, rows, columns."""
        slices, rows, columns = np.linalg.norm(self.canonical_affine[:3, :3], axis=0).tolist()
        return slices, rows, columns


def read_volume(paths: tuple[Path, ...]) -> tuple[NDArray[Any], VolumeGeometry]:
    """Intensities of a volume in canonical axes, shape (C, S, H, W), and its geometry.

    Args:
        paths: One file per channel, or one 4-D file whose last axis holds the channels.

    Raises:
        FileError: If a file cannot be read or the channels lie on different grids.
    """
    first, geometry = _read(paths[0])
    channels = [first]
    for path in paths[1:]:
        other, other_geometry = _read(path)
        if geometry.shape != other_geometry.shape or grid_difference(geometry, other_geometry):
            raise FileError(
                path, f"the grid of {paths[0].name}", "another one", "resample it to the first channel's grid"
            )
        channels.append(other)
    return np.concatenate(channels), geometry


def read_ids(path: Path) -> tuple[NDArray[Any], VolumeGeometry]:
    """Label ids in canonical axes, integers of shape (S, H, W), and their geometry.

    Raises:
        FileError: If the file cannot be read, is no single volume, or holds fractions.
    """
    array, geometry = _read(path)
    if array.shape[0] != 1:
        raise FileError(path, "one label volume", f"{array.shape[0]} volumes", "merge them into one volume of ids")
    ids = array[0]
    if not np.issubdtype(ids.dtype, np.integer):
        whole = np.rint(ids)
        wrong = ids[~(np.isfinite(ids) & (ids == whole))]
        if wrong.size:
            examples = ", ".join(f"{value:g}" for value in np.unique(wrong)[:3])
            fix = "store the label as integers (resample it with nearest neighbours)"
            raise FileError(path, "integer label ids", f"{wrong.size} other values ({examples}, ...)", fix)
        ids = whole.astype(np.int32)
    return ids, geometry


def read_geometry(path: Path) -> VolumeGeometry:
    """Geometry of a volume, without reading its voxels.

    Raises:
        FileError: If the header cannot be read, or is of no volume.
    """
    return _geometry(path, _open(path))


def read_names(path: Path) -> dict[int, str] | None:
    """Class name of each id, as `write_label` left them in the header; None if there are none.

    Raises:
        FileError: If the header cannot be read.
    """
    for extension in _open(path).header.extensions:
        if extension.get_code() == _COMMENT:
            content = extension.get_content()
            text = content if isinstance(content, str) else bytes(content).decode(errors="replace")
            with suppress(ValueError, KeyError, TypeError, AttributeError):  # somebody else's comment
                return {int(i): str(name) for i, name in json.loads(text.rstrip("\0"))["labels"].items()}
    return None


def grid_difference(image: VolumeGeometry, label: VolumeGeometry) -> tuple[str, str] | None:
    """What spacing, direction or origin should be and what it is, if two grids differ.

    Compared in canonical axes, so that files with different axis orders can share a grid. Spacings may differ
    by 0.1 %, direction cosines by 0.001, origins by a tenth of a voxel: more than rounding in headers does,
    less than anybody sees.
    """
    first, second = image.canonical_affine, label.canonical_affine
    spacings = np.array([image.spacing, label.spacing])
    if not np.allclose(spacings[0], spacings[1], rtol=1e-3, atol=0):
        return f"spacing {_mm(spacings[0])} like the image", _mm(spacings[1])
    if not np.allclose(first[:3, :3] / spacings[0], second[:3, :3] / spacings[1], rtol=0, atol=1e-3):
        return (
            "the direction cosines of the image",
            "others (the label is rotated or flipped against the image)",
        )
    if np.linalg.norm(first[:3, 3] - second[:3, 3]) > 0.1 * spacings[0].min():
        return f"first voxel at {_mm(first[:3, 3])} like the image", _mm(second[:3, 3])
    return None


def write_label(path: Path, label: NDArray[Any], geometry: VolumeGeometry, labels: LabelSpace) -> None:
    """Write class indices, shape (S, H, W), as label ids; class names go into a header extension (JSON)."""
    array = apply_orientation(labels.to_ids(label), geometry.from_canonical)
    names = {str(i): name for i, name in zip(labels.ids, labels.names, strict=True)}
    extension = nib.nifti1.Nifti1Extension(_COMMENT, json.dumps({"labels": names}).encode())
    _write(path, array.reshape(geometry.file_shape), geometry, extension)


def write_probabilities(path: Path, probabilities: NDArray[Any], geometry: VolumeGeometry) -> None:
    """Write probabilities, shape (K, S, H, W), as a 4-D float32 volume with the classes last."""
    array = apply_orientation(np.moveaxis(probabilities, 0, -1), geometry.from_canonical)
    _write(path, array, geometry, dtype=np.float32)  # converted part by part: the array may lie on disk


def _open(path: Path) -> Any:
    """The nibabel image, its voxels not read."""
    if not path.is_file():
        raise FileError(path, "a NIfTI file", "nothing", "restore the file, or take the case out of the data set")
    try:
        return nib.load(path)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> FileError:
    fix = "the file is damaged or truncated: copy or convert it again"
    return FileError(path, "a readable NIfTI file", f"{type(error).__name__}: {error}", fix)


def _geometry(path: Path, image: Any) -> VolumeGeometry:
    """Geometry of an image."""
    full = tuple(int(length) for length in image.shape)
    if len(full) not in (3, 4) or 0 in full:
        shape = " x ".join(map(str, full))
        raise FileError(path, "a 3-D volume, or 4-D with channels last", f"shape {shape}", "store one volume per file")
    linear = image.affine[:3, :3]
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(linear)) < 1e-9:
        raise FileError(path, "an affine with three independent axes", f"{linear.tolist()}", "fix sform and qform")
    return VolumeGeometry(image.header, image.affine, full if len(full) == 4 and full[3] == 1 else full[:3])


def _read(path: Path) -> tuple[NDArray[Any], VolumeGeometry]:
    """Array in canonical axes, shape (volumes, S, H, W), and geometry of one file."""
    image = _open(path)
    geometry = _geometry(path, image)
    try:
        array = np.asanyarray(image.dataobj)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error
    if array.dtype == np.float64:  # scaled integers come as float64; half of it holds any scanner's values
        array = array.astype(np.float32)
    if array.dtype.kind not in "iufb":
        raise FileError(path, "one number per voxel", f"{array.dtype}", "convert the file to a scalar type")
    volumes = apply_orientation(array.reshape(*array.shape[:3], -1), geometry.to_canonical)
    return np.moveaxis(volumes, 3, 0), geometry


def _write(
    path: Path, array: NDArray[Any], geometry: VolumeGeometry, *extensions: Any, dtype: DTypeLike | None = None
) -> None:
    """Write an array in the file's axes under the input's header, with the given extensions only.

    Args:
        path: File to write.
        array: In the file's axes.
        geometry: Whose header is taken.
        extensions: Header extensions.
        dtype: Type in the file; the array's if None.
    """
    header = geometry.header.copy()
    header.extensions[:] = extensions
    header.set_data_dtype(dtype or array.dtype)
    header.set_slope_inter(1.0, 0.0)
    header["cal_min"] = header["cal_max"] = 0  # display window of the image, wrong for labels
    image_class = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    with atomic(path) as temporary:
        nib.save(image_class(array, geometry.affine, header), temporary)


def _mm(values: NDArray[np.float64]) -> str:
    return " x ".join(f"{value:.4g}" for value in values) + " mm"

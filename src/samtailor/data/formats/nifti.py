"""NIfTI volumes: read into canonical axes, written back on the grid, axis order and header of the input."""

from __future__ import annotations

import glob
import json
import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import DTypeLike, NDArray

from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.formats.format import Format, Header, reading
from samtailor.errors import FileError
from samtailor.files import atomic
from samtailor.labels import LabelSpace

_CANONICAL = axcodes2ornt(("S", "P", "L"))
_COMMENT = 6  # NIfTI header extension code of plain text


@dataclass(frozen=True)
class VolumeGeometry(Geometry):
    """How the canonical array of a volume lies in its NIfTI file.

    Attributes:
        header: Header of the file.
        file_affine: Voxel indices of the file to mm (RAS+), shape (4, 4).
        file_shape: Shape of the array in the file, without channels.
    """

    header: Any
    file_affine: NDArray[np.float64]
    file_shape: tuple[int, ...]

    @classmethod
    def new(cls, file_affine: NDArray[np.float64], file_shape: tuple[int, int, int]) -> Self:
        """Geometry of a volume that lies in no file yet."""
        header = nib.Nifti1Header()
        header.set_data_shape(file_shape)
        header.set_xyzt_units("mm")
        header.set_sform(file_affine, code=1)
        header.set_qform(file_affine, code=1)
        return cls(header, file_affine, file_shape)

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
        return self.file_affine @ inv_ornt_aff(self.to_canonical, self.file_shape[:3])  # type: ignore[no-any-return]

    @property
    def file_axes(self) -> tuple[tuple[float, ...], NDArray[np.float64]]:
        """Spacing of the header along the file's axes, and the orientation `from_canonical`."""
        from_affine = tuple(np.linalg.norm(self.file_affine[:3, :3], axis=0).tolist())
        in_header = tuple(float(step) for step in self.header.get_zooms()[:3])
        # Where they disagree, the affine is what viewers and the other files of the case go by.
        agree = np.allclose(in_header, from_affine, rtol=1e-3, atol=0)
        return in_header if agree else from_affine, self.from_canonical

    def write_label(self, path: Path, label: NDArray[Any], labels: LabelSpace) -> None:
        """Write label ids; class names go into a header extension (JSON)."""
        array = apply_orientation(labels.to_ids(label), self.from_canonical)
        names = {str(i): name for i, name in zip(labels.ids, labels.names, strict=True)}
        extension = nib.nifti1.Nifti1Extension(_COMMENT, json.dumps({"labels": names}).encode())
        self._write(path, array.reshape(self.file_shape), array.dtype, extension)

    def write_probabilities(self, path: Path, probabilities: NDArray[Any]) -> None:
        """Write a 4-D volume with the classes last."""
        array = apply_orientation(np.moveaxis(probabilities, 0, -1), self.from_canonical)
        self._write(path, array, np.float32)  # converted part by part: the array may lie on disk

    def _write(self, path: Path, array: NDArray[Any], dtype: DTypeLike, *extensions: Any) -> None:
        """Write an array that has the file's axes under the image's header, with the given extensions only."""
        header = self.header.copy()
        header.extensions[:] = extensions
        header.set_data_dtype(dtype)
        header.set_slope_inter(1.0, 0.0)
        header["cal_min"] = header["cal_max"] = 0  # display window of the image, wrong for labels
        image_class = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
        with atomic(path) as temporary:
            nib.save(image_class(array, self.file_affine, header), temporary)


class NiftiFormat(Format):
    """NIfTI-1 and NIfTI-2; one file per channel (`x_0000.nii.gz`, `x_0001.nii.gz`), or channels on the fourth axis."""

    suffixes = (".nii.gz", ".nii")
    label_suffix = ".nii.gz"
    probabilities_suffix = ".nii.gz"
    volumes = True

    def case_files(self, path: Path) -> CaseFiles:
        """`x_0000.nii.gz` brings its further channels along."""
        stem = self.stem_of(path)
        name = stem.removesuffix("_0000")
        if name == stem:
            return CaseFiles(name, (path,))
        siblings = path.parent.glob(f"{glob.escape(name)}_{'[0-9]' * 4}{path.name[len(stem) :]}")
        return CaseFiles(name, tuple(sorted(siblings)) or (path,))

    def read_header(self, path: Path) -> Header:
        """Geometry, the volumes on the fourth axis and the type of the voxels."""
        image = _open(path)
        channels = math.prod(image.shape[3:])
        return Header(_geometry(path, image), channels, 8 * image.get_data_dtype().itemsize, channels)

    def read_pixels(self, paths: tuple[Path, ...]) -> tuple[NDArray[Any], VolumeGeometry]:
        """Intensities of one file per channel, or of one 4-D file; all on one grid."""
        first, geometry = _read(paths[0])
        channels = [first]
        for path in paths[1:]:
            other, other_geometry = _read(path)
            if geometry.difference(other_geometry):
                fix = "resample it to the first channel's grid"
                raise FileError(path, f"the grid of {paths[0].name}", "another one", fix)
            channels.append(other)
        return np.concatenate(channels), geometry

    def read_ids(self, path: Path, labels: LabelSpace) -> tuple[NDArray[Any], VolumeGeometry]:
        """Label ids of a single volume without fractions."""
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

    def read_names(self, path: Path) -> dict[int, str] | None:
        """Class names in a header extension."""
        for extension in _open(path).header.extensions:
            if extension.get_code() == _COMMENT:
                content = extension.get_content()
                text = content if isinstance(content, str) else bytes(content).decode(errors="replace")
                with suppress(ValueError, KeyError, TypeError, AttributeError):  # somebody else's comment
                    return {int(i): str(name) for i, name in json.loads(text.rstrip("\0"))["labels"].items()}
        return None


def _open(path: Path) -> Any:
    """The nibabel image, its voxels not read."""
    with reading(path, "NIfTI file"):
        return nib.load(path)


def _geometry(path: Path, image: Any) -> VolumeGeometry:
    full = tuple(map(int, image.shape))
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
    with reading(path, "NIfTI file"):
        array = np.asanyarray(image.dataobj)
    if array.dtype == np.float64:  # scaled integers come as float64; half of it holds any scanner's values
        array = array.astype(np.float32)
    if array.dtype.kind not in "iufb":
        raise FileError(path, "one number per voxel", f"{array.dtype}", "convert the file to a scalar type")
    volumes = apply_orientation(array.reshape(*array.shape[:3], -1), geometry.to_canonical)
    return np.moveaxis(volumes, 3, 0), geometry

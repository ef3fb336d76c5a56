"""NIfTI volumes: read into canonical axes, written back on the grid, axis order and header of the input."""

from __future__ import annotations

import gzip
import io
import json
import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import nibabel as nib
import numpy as np
from nibabel import imageglobals
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation
from nibabel.spatialimages import HeaderDataError
from numpy.typing import DTypeLike, NDArray

from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.conditions import count_ids
from samtailor.data.formats.axes import VolumeAxes
from samtailor.data.formats.format import (
    Format,
    Header,
    on_one_grid,
    reading,
    require_memory,
    require_suffix,
    with_channels,
)
from samtailor.data.formats.label_content import LabelContent
from samtailor.data.formats.slicer_segmentation import SUFFIX as SLICER_SUFFIX
from samtailor.data.formats.slicer_segmentation import write_slicer_segmentation
from samtailor.data.formats.whole_numbers import whole_numbers
from samtailor.errors import FileError
from samtailor.files import atomic
from samtailor.labels import LabelSpace

# What nibabel corrects in a header it tells without the file's name, which `doubts` knows; what it cannot, it raises.
imageglobals.logger.setLevel(logging.CRITICAL)

_LENGTH_BITS = 0b111  # of the header's xyzt_units; the others are the unit of time
_UNITS = {1: 1000.0, 2: 1.0, 3: 0.001}
"""NIfTI's codes of metre, mm and micrometre, in mm."""
_USUAL_MM = (1e-4, 100.0)
"""Spacings between which all is of cells or of people; others are mostly of a wrong unit."""
_LARGEST_START = 64 << 20  # header and its extensions
_LARGEST_RATIO = 1032  # deflate makes no more of a byte
_COMMENT = 6  # NIfTI header extension code of plain text


@dataclass(frozen=True)
class VolumeGeometry(VolumeAxes):
    """How the canonical array of a volume lies in its NIfTI file.

    Attributes:
        header: Header of the file.
        file_affine: Voxel indices of the file to its unit of length (RAS+), shape (4, 4).
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
    def unit(self) -> float:
        """The header's unit of length in mm; 1 if it names none, as everybody takes it."""
        return _UNITS.get(int(self.header["xyzt_units"]) & _LENGTH_BITS, 1.0)

    @property
    def file_axes(self) -> tuple[tuple[float, ...], NDArray[np.float64]]:
        """Spacing of the header in mm along the file's axes, and the orientation `from_canonical`."""
        from_affine = tuple((np.linalg.norm(self.file_affine[:3, :3], axis=0) * self.unit).tolist())
        in_header = tuple(float(step) * self.unit for step in self.header.get_zooms()[:3])
        # Where they disagree, the affine is what viewers and the other files of the case go by.
        agree = np.allclose(in_header, from_affine, rtol=1e-3, atol=0)
        return in_header if agree else from_affine, self.from_canonical

    def write_label(self, path: Path, label: NDArray[Any], labels: LabelSpace) -> None:
        """Write label ids, class names in a header extension (JSON); or a segmentation of 3D Slicer."""
        require_suffix(path, (*NiftiFormat.suffixes, SLICER_SUFFIX))
        if path.name.lower().endswith(SLICER_SUFFIX):
            stored = apply_orientation(label, self.from_canonical)
            affine = self.file_affine * np.array([self.unit] * 3 + [1.0])[:, None]
            return write_slicer_segmentation(path, stored, affine, labels)
        array = apply_orientation(labels.to_ids(label), self.from_canonical)
        names = {str(i): name for i, name in zip(labels.ids, labels.names, strict=True)}
        extension = nib.nifti1.Nifti1Extension(_COMMENT, json.dumps({"labels": names}).encode())
        self._write(path, array.reshape(self.file_shape), array.dtype, extension)

    def write_probabilities(self, path: Path, probabilities: NDArray[Any], labels: LabelSpace) -> None:
        """Write a 4-D volume with the classes last."""
        require_suffix(path, NiftiFormat.suffixes)
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


class StoredAsNifti(VolumeAxes):
    """Axes of files of other formats, of which some results are NIfTI on the same grid."""

    file_shape: tuple[int, int, int]

    def as_nifti(self) -> VolumeGeometry:
        """The same grid as NIfTI has it."""
        return VolumeGeometry.new(self.file_affine, self.file_shape)

    def write_probabilities(self, path: Path, probabilities: NDArray[Any], labels: LabelSpace) -> None:
        """Write a 4-D NIfTI volume with the classes last."""
        self.as_nifti().write_probabilities(path, probabilities, labels)


class NiftiFormat(Format):
    """NIfTI-1 and NIfTI-2; one file per channel (`x_0000.nii.gz`, `x_0001.nii.gz`), or channels on the fourth axis."""

    suffixes = (".nii.gz", ".nii")
    label_suffixes: ClassVar = {"nifti": ".nii.gz", "seg.nrrd": SLICER_SUFFIX}
    probabilities_suffix = ".nii.gz"
    volumes = True

    def case_files(self, path: Path) -> CaseFiles:
        """`x_0000.nii.gz` brings its further channels along."""
        return with_channels(path, self.stem_of(path))

    def read_header(self, path: Path) -> Header:
        """Geometry, the volumes on the fourth axis and the type of the voxels."""
        volume = _open(path)
        channels = math.prod(volume.shape[3:])
        return Header(volume.geometry, channels, 8 * volume.dtype.itemsize, channels)

    def read_pixels(self, paths: tuple[Path, ...]) -> tuple[NDArray[Any], VolumeGeometry]:
        """Intensities of one file per channel, or of one 4-D file; all on one grid."""
        channels, geometry = on_one_grid(paths, _read_intensities)
        return np.concatenate(channels), geometry

    def read_ids(
        self, path: Path, labels: LabelSpace, grid: Geometry | None = None
    ) -> tuple[NDArray[Any], VolumeGeometry]:
        """Label ids of a single volume without fractions."""
        return self._ids(path)

    def _ids(self, path: Path) -> tuple[NDArray[Any], VolumeGeometry]:
        volume = _open(path)
        array, geometry = volume.read()
        if array.shape[0] != 1:
            raise FileError(path, "one label volume", f"{array.shape[0]} volumes", "merge them into one volume of ids")
        return whole_numbers(path, array[0], volume.step), geometry

    def content(self, path: Path) -> LabelContent:
        """Voxels of each id."""
        ids, _ = self._ids(path)
        return LabelContent("ids", count_ids(ids), names=self.read_names(path))

    def doubts(self, path: Path) -> Iterator[tuple[str, str, str]]:
        """Steps, units and affines that are odd, or that contradict each other."""
        yield from _open(path).doubts()

    def read_names(self, path: Path) -> dict[int, str] | None:
        """Class names in a header extension."""
        for extension in _open(path).image.header.extensions:
            if extension.get_code() == _COMMENT:
                content = extension.get_content()
                text = content if isinstance(content, str) else bytes(content).decode(errors="replace")
                with suppress(
                    ValueError, KeyError, TypeError, AttributeError, RecursionError
                ):  # somebody else's comment
                    return {int(i): str(name) for i, name in json.loads(text.rstrip("\0"))["labels"].items()}
        return None


@dataclass(frozen=True)
class _Volume:
    """A NIfTI file whose header has been read, and is one of a volume.

    Attributes:
        path: The file.
        image: nibabel's image, whose voxels lie elsewhere: it knows the beginning of the file only.
        pixdim: Steps of the axes as they stand in the header; nibabel corrects them.
    """

    path: Path
    image: Any
    pixdim: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of the axes of the file."""
        return tuple(map(int, self.image.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers in the file."""
        dtype: np.dtype[Any] = self.image.dataobj.dtype
        return dtype

    @property
    def step(self) -> float:
        """Difference of neighbouring numbers: the slope by which the file's integers are multiplied; 0 for floats."""
        return abs(float(self.image.dataobj.slope)) if self.dtype.kind in "iu" else 0.0

    @property
    def geometry(self) -> VolumeGeometry:
        """How the volume lies in the file; refused if it is none."""
        full, image = self.shape, self.image
        if len(full) not in (3, 4) or min(full) < 1:
            shape = " x ".join(map(str, full))
            fix = "store one volume per file"
            raise FileError(self.path, "a 3-D volume, or 4-D with channels last", f"shape {shape}", fix)
        linear = image.affine[:3, :3]
        steps = np.linalg.norm(linear, axis=0)
        # Steps may be tiny (micrometres of a microscope), directions may not be nearly the same.
        sound = np.isfinite(image.affine).all() and steps.all() and abs(np.linalg.det(linear / steps)) > 1e-3
        if not sound:
            fix = "fix sform, qform and pixdim in its header"
            raise FileError(self.path, "an affine with three independent axes", f"{linear.tolist()}", fix)
        return VolumeGeometry(image.header, image.affine, full if len(full) == 4 and full[3] == 1 else full[:3])

    def read(self) -> tuple[NDArray[Any], VolumeGeometry]:
        """Numbers in canonical axes, shape (volumes, S, H, W), scaled as the header says, and the geometry."""
        geometry = self.geometry
        if self.dtype.kind not in "iuf":
            raise FileError(self.path, "one number per voxel", f"{self.dtype}", "convert the file to a scalar type")
        array = self._numbers()
        volumes = apply_orientation(array.reshape(*array.shape[:3], -1), geometry.to_canonical)
        return np.moveaxis(volumes, 3, 0), geometry

    def _numbers(self) -> NDArray[Any]:
        """The array of the file; never more than the header claims, and refused if the file holds less or more."""
        data = self.image.dataobj
        spec = (data.shape, data.dtype, data.offset, data.slope, data.inter)
        scaled = (data.slope, data.inter) != (1, 0)
        size = math.prod(self.shape) * self.dtype.itemsize
        there = self.path.stat().st_size
        claimed = f"{size} bytes of voxels, as the header claims ({' x '.join(map(str, self.shape))} of {self.dtype})"
        fix = "the file is damaged or truncated: copy or convert it again"
        if not _is_packed(self.path):
            if there < data.offset + size:
                raise FileError(self.path, claimed, f"{max(0, there - data.offset)}", fix)
            if there > data.offset + size:
                raise FileError(self.path, claimed, "more", fix)
            if scaled:
                require_memory(self.path, size + math.prod(self.shape) * 8)
            with reading(self.path, "NIfTI file"):
                array: NDArray[Any] = np.asanyarray(ArrayProxy(self.path, spec, mmap=True))
                return array
        if size > _LARGEST_RATIO * there:
            raise FileError(self.path, claimed, f"a packed file of {there} bytes, which cannot hold them", fix)
        require_memory(self.path, size + (math.prod(self.shape) * 8 if scaled else 0))
        with reading(self.path, "NIfTI file"), gzip.open(self.path) as stream:
            array = np.asanyarray(ArrayProxy(stream, spec, mmap=False))
            more = stream.read(1)  # at the end the checksum of what was read is compared
        if more:
            raise FileError(self.path, claimed, "more", fix)
        return array

    def doubts(self) -> Iterator[tuple[str, str, str]]:
        """What is expected, found, and to be done, for each oddity of the header."""
        geometry, header = self.geometry, self.image.header
        unit = int(header["xyzt_units"]) & _LENGTH_BITS
        if unit and unit not in _UNITS:
            fix = "it is taken as mm; set xyzt_units"
            yield "metre, mm or micrometre as unit of length", f"code {unit}", fix
        low, high = _USUAL_MM
        if not all(low <= step <= high for step in geometry.spacing or ()):
            fix = "distances (NSD, HD95) will be in these mm: set pixdim, sform and xyzt_units if the unit is another"
            found = " x ".join(f"{step:.4g}" for step in geometry.spacing or ()) + " mm"
            yield f"a spacing between {low:g} and {high:g} mm", found, fix
        steps = np.linalg.norm(self.image.affine[:3, :3], axis=0)
        if not np.allclose(self.pixdim, steps, rtol=1e-3, atol=0):
            found = f"{_listed(self.pixdim)} in the header and {_listed(steps)} of the affine"
            yield "steps (pixdim) that agree with the affine", found, "the affine is used: correct pixdim"
        if int(header["sform_code"]) and int(header["qform_code"]):
            with suppress(ValueError, HeaderDataError):  # a quaternion that is none: only the sform can be meant
                quaternion = VolumeGeometry(header, header.get_qform(), geometry.file_shape)
                if difference := geometry.difference(quaternion, "qform", "sform"):
                    expected, found, _ = difference
                    fix = "the sform is used, other programs may use the qform: make them equal"
                    yield f"a qform that agrees with the sform: {expected}", found, fix


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _listed(steps: Iterable[float]) -> str:
    return " x ".join(f"{step:.4g}" for step in steps)


def _open(path: Path) -> _Volume:
    """A file with its header and extensions read, and nothing else of it."""
    with reading(path, "NIfTI file"), gzip.open(path) if _is_packed(path) else path.open("rb") as stream:
        start = stream.read(nib.Nifti2Header.sizeof_hdr)
        kind = next((k for k in (nib.Nifti1Image, nib.Nifti2Image) if k.header_class.may_contain_header(start)), None)
        if kind is None:
            found = "a beginning that is not NIfTI's" if start else "an empty file"
            raise ImageFileError(found)
        raw = kind.header_class(start[: kind.header_class.sizeof_hdr], check=False)
        if not 0 <= (offset := float(raw["vox_offset"])) <= _LARGEST_START:
            raise ImageFileError(f"voxels that begin at byte {offset:g}")
        # Of extensions, whose lengths may be wrong, nibabel sees no more than what lies before the voxels.
        start += stream.read(max(0, int(offset) - len(start)))
        image = kind.from_stream(io.BytesIO(start))
        return _Volume(path, image, tuple(raw["pixdim"][1:4].tolist()))


def _read_intensities(path: Path) -> tuple[NDArray[Any], VolumeGeometry]:
    """Numbers of one file in canonical axes, shape (volumes, S, H, W), and its geometry."""
    array, geometry = _open(path).read()
    return in_single_precision(array), geometry


def in_single_precision(array: NDArray[Any]) -> NDArray[Any]:
    """Doubles and halves in single precision, which holds any scanner's values; what is beyond becomes infinite."""
    if array.dtype.kind != "f" or array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float32)

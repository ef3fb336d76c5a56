"""MetaImage (`.mha`, `.mhd`) and NRRD, volumes as ITK's programs keep them, read and written by SimpleITK.

SimpleITK does not compare checksums, and prints what it thinks of damaged files; so the text at the beginning of a file
is read here first, and says whether the voxels behind it can be what it claims.
"""

from __future__ import annotations

import gzip
import json
import math
import warnings
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from nibabel.orientations import apply_orientation
from numpy.typing import NDArray

from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.conditions import count_ids
from samtailor.data.formats.format import (
    Format,
    Header,
    on_one_grid,
    reading,
    require_file,
    require_memory,
    require_suffix,
    with_channels,
)
from samtailor.data.formats.label_content import LabelContent, class_names_in
from samtailor.data.formats.nifti import NiftiFormat, StoredAsNifti, in_single_precision
from samtailor.data.formats.slicer_segmentation import SUFFIX as SLICER_SUFFIX
from samtailor.data.formats.whole_numbers import whole_numbers
from samtailor.errors import DataWarning, FileError
from samtailor.extras import require_extra
from samtailor.files import atomic
from samtailor.labels import LabelSpace

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from LPS, in which ITK has places
_NAMES = "labels"  # what we call the class names, as JSON
_LONGEST = 1 << 22  # bytes of the text at the beginning
_LONGEST_FIELD = 32_000  # letters; of 32,768 MetaIO reads no more
_LARGEST_RATIO = 1032  # deflate makes no more of a byte
_BLOCK = 1 << 24
_SAVE_AGAIN = "save it again with SimpleITK or 3D Slicer, as one file with raw or compressed voxels"
_DAMAGED = "the file is damaged or truncated: copy or convert it again"


@dataclass(frozen=True)
class ItkGeometry(StoredAsNifti):
    """How the canonical array of a volume lies in its file.

    Attributes:
        file_affine: Voxel indices of the file to mm (RAS+), shape (4, 4).
        file_shape: Columns, rows and slices of the file.
    """

    file_affine: NDArray[np.float64]
    file_shape: tuple[int, int, int]

    def write_label(self, path: Path, label: NDArray[Any], labels: LabelSpace) -> None:
        """Write label ids with the class names beside them; or NIfTI, or a segmentation of 3D Slicer."""
        require_suffix(path, (*_WRITERS, *NiftiFormat.suffixes, SLICER_SUFFIX))
        writer = next((writer for suffix, writer in _WRITERS.items() if path.name.lower().endswith(suffix)), None)
        if writer is None or path.name.lower().endswith(SLICER_SUFFIX):
            return self.as_nifti().write_label(path, label, labels)
        itk = _itk(path)
        stored = apply_orientation(labels.to_ids(label), self.from_canonical)
        image = itk.GetImageFromArray(np.ascontiguousarray(stored.transpose(2, 1, 0)))
        affine = _TO_RAS @ self.file_affine
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(affine[:3, 3].tolist())
        names = json.dumps(dict(zip(map(str, labels.ids), labels.names, strict=True)))
        if writer == _WRITERS[".mha"] and len(names) > _LONGEST_FIELD:
            told = f"{path}: the {len(labels)} class names are too long for MetaImage, and are left out"
            warnings.warn(f"{told}; as .nrrd or .nii.gz it would have them", DataWarning, stacklevel=2)
        else:
            image.SetMetaData(_NAMES, names)
        with atomic(path) as temporary:
            itk.WriteImage(image, str(temporary), useCompression=True, imageIO=writer)


class _Voxels(NamedTuple):
    """Where the voxels of a file are, by its text: file, first byte, and how they are packed ('' if they are not)."""

    file: Path
    start: int
    packing: str


@dataclass(frozen=True)
class ItkHeader:
    """What a file says of itself.

    Attributes:
        geometry: How the volume lies in the file.
        channels: Numbers per voxel.
        dtype: Their type in the file.
        texts: What else it says, by name.
    """

    geometry: ItkGeometry
    channels: int
    dtype: np.dtype[Any]
    texts: Mapping[str, str]


class _ItkFormat(Format):
    """A format of ITK; one file per channel (`x_0000.mha`, `x_0001.mha`), or several numbers per voxel."""

    probabilities_suffix = ".nii.gz"
    volumes = True

    @abstractmethod
    def voxels(self, path: Path) -> _Voxels:
        """Where the voxels are.

        Raises:
            FileError: If the text does not say it, or they are kept in a way that we do not read.
        """

    def case_files(self, path: Path) -> CaseFiles:
        """`x_0000.mha` brings its further channels along."""
        return with_channels(path, self.stem_of(path))

    def read_header(self, path: Path) -> Header:
        """Geometry, numbers per voxel and their type."""
        header = self.header(path)
        kept = in_single_precision(np.empty(0, header.dtype)).dtype
        return Header(header.geometry, header.channels, 8 * kept.itemsize, header.channels)

    def read_pixels(self, paths: tuple[Path, ...]) -> tuple[NDArray[Any], ItkGeometry]:
        """Intensities of one file per channel, or of one with several numbers per voxel; all on one grid."""
        channels, geometry = on_one_grid(paths, self._intensities)
        return np.concatenate(channels), geometry

    def _intensities(self, path: Path) -> tuple[NDArray[Any], ItkGeometry]:
        array, geometry = self.read(path)
        return in_single_precision(array), geometry

    def read_ids(
        self, path: Path, labels: LabelSpace, grid: Geometry | None = None
    ) -> tuple[NDArray[Any], ItkGeometry]:
        """Label ids of one number per voxel without fractions."""
        return self._ids(path)

    def _ids(self, path: Path) -> tuple[NDArray[Any], ItkGeometry]:
        array, geometry = self.read(path)
        if len(array) != 1:
            raise FileError(path, "one label per voxel", f"{len(array)} numbers", "merge them into one volume of ids")
        return whole_numbers(path, array[0]), geometry

    def content(self, path: Path) -> LabelContent:
        """Voxels of each id."""
        return LabelContent("ids", count_ids(self._ids(path)[0]), names=self.read_names(path))

    def read_names(self, path: Path) -> dict[int, str] | None:
        """Class names beside the header."""
        return class_names_in(self.header(path).texts.get(_NAMES))

    def header(self, path: Path) -> ItkHeader:
        """What a file says of itself; refused if it is no volume."""
        require_file(path, self._kind)
        self.voxels(path)  # refused before SimpleITK prints anything
        itk = _itk(path)
        with reading(path, self._kind):
            reader = itk.ImageFileReader()
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            size, channels = tuple(map(int, reader.GetSize())), int(reader.GetNumberOfComponents())
            spacing, direction, origin = reader.GetSpacing(), reader.GetDirection(), reader.GetOrigin()
            texts = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
            dtype = _dtype_of(itk, reader.GetPixelID())
        if len(size) != 3 or min(size) < 1:
            shape = " x ".join(map(str, size))
            raise FileError(path, "a 3-D volume", f"shape {shape}", "store one volume per file")
        if dtype is None:
            found = "complex numbers, or labels as runs"
            raise FileError(path, "real numbers", found, "convert the file to a scalar type")
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(direction, (3, 3)) * spacing
        affine[:3, 3] = origin
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        if not (np.isfinite(affine).all() and steps.all() and abs(np.linalg.det(affine[:3, :3] / steps)) > 1e-3):
            found = f"{affine[:3, :3].tolist()}"
            raise FileError(path, "three independent axes", found, "correct spacing and directions in its header")
        return ItkHeader(ItkGeometry(_TO_RAS @ affine, (size[0], size[1], size[2])), channels, dtype, texts)

    def read(self, path: Path) -> tuple[NDArray[Any], ItkGeometry]:
        """Numbers in canonical axes, shape (channels, S, H, W), and the geometry."""
        header, voxels = self.header(path), self.voxels(path)
        size = math.prod(header.geometry.file_shape) * header.channels * header.dtype.itemsize
        _require_voxels(path, voxels, size)
        require_memory(path, 2 * size)
        itk = _itk(path)
        with reading(path, self._kind):
            array = itk.GetArrayFromImage(itk.ReadImage(str(path)))
        array = array.reshape(*header.geometry.file_shape[::-1], header.channels).transpose(2, 1, 0, 3)
        return np.moveaxis(apply_orientation(array, header.geometry.to_canonical), 3, 0), header.geometry

    @property
    def _kind(self) -> str:
        return f"{self.suffixes[0]} file"


class MetaImageFormat(_ItkFormat):
    """MetaImage: `.mha`, or `.mhd` with the voxels in a file beside it."""

    suffixes: ClassVar = (".mha", ".mhd")
    label_suffixes: ClassVar = {"mha": ".mha", "nifti": ".nii.gz", "seg.nrrd": SLICER_SUFFIX}

    def parts(self, path: Path) -> list[Path]:
        """The file, and that with its voxels."""
        with suppress(FileError):
            return list(dict.fromkeys([path, self.voxels(path).file]))
        return [path]

    def accompanies(self, path: Path) -> bool:
        """Whether a file holds the voxels of one beside it."""
        return path.suffix.lower() in (".raw", ".zraw") and path.with_suffix(".mhd").is_file()

    def voxels(self, path: Path) -> _Voxels:
        """By `ElementDataFile`, with which the text ends."""
        content: dict[str, str] = {}
        start = 0
        for line in _lines(path):
            start += len(line)
            name, _, value = line.decode("latin-1").partition("=")
            content[name.strip()] = value.strip()
            if name.strip() == "ElementDataFile":
                break
        if (place := content.get("ElementDataFile")) is None:
            raise FileError(path, "MetaImage's text, which ends with ElementDataFile", "another beginning", _DAMAGED)
        is_text = content.get("BinaryData", "").lower() == "false"
        if is_text or not place or place == "LIST" or "%" in place or Path(place).name != place:
            found = "voxels as text" if is_text else f"ElementDataFile = {place:.60}"
            raise FileError(path, "voxels in the file, or in one beside it", found, _SAVE_AGAIN)
        packing = "zlib" if content.get("CompressedData", "").lower() == "true" else ""
        if place == "LOCAL":
            return _Voxels(path, start, packing)
        beside = path.with_name(place)
        require_file(beside, f"file with the voxels of {path.name}")
        return _Voxels(beside, 0, packing)


class NrrdFormat(_ItkFormat):
    """NRRD in one file; segmentations of 3D Slicer are labels of their own (`slicer_segmentation.py`)."""

    suffixes: ClassVar = (".nrrd",)
    label_suffixes: ClassVar = {"nrrd": ".nrrd", "nifti": ".nii.gz", "seg.nrrd": SLICER_SUFFIX}

    def recognises(self, path: Path) -> bool:
        """Whether it is called so, and is none of Slicer's segmentations."""
        return super().recognises(path) and not path.name.lower().endswith(SLICER_SUFFIX)

    def voxels(self, path: Path) -> _Voxels:
        """Behind an empty line."""
        content: dict[str, str] = {}
        start = 0
        for line in _lines(path):
            if not start and not line.startswith(b"NRRD"):
                break
            start += len(line)
            if not line.strip():
                encoding, is_apart = content.get("encoding", "raw"), {"data file", "datafile"} & content.keys()
                if is_apart or encoding not in ("raw", "gzip", "gz"):
                    found = "voxels in another file" if is_apart else f"encoding {encoding}"
                    raise FileError(path, "raw or packed voxels in the file itself", found, _SAVE_AGAIN)
                return _Voxels(path, start, "" if encoding == "raw" else "gzip")
            name, _, value = line.decode("latin-1").partition(":")
            content[name.strip().lower()] = value.strip().lower()
        raise FileError(path, "NRRD's text, which ends with an empty line", "another beginning", _DAMAGED)


_WRITERS = {".mha": "MetaImageIO", ".nrrd": "NrrdImageIO"}
"""What writes labels, by their suffix."""


def _itk(path: Path) -> Any:
    """SimpleITK."""
    return require_extra("SimpleITK", "itk", "an image of ITK", path)


def _dtype_of(itk: Any, pixel: int) -> np.dtype[Any] | None:
    """Type of the numbers of a pixel type, or of a vector of them; None if they are none."""
    names = ("UInt8", "Int8", "UInt16", "Int16", "UInt32", "Int32", "UInt64", "Int64", "Float32", "Float64")
    types = {getattr(itk, f"sitk{kind}{name}"): np.dtype(name.lower()) for kind in ("", "Vector") for name in names}
    return types.get(pixel)


def _lines(path: Path) -> Iterator[bytes]:
    """Lines of the text at the beginning of a file."""
    require_file(path, "file")
    left = _LONGEST
    with path.open("rb") as file:
        while left > 0 and (line := file.readline(left)):
            left -= len(line)
            yield line


def _require_voxels(path: Path, voxels: _Voxels, size: int) -> None:
    """Refuse a file that holds fewer bytes of voxels than its header claims, or whose checksum is another."""
    held = voxels.file.stat().st_size - voxels.start
    claimed = f"{size:,} bytes of voxels, as its header claims"
    if size > held * (_LARGEST_RATIO if voxels.packing else 1):
        raise FileError(path, claimed, f"{held:,}{' packed ones' if voxels.packing else ''}", _DAMAGED)
    if not voxels.packing:
        return
    with reading(path, f"file with {claimed}"), voxels.file.open("rb") as file:
        file.seek(voxels.start)
        found = sum(map(len, _unpacked(file, voxels.packing)))
    if found != size:
        raise FileError(path, claimed, f"{found:,}", _DAMAGED)


def _unpacked(file: Any, packing: str) -> Iterator[bytes]:
    """What a stream of packed bytes holds, block by block; at its end the checksum is compared."""
    if packing == "gzip":
        with gzip.open(file) as stream:
            while block := stream.read(_BLOCK):
                yield block
        return
    unpacker = zlib.decompressobj()
    while not unpacker.eof:
        if not (packed := file.read(_BLOCK)):
            raise EOFError("the packed voxels break off")
        while packed:
            yield unpacker.decompress(packed, _BLOCK)
            packed = unpacker.unconsumed_tail

"""One DICOM file: its header, its pixels not read, and the planes that it holds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from samtailor.data.formats.dicom.signature import Kind, kind_of_class
from samtailor.data.formats.format import reading
from samtailor.errors import FileError, SamTailorError

_PIXEL_DATA = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")  # tag (7FE0,0010) in either byte order
_ROUNDING = 1e-3  # of direction cosines, which are written with few digits


@dataclass(frozen=True, eq=False)
class DicomFile:
    """A file whose header has been read.

    Attributes:
        path: The file.
        header: Everything before the pixels.
        pixels_at: Byte at which the element of the pixels begins, if the file is not deflated; None if there is none.
    """

    path: Path
    header: Dataset
    pixels_at: int | None

    def get(self, keyword: str, default: Any = None) -> Any:
        """Value of an attribute; the default where it is absent or empty."""
        with parsing(self.path):
            value = self.header.get(keyword)
            return default if value is None or value == "" else value

    def whole(self, keyword: str, default: int) -> int:
        """A whole number."""
        with parsing(self.path):
            return int(self.get(keyword, default))

    @property
    def storage_class(self) -> UID:
        """What object it is (SOP Class UID), by the file meta information where anonymisers have emptied the other."""
        return UID(str(self.get("SOPClassUID") or self.header.file_meta.get("MediaStorageSOPClassUID") or ""))

    @property
    def kind(self) -> Kind:
        """Which kind of object it is."""
        return kind_of_class(self.storage_class)

    @property
    def transfer_syntax(self) -> UID:
        """How it is encoded."""
        return UID(str(self.header.file_meta.TransferSyntaxUID))

    @property
    def is_deflated(self) -> bool:
        """Whether all of it but the file meta information is compressed as one."""
        return self.transfer_syntax == DeflatedExplicitVRLittleEndian

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.whole("Rows", 0), self.whole("Columns", 0)

    @property
    def bits(self) -> tuple[int, int]:
        """Bits of a pixel: allocated, stored."""
        allocated = self.whole("BitsAllocated", 16)
        return allocated, self.whole("BitsStored", allocated)

    @property
    def stored_range(self) -> tuple[int, int]:
        """Least and greatest number that a pixel can hold."""
        is_signed, bits = self.get("PixelRepresentation", 0), self.bits[1]
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)

    @cached_property
    def planes(self) -> tuple[Frame, ...]:
        """Its frames: of an enhanced image by the functional groups (PS3.3, C.7.6.16), of another the only one."""
        with parsing(self.path):
            shared = self.get("SharedFunctionalGroupsSequence", ())
            frames = self.get("PerFrameFunctionalGroupsSequence")
            groups = [()] if frames is None else [(frame, *shared) for frame in frames]
            planes = tuple(self._plane(number, those) for number, those in enumerate(groups, 1))
        if (count := self.whole("NumberOfFrames", 1)) != len(planes):
            found, fix = f"groups of {len(planes)}", "the file is damaged, or of a kind that is no volume"
            raise FileError(self.path, f"positions of its {count} frames", found, fix)
        return planes

    def _plane(self, number: int, groups: tuple[Dataset, ...]) -> Frame:
        """One frame; refused without a place in space."""
        position = self._numbers(groups, "PlanePositionSequence", "ImagePositionPatient", 3)
        directions = self._numbers(groups, "PlaneOrientationSequence", "ImageOrientationPatient", 6).reshape(2, 3)
        steps = self._numbers(groups, "PixelMeasuresSequence", "PixelSpacing", 2)
        if np.abs(directions @ directions.T - np.eye(2)).max() > _ROUNDING or steps.min() <= 0:
            found = f"directions {directions.tolist()} and steps {steps.tolist()}"
            fix = "fix ImageOrientationPatient and PixelSpacing, or export the series again"
            raise FileError(self.path, "two directions at right angles, and steps above 0", found, fix)
        rescale = "PixelValueTransformationSequence"
        slope, intercept = (
            default if (value := _value(self.header, groups, rescale, keyword)) is None else float(value)
            for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
        )
        if not (math.isfinite(slope) and math.isfinite(intercept)):
            found, fix = f"slope {slope:g} and intercept {intercept:g}", "fix RescaleSlope and RescaleIntercept"
            raise FileError(self.path, "a rescale by numbers", found, fix)
        return Frame(
            self,
            number,
            groups,
            position,
            directions,
            (float(steps[0]), float(steps[1])),
            slope,
            intercept,
        )

    def _numbers(self, groups: tuple[Dataset, ...], macro: str, keyword: str, count: int) -> NDArray[np.float64]:
        """A list of numbers of a frame."""
        value = _value(self.header, groups, macro, keyword)
        numbers = np.array([] if value is None else value, dtype=np.float64).ravel()
        if numbers.size != count or not np.isfinite(numbers).all():
            name = self.storage_class.name or "an object without a class"
            found = f"{numbers.size} numbers in {keyword} ({name})" if numbers.size else f"no {keyword} ({name})"
            fix = "projections, photographs and reports are no volumes: give a series of CT, MR or PET slices"
            raise FileError(self.path, "an image with its place in the patient", found, fix)
        return numbers


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice: a file, or a frame of one.

    Attributes:
        file: Where it lies.
        number: Number of the frame, from 1.
        groups: Functional groups of the frame, and those that all frames of the file share; none in simple images.
        position: Centre of the first pixel, mm (LPS+), shape (3,).
        directions: Directions in which column and row indices grow (LPS+), shape (2, 3).
        steps: Distance in mm of rows, of columns.
        slope: Factor from stored numbers to intensities.
        intercept: What is added then.
    """

    file: DicomFile
    number: int
    groups: tuple[Dataset, ...]
    position: NDArray[np.float64]
    directions: NDArray[np.float64]
    steps: tuple[float, float]
    slope: float
    intercept: float

    @property
    def name(self) -> str:
        """File and, if it has several, frame."""
        return self.file.path.name + (f" frame {self.number}" if len(self.file.planes) > 1 else "")

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector at right angles to the plane, shape (3,)."""
        normal = np.cross(*self.directions)
        unit: NDArray[np.float64] = normal / np.linalg.norm(normal)
        return unit

    def stacked(self, step: NDArray[np.float64]) -> NDArray[np.float64]:
        """Indices (column, row, plane) to mm (RAS+), (4, 4), of planes from this one on, a step in mm (LPS+) apart.

        PS3.3, C.7.6.2.1.1.
        """
        affine = np.eye(4)
        affine[:3, 0] = self.directions[0] * self.steps[1]
        affine[:3, 1] = self.directions[1] * self.steps[0]
        affine[:3, 2] = step
        affine[:3, 3] = self.position
        affine[:2] *= -1  # LPS+ to RAS+
        return affine

    @property
    def intensities(self) -> tuple[float, float]:
        """Least and greatest intensity that it can hold."""
        ends = [self.slope * stored + self.intercept for stored in self.file.stored_range]
        return min(ends), max(ends)

    @property
    def is_whole(self) -> bool:
        """Whether all intensities are whole numbers."""
        return self.slope.is_integer() and self.intercept.is_integer()

    def value(self, macro: str, keyword: str) -> Any:
        """Value of an attribute of the frame, wherever it stands; None if it is absent or empty."""
        with parsing(self.file.path):
            return _value(self.file.header, self.groups, macro, keyword)

    def thickness(self) -> float | None:
        """Distance to the next slice, by the header of this one; None if it names none."""
        for keyword in ("SpacingBetweenSlices", "SliceThickness"):
            value = self.value("PixelMeasuresSequence", keyword)
            with parsing(self.file.path):
                if value is not None and math.isfinite(value) and value > 0:
                    return float(value)
        return None


@contextmanager
def parsing(
    path: Path,
    expected: str = "a readable DICOM file",
    found: str = "{}",
    fix: str = "the file is damaged: copy it or export it again",
) -> Iterator[None]:
    """A block that looks into what was read of headers; what is wrong with them is told, but never quoted.

    Args:
        path: File that the error is about.
        expected: What should be there.
        found: What is, of which the braces become the kind of what pydicom or highdicom raises at values that are none.
        fix: What to do.

    Raises:
        FileError: If the headers do not do.
    """
    try:
        yield
    except SamTailorError:
        raise
    except Exception as error:
        raise FileError(path, expected, found.format(type(error).__name__), fix) from error


def open_dicom(path: Path) -> DicomFile:
    """Read the header of a file."""
    with reading(path, "DICOM file", quoting=False), path.open("rb") as stream:
        header = pydicom.dcmread(stream, stop_before_pixels=True)
        at = stream.tell()
        has_pixels = stream.read(4) in _PIXEL_DATA
    if not header.file_meta.get("TransferSyntaxUID"):
        fix = "export the file again, as a DICOM file and not as a bare data set"
        raise FileError(path, "a transfer syntax in the file meta information", "none", fix)
    file = DicomFile(path, header, at)
    return file if has_pixels or file.is_deflated else replace(file, pixels_at=None)


def _value(header: Dataset, groups: tuple[Dataset, ...], macro: str, keyword: str) -> Any:
    """Value of an attribute in a functional group of the frame, in one of the file, or in its header; None if empty."""
    for item in (*(item for group in groups for item in group.get(macro) or ()), header):
        value = item.get(keyword)
        if value is not None and value != "":
            return value
    return None

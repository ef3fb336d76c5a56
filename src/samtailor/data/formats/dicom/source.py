"""What DICOM results take over from the series that they were found in, and what they say of themselves."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from samtailor.data.formats.dicom.dicom_file import parsing
from samtailor.errors import DataWarning, FileError
from samtailor.version import VERSION

MANUFACTURER = "SamTailor"
SOFTWARE = VERSION
EQUIPMENT: dict[str, Any] = {
    "manufacturer": MANUFACTURER,
    "manufacturer_model_name": MANUFACTURER,
    "software_versions": SOFTWARE,
    "device_serial_number": "none",  # programs have none, but the attribute must be filled
    "transfer_syntax_uid": ExplicitVRLittleEndian,
}
"""What all results say of the program that made them."""
UTF_8 = "ISO_IR 192"
"""Character set of results: class names and patients' may need different ones otherwise."""

_SERIES_OFFSET = 1000
_PATIENT_AND_STUDY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
_SHARED_UIDS = {
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "identifier",
    "FrameOfReferenceUID": "frame of reference",
}
_LOSSY = "01"
_GROUPS = "PerFrameFunctionalGroupsSequence"


class SourceSeries(Protocol):
    """What is asked of a series; its geometry has it all."""

    @property
    def headers(self) -> tuple[Dataset, ...]:
        """Of each plane, or the only one of an enhanced image."""

    @property
    def frames(self) -> tuple[int, ...]:
        """Number of each plane's frame in its file, from 1."""

    @property
    def file_affine(self) -> NDArray[Any]:
        """Indices (column, row, plane) to mm (RAS+), shape (4, 4)."""

    @property
    def file_shape(self) -> tuple[int, ...]:
        """Columns, rows, planes."""

    def to_stored(self, label: NDArray[Any]) -> NDArray[Any]:
        """A canonical array (S, H, W) as (planes, rows, columns)."""


def referring(target: Path) -> AbstractContextManager[None]:
    """A block that makes a result of a series' headers, of which anything may be damaged or missing.

    Raises:
        FileError: If the headers do not do.
    """
    expected = "a series whose headers a result can refer to"
    return parsing(target, expected, "damaged or incomplete ones ({})", "write NIfTI (--format nifti)")


def source_images(target: Path, headers: Sequence[Dataset]) -> list[Dataset]:
    """Headers of the series with all that results must refer to.

    Patient and study may be empty where anonymisers have emptied them. Identifiers may not: those that are lacking are
    made of the first image's, so that all results of a series agree, and a warning says so.

    Args:
        target: The result, for messages.
        headers: Of each plane, or the only one of an enhanced image.

    Raises:
        FileError: If the images lie in several studies or frames of reference.
    """
    images = [_complete(header, headers[0]) for header in headers]
    for keyword, name in _SHARED_UIDS.items():
        if len({image.get(keyword) for image in images}) > 1:
            expected = f"a series with one {name}, which a result refers to"
            raise FileError(target, expected, "several in its slices", "write NIfTI (--format nifti)")
    lacking = [keyword for keyword in _SHARED_UIDS if not images[0].get(keyword)]
    for keyword in lacking:
        uid = generate_uid(entropy_srcs=[images[0].SOPInstanceUID, keyword])
        for image in images:
            setattr(image, keyword, uid)
    if lacking:
        found = f"the series has no {' and no '.join(lacking)}"
        warnings.warn(f"{target}: {found}: made up, so viewers will not find the images", DataWarning, stacklevel=3)
    return images


def _complete(header: Dataset, first: Dataset) -> Dataset:
    """A copy of a header with the attributes that results need; its elements are shared."""
    image = copy.copy(header)
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if not image.get(keyword):
            setattr(image, keyword, header.file_meta.get(f"MediaStorage{keyword}"))
    for keyword in _PATIENT_AND_STUDY:
        if keyword not in image:
            setattr(image, keyword, None)
    if "ImageOrientationPatient" in first:
        image.ImageOrientationPatient = first.ImageOrientationPatient  # the last digits may differ between slices
    if _GROUPS in image:
        _arrange_groups(image)
    if image.get("LossyImageCompression") == _LOSSY:
        # Required with it (PS3.3, C.8.20.2), and often forgotten; 1 says no more than that there is no number.
        for keyword, unknown in (("LossyImageCompressionRatio", 1), ("LossyImageCompressionMethod", "UNKNOWN")):
            if image.get(keyword) in (None, ""):
                setattr(image, keyword, unknown)
    return image


def _arrange_groups(image: Dataset) -> None:
    """Put functional groups where most writers do: what all frames share together, positions apart."""
    shared = copy.copy(image.SharedFunctionalGroupsSequence[0])
    frames = [copy.copy(frame) for frame in image.PerFrameFunctionalGroupsSequence]
    for macro in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if macro not in shared:
            shared[macro] = frames[0][macro]
    if "PlanePositionSequence" in shared:
        frames[0]["PlanePositionSequence"] = shared["PlanePositionSequence"]
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [shared], frames


def positions(images: Sequence[Dataset], series: SourceSeries) -> list[list[float]]:
    """Where the first pixel of each plane lies, mm (LPS+), digit by digit as the headers say."""
    if _GROUPS not in images[0]:
        return [image.ImagePositionPatient for image in images]
    groups = images[0].PerFrameFunctionalGroupsSequence
    return [groups[number - 1].PlanePositionSequence[0].ImagePositionPatient for number in series.frames]


def series_number(source: Dataset) -> int:
    """Number of the result's series, which is listed behind those of the images."""
    return int(source.get("SeriesNumber") or 0) + _SERIES_OFFSET

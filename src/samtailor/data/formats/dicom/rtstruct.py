"""Writing RTSTRUCT (PS3.3, A.19): the outlines of each class, slice by slice, in the patient's coordinates.

Outlines run midway between the centres of neighbouring pixels, so that the pixels whose centres they enclose are those
of the label. A hole is joined to what is around it by a slit without width (keyhole), the way that planning systems
know.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import RTStructureSetStorage
from scipy import ndimage

from samtailor.data.formats.dicom.codes import ABNORMALITY, as_text, codes_of
from samtailor.data.formats.dicom.source import (
    EQUIPMENT,
    MANUFACTURER,
    SOFTWARE,
    UTF_8,
    SourceSeries,
    positions,
    referring,
    series_number,
    source_images,
)
from samtailor.errors import DataWarning
from samtailor.files import atomic
from samtailor.labels import LabelSpace

_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, retired, but required here (PS3.3, C.8.8.5)
_CONTOUR_DATA = Tag("ContourData")
_DECIMALS = 4  # of mm, a tenth of a micrometre; decimal strings have room for it


def write_structure_set(path: Path, label: NDArray[Any], labels: LabelSpace, series: SourceSeries) -> None:
    """Write what was found as a structure set of the series.

    Classes that were not found are left out; where none was found, all are there without outlines.

    Args:
        path: File to write; appears complete or not at all.
        label: Class indices, shape (S, H, W); ignored voxels lie in no outline.
        labels: Label space; the first class is the background, which has no outlines.
        series: The series.

    Raises:
        FileError: If the series lies in several frames of reference.
    """
    with referring(path):
        images = source_images(path, series.headers)
        stored = series.to_stored(label)
        found = [index for index in range(1, len(labels)) if (stored == index).any()]
        if not found:
            warnings.warn(f"{path}: none of the classes was found: there are no outlines", DataWarning, stacklevel=2)
        regions = found or list(range(1, len(labels)))
        structures = _structure_set(images)
        structures.StructureSetROISequence = [
            _region(number, labels, index, images) for number, index in enumerate(regions, 1)
        ]
        structures.ROIContourSequence = [
            _item(
                ROIDisplayColor=list(labels.palette[index]),
                ReferencedROINumber=number,
                **({"ContourSequence": list(_contours(stored == index, images, series))} if found else {}),
            )
            for number, index in enumerate(regions, 1)
        ]
        structures.RTROIObservationsSequence = [
            _observation(number, labels.names[index]) for number, index in enumerate(regions, 1)
        ]
    with atomic(path) as temporary:
        structures.save_as(temporary)


def _structure_set(images: Sequence[Dataset]) -> hd.base.SOPClass:
    """The object with its patient, study and series, and what it refers to."""
    first = images[0]
    structures = hd.base.SOPClass(
        study_instance_uid=first.StudyInstanceUID,
        series_instance_uid=hd.UID(),
        series_number=series_number(first),
        sop_instance_uid=hd.UID(),
        sop_class_uid=RTStructureSetStorage,
        instance_number=1,
        modality="RTSTRUCT",
        **EQUIPMENT,
        patient_id=first.PatientID,
        patient_name=first.PatientName,
        patient_birth_date=first.PatientBirthDate,
        patient_sex=first.PatientSex,
        accession_number=first.AccessionNumber,
        study_id=first.StudyID,
        study_date=first.StudyDate,
        study_time=first.StudyTime,
        referring_physician_name=first.ReferringPhysicianName,
        series_description=f"{MANUFACTURER} structures",
        specific_character_set=UTF_8,
    )
    structures.copy_patient_and_study_information(first)
    structures.OperatorsName = None
    structures.StructureSetLabel = MANUFACTURER
    now = datetime.datetime.now()
    structures.StructureSetDate, structures.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    structures.ApprovalStatus = "UNAPPROVED"
    structures.FrameOfReferenceUID = first.FrameOfReferenceUID
    structures.PositionReferenceIndicator = first.get("PositionReferenceIndicator")
    series = _item(
        SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=[_reference(image) for image in images]
    )
    study = _item(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    structures.ReferencedFrameOfReferenceSequence = [
        _item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study])
    ]
    return structures


def _region(number: int, labels: LabelSpace, index: int, images: Sequence[Dataset]) -> Dataset:
    return _item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=images[0].FrameOfReferenceUID,
        ROIName=as_text(labels.names[index]),
        ROIGenerationAlgorithm="AUTOMATIC",
        ROIGenerationDescription=f"{MANUFACTURER} {SOFTWARE}",
    )


def _observation(number: int, name: str) -> Dataset:
    """What a region is; nobody has looked at it yet."""
    known = codes_of(name)
    is_organ = known.has_public_code and known.category != ABNORMALITY
    code = hd.sr.CodedConcept(known.type.value, known.type.scheme, known.type.meaning)
    return _item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        RTROIIdentificationCodeSequence=[code],
        RTROIInterpretedType="ORGAN" if is_organ else None,
        ROIInterpreter=None,
    )


def _contours(mask: NDArray[np.bool_], images: Sequence[Dataset], series: SourceSeries) -> Iterator[Dataset]:
    """The outlines of a class, shape (planes, rows, columns), in mm (LPS+)."""
    places = positions(images, series)
    directions = series.file_affine[:3, :2].T * [-1, -1, 1]  # a step along a row, and along a column
    for plane in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
        image = images[plane] if len(images) > 1 else images[0]
        frame = series.frames[plane] if "NumberOfFrames" in images[0] else None
        for outline in outlines(mask[plane]):
            points = np.asarray(places[plane], dtype=np.float64) + outline[:, ::-1] @ directions
            contour = _item(
                ContourImageSequence=[_reference(image, frame)],
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(points),
            )
            contour[_CONTOUR_DATA] = _decimals(points)
            contour.set_original_encoding(False, True, default_encoding)  # so that the bytes are written as they are
            yield contour


def _decimals(points: NDArray[np.float64]) -> RawDataElement:
    """Coordinates as the element that holds them, in bytes: pydicom needs 10 microseconds to look at each number."""
    text = "\\".join(f"{mm:.{_DECIMALS}f}" for mm in points.ravel().tolist())
    value = (text + " " * (len(text) % 2)).encode()  # of even length (PS3.5, 6.2)
    return RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, is_implicit_VR=False, is_little_endian=True)


def outlines(mask: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
    """Rows and columns of the corners of each connected part's outline, shape (N, 2), its holes joined to it.

    Parts are connected by sides, so that outlines do not touch themselves.
    """
    from skimage.measure import find_contours  # only who writes outlines waits for scikit-image

    parts, _ = ndimage.label(mask)
    for number, place in enumerate(ndimage.find_objects(parts), 1):
        part = np.pad(parts[place] == number, 1)
        rings = [_halved(ring[:-1]) for ring in find_contours(part.astype(np.float32), 0.5)]
        outer = max(rings, key=lambda ring: float(np.ptp(ring[:, 1])))
        holes = [ring for ring in rings if ring is not outer]
        corner = np.array([place[0].start, place[1].start]) - 1.0
        yield corner + _straightened(_keyholed(outer, holes))


def _halved(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """A ring with corners wherever it crosses the middle between two rows of pixel centres."""
    middles = (ring + np.roll(ring, -1, axis=0)) / 2
    on_middle = np.isin(middles[:, 0] % 1, 0.5) & (ring[:, 0] % 1 == 0)
    both = np.stack([ring, middles], axis=1).reshape(-1, 2)
    halved: NDArray[np.float64] = both[np.stack([np.ones(len(ring), bool), on_middle], axis=1).ravel()]
    return halved


def _keyholed(ring: NDArray[np.float64], holes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """A ring with its holes, from the left to the right each joined to what is left of it.

    Slits run between two rows of pixel centres, so that none lies on a slit. Whatever is left of a hole's leftmost
    corner there belongs to the ring, or to a hole that has been joined before.
    """
    starts = [int(np.where(hole[:, 0] % 1 == 0.5, hole[:, 1], np.inf).argmin()) for hole in holes]
    for hole, start in sorted(zip(holes, starts, strict=True), key=lambda one: float(one[0][one[1], 1])):
        row, column = hole[start]
        left = np.flatnonzero((ring[:, 0] == row) & (ring[:, 1] < column))
        at = int(left[ring[left, 1].argmax()])
        around = np.roll(hole, -start, axis=0)
        ring = np.concatenate([ring[: at + 1], around, around[:1], ring[at:]])
    return ring


def _straightened(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """A ring without the corners at which it goes straight on."""
    before, behind = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * behind[:, 1] - before[:, 1] * behind[:, 0]
    returns = (before * behind).sum(axis=1) < 0
    straight: NDArray[np.float64] = ring[(turns != 0) | returns]
    return straight


def _reference(image: Dataset, frame: int | None = None) -> Dataset:
    """Reference to an image, or to a frame of it."""
    numbers = {} if frame is None else {"ReferencedFrameNumber": frame}
    return _item(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID, **numbers)


def _item(**attributes: Any) -> Dataset:
    """An item of a sequence."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item

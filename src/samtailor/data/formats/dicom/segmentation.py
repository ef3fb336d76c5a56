"""Writing DICOM-SEG (PS3.3, A.51): one binary segment per class that was found, beside its series."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from samtailor.data.formats.dicom.codes import PRIVATE_SCHEME, Code, as_text, codes_of
from samtailor.data.formats.dicom.notes import Notes
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
from samtailor.errors import DataError, DataWarning
from samtailor.files import atomic
from samtailor.labels import LabelSpace


def write_segmentation(path: Path, label: NDArray[Any], labels: LabelSpace, series: SourceSeries) -> None:
    """Write what was found as a segmentation object of the series, explicit VR little endian.

    Classes that were not found have no segment. Where none was found, each has an empty one in the first plane: an
    object without frames would be none, and so it says what was looked for.

    Args:
        path: File to write; appears complete or not at all.
        label: Class indices, shape (S, H, W).
        labels: Label space; the first class is the background, which has no segment.
        series: The series.

    Raises:
        FileError: If the series lies in several frames of reference.
        DataError: If the label ignores voxels, for which a segmentation object has no word.
    """
    with referring(path):
        stored = series.to_stored(label)
        if stored.min() < 0:
            raise DataError(
                f"{path}: expected a class for every voxel, found ignored ones; write NIfTI (--format nifti)"
            )
        images = source_images(path, series.headers)
        found = [index for index in range(1, len(labels)) if (stored == index).any()]
        planes, segments = (stored, found) if found else (np.zeros_like(stored[:1]), list(range(1, len(labels))))
        if not found:
            nothing = "none of the classes was found: the segments are empty"
            warnings.warn(f"{path}: {nothing}", DataWarning, stacklevel=2)
        number_of = np.zeros(len(labels), np.uint16 if len(segments) > 255 else np.uint8)
        number_of[segments] = np.arange(1, len(segments) + 1)
        segmentation = hd.seg.Segmentation(
            images,
            number_of[planes],
            hd.seg.SegmentationTypeValues.BINARY,
            [_description(number, labels, index) for number, index in enumerate(segments, 1)],
            series_instance_uid=hd.UID(),
            series_number=series_number(images[0]),
            sop_instance_uid=hd.UID(),
            instance_number=1,
            **EQUIPMENT,
            content_label="SEGMENTATION",
            content_description="Segmentation of all classes",
            plane_positions=[_position(place) for place in positions(images, series)[: len(planes)]],
            specific_character_set=UTF_8,
            series_description=f"{MANUFACTURER} segmentation",
        )
        names = dict(zip(labels.ids, labels.names, strict=True))
        columns, rows, count = series.file_shape
        notes = Notes(names, tuple(labels.ids[index] for index in segments), series.file_affine, (columns, rows, count))
        notes.add_to(segmentation)
        if not all(codes_of(labels.names[index]).has_public_code for index in segments):
            scheme = Dataset()
            scheme.CodingSchemeDesignator = PRIVATE_SCHEME
            scheme.CodingSchemeName = f"Class names of {MANUFACTURER}"
            segmentation.CodingSchemeIdentificationSequence = [scheme]
    with atomic(path) as temporary:
        segmentation.save_as(temporary)


def _description(number: int, labels: LabelSpace, index: int) -> SegmentDescription:
    """What a segment is."""
    known = codes_of(labels.names[index])
    description = SegmentDescription(
        number,
        as_text(labels.names[index]),
        _concept(known.category),
        _concept(known.type),
        hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        hd.AlgorithmIdentificationSequence(MANUFACTURER, codes.cid7162.ArtificialIntelligence, SOFTWARE),
        anatomic_regions=[_concept(known.region)] if known.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*labels.palette[index]),
    )
    if known.side:
        type_ = description.SegmentedPropertyTypeCodeSequence[0]
        type_.SegmentedPropertyTypeModifierCodeSequence = [_concept(known.side)]
    if known.region_side:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [_concept(known.region_side)]
    return description


def _concept(code: Code) -> hd.sr.CodedConcept:
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)


def _position(place: list[float]) -> hd.PlanePositionSequence:
    return hd.PlanePositionSequence(hd.enum.CoordinateSystemNames.PATIENT, place)

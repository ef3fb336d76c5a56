"""DICOM files for tests, of a patient who must be named nowhere: series of slices and enhanced images of frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests import generate

PATIENT, PATIENT_ID = "Doe^Jane", "MRN-4711"
INTERCEPT = -1024
_SHARED = ("StudyInstance", "SeriesInstance", "FrameOfReference")
Change = Callable[[FileDataset, int], None]
"""What is done to a slice before it is written, with its index along the plane axis."""


def affine(codes: str = "LPS", spacing: tuple[float, float, float] = (2.0, 3.0, 5.0), degrees: float = 0.0) -> Any:
    """Affine (RAS+) of columns, rows and planes that point to `codes`, turned about an oblique axis."""
    matrix = generate.affine(spacing, codes)
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.cross(np.eye(3), axis)
    angle = np.radians(degrees)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix[:3] = turn @ matrix[:3]
    return matrix


def laid(image: NDArray[Any], codes: str = "LPS", degrees: float = 0.0) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """A canonical volume (S, H, W) of 5 x 3 x 2 mm as planes, rows and columns that point to `codes`; their affine."""
    canonical = affine("SPL", (5.0, 3.0, 2.0), degrees)
    orientations = [nib.orientations.axcodes2ornt(axes) for axes in ("SPL", codes)]
    change = nib.orientations.ornt_transform(*orientations)
    stored = nib.orientations.apply_orientation(image, change)
    return stored.transpose(2, 1, 0), canonical @ nib.orientations.inv_ornt_aff(change, image.shape)


def write_series(
    folder: Path,
    volume: NDArray[Any],
    matrix: NDArray[np.float64] | None = None,
    name: str = "IM{:04}.dcm",
    change: Change | None = None,
    indices: Sequence[int] | None = None,
    **attributes: Any,
) -> Path:
    """A CT series.

    Args:
        folder: Where; the slices are added to what is there.
        volume: Intensities, shape (planes, rows, columns).
        matrix: Indices (column, row, plane) to mm (RAS+).
        name: Of each slice's file, by its number, which falls as the planes rise.
        change: What is done to each slice at last.
        indices: Planes that are written, all by default.
        attributes: Of every slice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    matrix = affine() if matrix is None else matrix
    attributes = {f"{what}UID": generate_uid() for what in _SHARED} | attributes
    for index in range(len(volume)) if indices is None else indices:
        number = len(volume) - index
        header = _header(CTImageStorage)
        _describe(header, volume[index])
        header.InstanceNumber = number
        header.ImageOrientationPatient = orientation(matrix)
        header.ImagePositionPatient = position(matrix, index)
        header.PixelSpacing = [digits(step) for step in np.linalg.norm(matrix[:3, :2], axis=0)[::-1]]
        header.SliceThickness = digits(float(np.linalg.norm(matrix[:3, 2])))
        header.RescaleIntercept, header.RescaleSlope = INTERCEPT, 1
        for keyword, value in attributes.items():
            setattr(header, keyword, value)
        if change:
            change(header, index)
        header.save_as(folder / name.format(number), enforce_file_format=True)
    return folder


def write_enhanced(
    path: Path,
    volume: NDArray[Any],
    matrix: NDArray[np.float64] | None = None,
    order: Sequence[int] | None = None,
    change: Callable[[FileDataset], None] | None = None,
) -> Path:
    """An enhanced CT whose frames lie in some order, each rescaled by an intercept of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    matrix = affine() if matrix is None else matrix
    order = list(range(len(volume))) if order is None else order
    header = _header(EnhancedCTImageStorage)
    intercepts = [INTERCEPT - 10 * index for index in range(len(volume))]
    stored = np.stack([volume[index].astype(int) - intercepts[index] for index in order])
    _describe(header, stored + INTERCEPT)
    header.NumberOfFrames = len(order)
    header.StudyInstanceUID, header.SeriesInstanceUID = generate_uid(), generate_uid()
    shared = Dataset()
    shared.PlaneOrientationSequence = [item(ImageOrientationPatient=orientation(matrix))]
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    measures = item(PixelSpacing=[digits(steps[1]), digits(steps[0])], SliceThickness=digits(steps[2]))
    shared.PixelMeasuresSequence = [measures]
    header.SharedFunctionalGroupsSequence = [shared]
    header.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=position(matrix, index))],
            PixelValueTransformationSequence=[item(RescaleIntercept=intercepts[index], RescaleSlope=1)],
            FrameContentSequence=[item(StackID="1", TemporalPositionIndex=1)],
        )
        for index in order
    ]
    if change:
        change(header)
    header.save_as(path, enforce_file_format=True)
    return path


def item(**attributes: Any) -> Dataset:
    """A data set of these attributes."""
    found = Dataset()
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    return found


def orientation(matrix: NDArray[np.float64]) -> list[float]:
    """Image Orientation (Patient) of an affine (RAS+)."""
    directions = (matrix[:3, :2] / np.linalg.norm(matrix[:3, :2], axis=0)).T * [-1, -1, 1]
    return [digits(cosine) for cosine in directions.ravel()]


def position(matrix: NDArray[np.float64], index: float) -> list[float]:
    """Image Position (Patient) of a plane."""
    return [digits(mm) for mm in (matrix[:3, 3] + index * matrix[:3, 2]) * [-1, -1, 1]]


def digits(value: float) -> float:
    """A number as a decimal string can hold it."""
    return round(float(value), 9)


def _header(storage: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    header.SOPClassUID, header.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    header.PatientName, header.PatientID, header.Modality = PATIENT, PATIENT_ID, "CT"
    header.ImageType, header.SeriesNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], 2
    header.SeriesDescription, header.FrameOfReferenceUID = "Abdomen 5.0", generate_uid()
    return header


def _describe(header: FileDataset, intensities: NDArray[Any]) -> None:
    """Pixels of 12 bits, and what they are."""
    header.Rows, header.Columns = intensities.shape[-2:]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.PixelData = (intensities.astype(int) - INTERCEPT).astype("<u2").tobytes()
    header["PixelData"].VR = "OW"

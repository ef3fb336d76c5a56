"""A DICOM series read as a volume in canonical axes, beside SimpleITK's reader, which leaves it in the file's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.line import Place, Prepared, Side
from samtailor.data.formats import read_image

_INTERCEPT = -1024


def series(slices: int, side: int) -> Callable[[Side, Place], Prepared]:
    """Headers of all slices, their order, and their pixels in HU."""

    def prepare(side_of: Side, place: Place) -> Prepared:
        count, edge = (4, 32) if place.small else (slices, side)
        folder = place.folder / "series"
        write(folder, count, edge)
        if side_of == "ours":
            return Prepared(lambda: read_image(folder).image)
        return Prepared(lambda: with_simpleitk(folder))

    return prepare


def with_simpleitk(folder: Path) -> NDArray[Any]:
    """The volume by SimpleITK, whose GDCM sorts the slices, too."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    volume: NDArray[Any] = SimpleITK.GetArrayFromImage(reader.Execute())
    return volume


def agreement() -> float:
    """Largest difference of both volumes, as a share of the largest number."""
    with tempfile.TemporaryDirectory(prefix="samtailor-") as folder:
        write(Path(folder) / "series", 8, 64)
        ours = np.asarray(read_image(Path(folder) / "series").image[0], np.float64)
        theirs = with_simpleitk(Path(folder) / "series")
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def write(folder: Path, slices: int, side: int) -> None:
    """Axial CT slices of noise in 12 bits, named in another order than they lie."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    series_uid, study_uid = generate_uid(), generate_uid()
    for index in range(slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
        header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        header.StudyInstanceUID, header.SeriesInstanceUID, header.InstanceNumber = study_uid, series_uid, index + 1
        header.Modality, header.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        header.ImageOrientationPatient, header.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.8, 0.8]
        header.ImagePositionPatient, header.SliceThickness = [-200, -200, 2.0 * index], 2
        header.RescaleSlope, header.RescaleIntercept = 1, _INTERCEPT
        header.Rows = header.Columns = side
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
        header.PixelData = rng.integers(0, 4096, (side, side)).astype("<u2").tobytes()
        header["PixelData"].VR = "OW"
        header.save_as(folder / f"IM{(index * 7) % slices:04}.dcm", enforce_file_format=True)

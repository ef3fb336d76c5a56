"""DICOM: series of CT, MR and PET slices, and enhanced images of many frames, as volumes.

`signature.py` says what a file is, `dicom_file.py` reads one header, `series.py` puts slices in order and refuses what
is no volume, `pixels.py` decodes. Only what is read needs the extra.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from nibabel.orientations import apply_orientation
from numpy.typing import NDArray

from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.formats.dicom.geometry import LABEL_SUFFIXES, SeriesGeometry
from samtailor.data.formats.dicom.signature import (
    image_files,
    is_dicom,
    is_image,
    is_image_folder,
    kind_of,
    refuse_structures,
)
from samtailor.data.formats.format import Format, Header, on_one_grid, with_channels
from samtailor.data.formats.label_content import LabelContent
from samtailor.errors import FileError
from samtailor.extras import require_extra
from samtailor.labels import LabelSpace

if TYPE_CHECKING:
    from samtailor.data.formats.dicom.segmentation_file import SegmentationFile
    from samtailor.data.formats.dicom.series import Series

_TILTED = 0.1  # degrees


class DicomFormat(Format):
    """A folder that holds one series is one image, and so is a file of many frames.

    Names of cases are those of folders and files, never a patient's.
    """

    suffixes = (LABEL_SUFFIXES["seg"], ".dcm")
    label_suffixes: ClassVar = LABEL_SUFFIXES
    probabilities_suffix = ".nii.gz"
    volumes = True

    def recognises(self, path: Path) -> bool:
        """Whether the path is a folder of slices, or a file that is called or begins as DICOM files do."""
        if os.path.isdir(path):
            return is_image_folder(path)
        return self.stem_of(path) != path.name or is_dicom(path)

    def stem_of(self, path: Path) -> str:
        """Name of a folder, or of a file without the suffix."""
        return path.name if os.path.isdir(path) else super().stem_of(path)

    def case_files(self, path: Path) -> CaseFiles:
        """A slice brings its series along; a folder or file `x_0000` its further channels."""
        if kind_of(path) == "slice":  # so that its folder is an image
            path = path.parent
        if path.name in ("", ".."):
            path = Path(os.path.abspath(path))
        return with_channels(path, self.stem_of(path))

    def parts(self, path: Path) -> list[Path]:
        """Files of a folder that are DICOM images."""
        return image_files(path) if os.path.isdir(path) else [path]

    def can_be_image(self, path: Path) -> bool:
        """Whether it is none of the objects that belong to an image, such as results."""
        return os.path.isdir(path) or kind_of(path) is None or is_image(kind_of(path))

    def modality(self, path: Path) -> str | None:
        """What the series was taken by."""
        return str(_series(path).planes[0].file.get("Modality") or "") or None

    def read_header(self, path: Path) -> Header:
        """Geometry and type of the intensities, or of the ids of a segmentation."""
        if kind_of(path) == "segments":
            return Header(_segmentation(path).grid, 1, 8, 1)
        series = _series(path)
        return Header(series.geometry(), 1, 8 * series.dtype.itemsize, 1)

    def read_pixels(self, paths: tuple[Path, ...]) -> tuple[NDArray[Any], SeriesGeometry]:
        """Rescaled intensities of one series per channel, all on one grid."""
        channels, geometry = on_one_grid(paths, _read_one)
        return channels[0][None] if len(channels) == 1 else np.stack(channels), geometry

    def read_ids(self, path: Path, labels: LabelSpace, grid: Geometry | None = None) -> tuple[NDArray[Any], Geometry]:
        """Ids of the classes that the segments of a segmentation are named after."""
        return _segmentation(path).read_ids(labels, grid)

    def content(self, path: Path) -> LabelContent:
        """Segments of each name."""
        return LabelContent("names", objects=Counter(_segmentation(path).names.values()))

    def read_names(self, path: Path) -> dict[int, str] | None:
        """Names of all classes, as a segmentation of ours has them; others know their segments only."""
        return _segmentation(path).class_names

    def doubts(self, path: Path) -> Iterator[tuple[str, str, str]]:
        """A tilted gantry, a single slice, and what else is in the folder."""
        series = _series(path)
        if (angle := series.shear) > _TILTED:
            step = float(np.linalg.norm(series.geometry().file_affine[:3, 2]))
            found = f"a gantry tilted by {angle:.1f} degrees"
            fix = (
                f"slices are labelled where they lie, and results refer to them; distances (NSD, HD95) take {step:.4g} "
                "mm, from a slice to the next on the line on which they are stacked, and right angles"
            )
            yield "slices stacked along their normal", found, fix
        if len(series.planes) == 1:
            thickness = series.planes[0].thickness()
            found = f"a single slice, taken to be {thickness or 1:.4g} mm thick"
            yield "a volume of several slices", found, "distances across slices mean little"


def _series(path: Path) -> Series:
    """The series at a path; the first that needs the extra."""
    require_extra("pydicom", "dicom", "DICOM", path)
    from samtailor.data.formats.dicom.series import read_series

    return read_series(path)


def _segmentation(path: Path) -> SegmentationFile:
    """The segmentation at a path."""
    require_extra("pydicom", "dicom", "DICOM", path)
    from samtailor.data.formats.dicom.segmentation_file import open_segmentation

    if os.path.isdir(path):
        raise FileError(path, "a DICOM segmentation", "a folder of images", "name the label file")
    refuse_structures(path)
    return open_segmentation(path)


def _read_one(path: Path) -> tuple[NDArray[Any], SeriesGeometry]:
    """Intensities of a series in canonical axes, shape (S, H, W), and how they lie in the files."""
    series = _series(path)
    from samtailor.data.formats.dicom.pixels import read_planes

    geometry = series.geometry()
    return apply_orientation(read_planes(series).transpose(2, 1, 0), geometry.to_canonical), geometry

"""How a series lies in the patient and in its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.orientations import apply_orientation
from numpy.typing import NDArray

from samtailor.data.formats.format import require_suffix
from samtailor.data.formats.nifti import StoredAsNifti
from samtailor.extras import require_extra
from samtailor.labels import LabelSpace

LABEL_SUFFIXES = {"seg": ".seg.dcm", "rtstruct": ".rtstruct.dcm", "nifti": ".nii.gz", "seg.nrrd": ".seg.nrrd"}
"""Suffixes of the kinds of labels that are written for a series; the first one is its own."""

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class SeriesGeometry(StoredAsNifti):
    """How the canonical array of a series lies in its files.

    The axes of the file are columns, rows and planes; planes are in the order of their places along the normal of the
    slices, the vector product of the directions in which column and row indices grow.

    Attributes:
        headers: Everything in the files before the pixels: of each plane, or the only one of an enhanced image, whose
            frames are the planes. Patients are named there: they stay in memory.
        frames: Number of each plane's frame in its file, from 1.
        file_affine: Indices (column, row, plane) to mm (RAS+), shape (4, 4); sheared if the gantry was tilted.
        file_shape: Columns, rows, planes.
    """

    headers: tuple[Dataset, ...]
    frames: tuple[int, ...]
    file_affine: NDArray[np.float64]
    file_shape: tuple[int, int, int]

    def __repr__(self) -> str:
        """Without the headers, which name patients."""
        return f"SeriesGeometry(file_shape={self.file_shape}, file_affine={self.file_affine.tolist()})"

    def to_stored(self, label: NDArray[Any]) -> NDArray[Any]:
        """A canonical array (S, H, W) as (planes, rows, columns), without copying."""
        stored: NDArray[Any] = apply_orientation(label, self.from_canonical).transpose(2, 1, 0)
        return stored

    def write_label(self, path: Path, label: NDArray[Any], labels: LabelSpace) -> None:
        """Write a segmentation object or a structure set that refers to the series, or NIfTI or NRRD on its grid."""
        require_suffix(path, LABEL_SUFFIXES.values())
        if path.name.lower().endswith((LABEL_SUFFIXES["nifti"], LABEL_SUFFIXES["seg.nrrd"])):
            return self.as_nifti().write_label(path, label, labels)
        require_extra("highdicom", "dicom", "writing DICOM", path)
        if path.name.lower().endswith(LABEL_SUFFIXES["seg"]):
            from samtailor.data.formats.dicom.segmentation import write_segmentation

            return write_segmentation(path, label, labels, self)
        from samtailor.data.formats.dicom.rtstruct import write_structure_set

        return write_structure_set(path, label, labels, self)

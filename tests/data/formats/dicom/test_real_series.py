"""A real CT series, compressed by JPEG 2000, is the volume that SimpleITK reads, and its NIfTI label lies on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_case, read_geometry, read_image
from samtailor.data.formats.dicom.geometry import SeriesGeometry
from samtailor.labels import LabelSpace

pytestmark = pytest.mark.shared_data

STRUCTURES = {"spleen": 1, "liver": 5, "aorta": 52, "colon": 20}
LABELS = LabelSpace.from_names(tuple(f"structure {index}" for index in range(118)))


def test_every_voxel_and_the_affine_are_those_of_simpleitk(shared_data: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    folder = shared_data / "ct_dicom" / "series"
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    case = read_image(folder)
    assert isinstance(case.geometry, SeriesGeometry)
    stored = case.geometry.to_stored(np.asarray(case.image[0]))
    np.testing.assert_array_equal(stored, sitk.GetArrayFromImage(image))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1  # LPS+ to RAS+
    np.testing.assert_allclose(case.geometry.file_affine, affine, rtol=0, atol=1e-5)


def test_a_label_with_other_axes_lies_on_the_series(shared_data: Path) -> None:
    folder = shared_data / "ct_dicom"
    label, series = folder / "totalsegmentator_labels.nii.gz", folder / "series"
    grid = read_geometry(series)
    assert grid.difference(read_geometry(label)) is None
    case = read_case(CaseFiles("ct", (series,), label), LABELS)
    assert case.label is not None
    hu = {name: float(np.median(case.image[0][case.label == index])) for name, index in STRUCTURES.items()}
    assert hu == {"spleen": 80, "liver": 93, "aorta": 151, "colon": -682.5}

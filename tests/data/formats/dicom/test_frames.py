"""Enhanced images: many frames in one file, each with its place and its rescale in a functional group."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import LegacyConvertedEnhancedCTImageStorage, RLELossless, generate_uid

from samtailor.data.formats import read_geometry, read_image
from samtailor.data.formats.dicom.geometry import SeriesGeometry
from samtailor.errors import FileError
from tests.data.formats.dicom.files import affine, write_enhanced, write_series

ORDER = (2, 0, 5, 1, 4, 3)


@pytest.fixture
def volume() -> NDArray[np.int16]:
    """Intensities of six planes, different everywhere."""
    return np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4) - 50


def test_frames_are_sorted_by_place_and_rescaled_by_their_own_groups(tmp_path: Path, volume: NDArray[np.int16]) -> None:
    path = write_enhanced(tmp_path / "x.dcm", volume, affine("LPS", degrees=7), ORDER)
    case = read_image(path)
    np.testing.assert_array_equal(case.image[0], volume)
    assert isinstance(case.geometry, SeriesGeometry)
    assert case.geometry.frames == tuple(ORDER.index(plane) + 1 for plane in range(6))
    assert len(case.geometry.headers) == 1
    np.testing.assert_allclose(case.geometry.file_affine, affine("LPS", degrees=7), atol=1e-6)


def test_packed_frames_are_read_in_their_order(tmp_path: Path, volume: NDArray[np.int16]) -> None:
    def pack(header: FileDataset) -> None:
        header.compress(RLELossless)

    path = write_enhanced(tmp_path / "x.dcm", volume, order=ORDER, change=pack)
    np.testing.assert_array_equal(read_image(path).image[0], volume)


def test_what_a_converter_makes_of_slices_is_the_same_volume(tmp_path: Path, volume: NDArray[np.int16]) -> None:
    """By highdicom, which has the values of each slice in unassigned groups, too."""
    series = write_series(tmp_path / "s", volume, affine("PIL"), Manufacturer="X", AccessionNumber="", StudyID="")
    slices = [dcmread(path) for path in sorted(series.iterdir())]
    for index, header in enumerate(slices):
        header.PatientBirthDate = header.PatientSex = header.ReferringPhysicianName = ""
        header.StudyDate, header.StudyTime, header.InstanceNumber = "20200101", "000000", index + 1
        header.FrameOfReferenceUID = "1.2.3"
    converted = highdicom.legacy.LegacyConvertedEnhancedCTImage(slices, generate_uid(), 5, generate_uid(), 1)
    assert converted.SOPClassUID == LegacyConvertedEnhancedCTImageStorage
    converted.save_as(tmp_path / "x.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "x.dcm").image, read_image(series).image)
    assert read_geometry(tmp_path / "x.dcm").difference(read_geometry(series)) is None


def test_time_points_in_one_file_are_named(tmp_path: Path, volume: NDArray[np.int16]) -> None:
    def second_time(header: FileDataset) -> None:
        for index, groups in enumerate(header.PerFrameFunctionalGroupsSequence):
            groups.FrameContentSequence[0].TemporalPositionIndex = 1 + index // 6

    path = write_enhanced(tmp_path / "x.dcm", volume, order=[*range(6), *range(6)], change=second_time)
    with pytest.raises(FileError) as error:
        read_image(path)
    assert error.value.found == (
        "12 slices at 6 places (x.dcm frame 1, x.dcm frame 7 are at one), which differ in TemporalPositionIndex "
        "(2 values)"
    )


def test_missing_frames_are_named(tmp_path: Path, volume: NDArray[np.int16]) -> None:
    path = write_enhanced(tmp_path / "x.dcm", volume, order=[5, 4, 1, 0])
    with pytest.raises(FileError, match=r"2 missing: 2 between x\.dcm frame 3 and x\.dcm frame 2"):
        read_image(path)


def test_frames_without_a_place_are_refused(tmp_path: Path, volume: NDArray[np.int16]) -> None:
    def lose(header: FileDataset) -> None:
        del header.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence

    with pytest.raises(FileError, match=r"found no ImagePositionPatient \(Enhanced CT Image Storage\)"):
        read_image(write_enhanced(tmp_path / "x.dcm", volume, change=lose))


def test_another_number_of_frames_than_groups_is_refused(tmp_path: Path, volume: NDArray[np.int16]) -> None:
    def lose(header: FileDataset) -> None:
        header.NumberOfFrames = 4

    with pytest.raises(FileError, match="expected positions of its 4 frames, found groups of 6"):
        read_image(write_enhanced(tmp_path / "x.dcm", volume, change=lose))

"""Series of slices: which volume they are, and why they are none."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.tag import Tag
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from samtailor.data.formats import find_format, read_geometry, read_header, read_image
from samtailor.data.formats.dicom import DicomFormat, geometry
from samtailor.errors import ConfigError, FileError
from samtailor.evaluation.measure import Grid
from tests.data.formats.dicom.files import (
    PATIENT,
    PATIENT_ID,
    affine,
    digits,
    item,
    position,
    write_enhanced,
    write_series,
)

PLANES = 6


@pytest.fixture
def volume() -> NDArray[np.int16]:
    """Intensities of six planes, different everywhere."""
    return np.arange(PLANES * 5 * 4, dtype=np.int16).reshape(PLANES, 5, 4) - 50


def refusal(path: Path) -> FileError:
    """What is said of a folder by its headers alone, and then of its pixels, too; never whom it shows."""
    with pytest.raises(FileError) as by_header:
        read_header(path)
    with pytest.raises(FileError) as error:
        read_image(path)
    assert str(error.value) == str(by_header.value)
    assert not re.search("Doe|Jane|4711", str(error.value))
    return error.value


def changed(**attributes: Any) -> Callable[[FileDataset, int], None]:
    """Sets attributes of the third plane."""

    def change(header: FileDataset, index: int) -> None:
        for keyword, value in attributes.items() if index == 2 else ():
            setattr(header, keyword, value)

    return change


class TestOrder:
    def test_slices_are_sorted_by_place_and_not_by_name_or_number(
        self, tmp_path: Path, volume: NDArray[np.int16]
    ) -> None:
        names = {0: "m.dcm", 1: "a.dcm", 2: "z.dcm", 3: "b.dcm", 4: "y.dcm", 5: "c.dcm"}

        def shuffle(header: FileDataset, index: int) -> None:
            header.InstanceNumber = (index * 5) % 7

        for index, name in names.items():
            write_series(tmp_path / "s", volume, name=name, indices=[index], change=shuffle, SeriesInstanceUID="1.2.3")
        case = read_image(tmp_path / "s")
        np.testing.assert_array_equal(case.image[0], volume)
        assert case.geometry.affine is not None
        np.testing.assert_allclose(case.geometry.affine[:3, 0], [0, 0, 5])

    def test_each_slice_has_its_own_rescale_and_its_own_range(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        def steeper(header: FileDataset, index: int) -> None:
            header.RescaleSlope, header.RescaleIntercept = index + 1, -7 * index

        write_series(tmp_path / "s", volume, change=steeper)
        case = read_image(tmp_path / "s")
        expected = np.stack([(plane.astype(int) + 1024) * (i + 1) - 7 * i for i, plane in enumerate(volume)])
        np.testing.assert_array_equal(case.image[0], expected)
        assert case.image.dtype == np.int16

    @pytest.mark.parametrize(
        ("attributes", "kind"),
        [
            ({}, np.int16),
            ({"BitsStored": 16, "HighBit": 15, "RescaleIntercept": 0}, np.uint16),
            ({"BitsStored": 16, "HighBit": 15}, np.int32),
            ({"BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1, "RescaleIntercept": 0}, np.int16),
            ({"RescaleSlope": 0.5}, np.float32),
            ({"RescaleIntercept": 0.25}, np.float32),
        ],
    )
    def test_the_type_is_the_smallest_that_holds_what_there_can_be(
        self, tmp_path: Path, volume: NDArray[np.int16], attributes: dict[str, Any], kind: type
    ) -> None:
        write_series(tmp_path / "s", volume, **attributes)
        case = read_image(tmp_path / "s")
        slope, intercept = attributes.get("RescaleSlope", 1), attributes.get("RescaleIntercept", -1024)
        np.testing.assert_array_equal(case.image[0], (volume.astype(int) + 1024) * slope + intercept)
        assert case.image.dtype == kind
        assert read_header(tmp_path / "s").bits == 8 * case.image.itemsize

    def test_a_tilted_gantry_shears_the_grid_and_results_lie_on_it(
        self, tmp_path: Path, volume: NDArray[np.int16], label_space: Any
    ) -> None:
        matrix = affine("LPS")
        matrix[:3, 2] = [0, np.sin(np.radians(20)) * 5, np.cos(np.radians(20)) * 5]
        series = write_series(tmp_path / "s", volume, matrix)
        grid = read_geometry(series)
        assert grid.affine is not None
        np.testing.assert_allclose(grid.affine[:3, 0], matrix[:3, 2], atol=1e-8)
        grid.write_label(tmp_path / "x.nii.gz", np.ones(grid.shape, np.int16), label_space)
        assert grid.difference(read_geometry(tmp_path / "x.nii.gz")) is None
        ((expected, found, fix),) = DicomFormat().doubts(series)
        assert (expected, found) == ("slices stacked along their normal", "a gantry tilted by 20.0 degrees")
        assert "distances (NSD, HD95) take 5 mm" in fix

    def test_distances_are_those_of_a_label_in_nifti_to_the_last_bit(
        self, tmp_path: Path, volume: NDArray[np.int16], label_space: Any
    ) -> None:
        grid = read_geometry(write_series(tmp_path / "s", volume, affine("LPS", (0.7, 0.7, 1.3))))
        grid.write_label(tmp_path / "x.nii.gz", np.ones(grid.shape, np.int16), label_space)
        assert Grid.from_geometry(grid).spacing == Grid.from_geometry(read_geometry(tmp_path / "x.nii.gz")).spacing

    def test_a_single_slice_is_as_thick_as_it_says(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        series = write_series(tmp_path / "s", volume, indices=[3], SliceThickness=1.5)
        assert read_geometry(series).spacing == pytest.approx((1.5, 3, 2))
        assert [found for _, found, _ in DicomFormat().doubts(series)] == ["a single slice, taken to be 1.5 mm thick"]

    def test_the_headers_go_with_the_planes_and_stay_unseen(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        grid = read_geometry(write_series(tmp_path / "s", volume, affine("LPI")))
        assert isinstance(grid, geometry.SeriesGeometry)
        heights = [float(header.ImagePositionPatient[2]) for header in grid.headers]
        assert heights == sorted(heights)
        assert grid.frames == (1,) * PLANES
        assert not any("PixelData" in header for header in grid.headers)
        assert str(grid.headers[0].PatientName) == PATIENT
        assert not re.search("Doe|Jane|4711", repr(grid))
        stored = np.asarray(read_image(tmp_path / "s").image[0])
        np.testing.assert_array_equal(grid.to_stored(stored), volume[::-1])


class TestRefusing:
    @pytest.mark.parametrize(
        ("indices", "found"),
        [
            ([0, 1, 3, 4, 5], "1 missing: 1 between IM0005.dcm and IM0003.dcm"),
            ([0, 1, 4, 5], "2 missing: 2 between IM0005.dcm and IM0002.dcm"),
        ],
    )
    def test_missing_slices(self, tmp_path: Path, volume: NDArray[np.int16], indices: list[int], found: str) -> None:
        error = refusal(write_series(tmp_path / "s", volume, indices=indices))
        assert (error.expected, error.found) == ("a slice every 5 mm", found)

    def test_slices_at_one_place_with_what_they_differ_in(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        for echo in (2.4, 4.8, 7.2):
            name = f"echo_{echo}_{{}}.dcm"
            write_series(tmp_path / "s", volume, name=name, SeriesInstanceUID="1.2.3", EchoTime=echo, KVP=120)
        error = refusal(tmp_path / "s")
        assert error.expected == "one slice at each place"
        assert error.found.startswith("18 slices at 6 places (echo_2.4_6.dcm, echo_4.8_6.dcm, echo_7.2_6.dcm are at")
        assert error.found.endswith("which differ in EchoTime (3 values)")
        assert "one echo, time point or b-value" in error.fix

    def test_copies_of_slices(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        for name in ("{}.dcm", "{} copy.dcm"):
            write_series(tmp_path / "s", volume, name=name, SeriesInstanceUID="1.2.3", indices=[0, 1, 2])
        error = refusal(tmp_path / "s")
        assert error.found.startswith("6 slices at 3 places (6 copy.dcm, 6.dcm are at one)")
        assert error.fix == "take away what is there twice"

    @pytest.mark.parametrize(("by", "is_even"), [(0.4, True), (0.6, False), (1.5, False)])
    def test_uneven_distances_beyond_a_tenth(
        self, tmp_path: Path, volume: NDArray[np.int16], by: float, is_even: bool
    ) -> None:
        moved = position(affine(), 2 + by / 5)
        write_series(tmp_path / "s", volume, change=changed(ImagePositionPatient=moved))
        if is_even:
            np.testing.assert_array_equal(read_image(tmp_path / "s").image[0], volume)
            return
        error = refusal(tmp_path / "s")
        assert error.expected == "even distances of the slices, to 10% of them"
        assert error.found.startswith(f"{5 - by:.4g} to {5 + by:.4g} mm (")
        assert "IM0004.dcm" in error.found

    def test_slices_beside_the_line_of_the_others(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        aside = [digits(mm + shift) for mm, shift in zip(position(affine(), 2), (0.3, 0, 0), strict=True)]
        error = refusal(write_series(tmp_path / "s", volume, change=changed(ImagePositionPatient=aside)))
        assert (error.expected, error.found) == (
            "slices on a straight line, to 10% of a pixel",
            "IM0004.dcm 0.3 mm beside it",
        )

    def test_several_series_by_number_and_description(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        write_series(tmp_path / "s", volume)
        write_series(tmp_path / "s", volume, name="b{}", SeriesNumber=7, SeriesDescription="Bone 1.0")
        error = refusal(tmp_path / "s")
        assert error.found == (
            "2: number 2 'Abdomen 5.0' (6 files, IM0001.dcm, ...), number 7 'Bone 1.0' (6 files, b1, ...)"
        )
        assert error.fix == "put each series into a folder of its own, and name that"

    def test_a_localiser_among_the_slices(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        write_series(tmp_path / "s", volume, change=changed(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
        error = refusal(tmp_path / "s")
        assert Path(error.file).name == "IM0004.dcm"
        assert (error.found, error.fix) == ("localisers", "move them out of the folder")

    def test_nothing_but_localisers(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        error = refusal(write_series(tmp_path / "s", volume, ImageType="LOCALIZER"))
        assert error.found == "localisers in 6 of 6 files (IM0001.dcm, IM0002.dcm, IM0003.dcm and 3 more)"

    @pytest.mark.parametrize(
        ("attributes", "expected", "found"),
        [
            ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "gray images", "RGB"),
            ({"PhotometricInterpretation": "PALETTE COLOR"}, "gray images", "PALETTE COLOR"),
            ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME2", "MONOCHROME1"),
            (
                {"SOPClassUID": SecondaryCaptureImageStorage},
                "an image of a scanner",
                "secondary capture (Secondary Capture Image Storage)",
            ),
            (
                {"SOPClassUID": MultiFrameGrayscaleByteSecondaryCaptureImageStorage},
                "an image of a scanner",
                "secondary capture (Multi-frame Grayscale Byte Secondary Capture",
            ),
            (
                {"SOPClassUID": DigitalXRayImageStorageForPresentation, "ImagePositionPatient": None},
                "an image with its place in the patient",
                "no ImagePositionPatient (Digital X-Ray Image Storage - For Presentation)",
            ),
            ({"PixelSpacing": [0, 1]}, "two directions at right angles, and steps above 0", "directions"),
            (
                {"ImageOrientationPatient": [1, 0, 0, 0.5, 0.5, 0]},
                "two directions at right angles, and steps above 0",
                "directions",
            ),
            ({"ModalityLUTSequence": [item(LUTExplanation="x")]}, "a rescale slope", "a modality lookup table"),
            ({"InConcatenationNumber": 1, "InConcatenationTotalNumber": 2}, "a whole image in each", "part 1 of 2"),
            ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "one slice in a frame", "a mosaic of slices"),
            ({"Rows": 0}, "pixels", "0 rows, 4 columns"),
            ({"BitsStored": 60000}, "8, 16 or 32 bits a pixel", "60000 of 16"),
            ({"RescaleSlope": float("nan")}, "a rescale by numbers", "slope nan and intercept -1024"),
        ],
    )
    def test_what_is_no_gray_slice(
        self, tmp_path: Path, volume: NDArray[np.int16], attributes: dict[str, Any], expected: str, found: str
    ) -> None:
        error = refusal(write_series(tmp_path / "s", volume, change=changed(**attributes)))
        assert Path(error.file).name == "IM0004.dcm"
        assert error.expected.startswith(expected)
        assert error.found.startswith(found)

    def test_what_it_is_where_the_class_was_anonymised(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        def anonymise(header: FileDataset, _: int) -> None:
            header.SOPClassUID, header.file_meta.MediaStorageSOPClassUID = "", SecondaryCaptureImageStorage

        error = refusal(write_series(tmp_path / "s", volume, change=anonymise))
        assert error.found.startswith("secondary capture (Secondary Capture Image Storage) in 6 of 6 files")

    @pytest.mark.parametrize("value", [b"Doe^Jane", b"1\\Doe\\3"])
    @pytest.mark.parametrize("tag", [0x00200032, 0x00281053, 0x00280030])
    def test_values_that_are_no_numbers_are_not_quoted(
        self, tmp_path: Path, volume: NDArray[np.int16], tag: int, value: bytes
    ) -> None:
        def spoil(header: FileDataset, index: int) -> None:
            if index == 2:
                header[tag] = RawDataElement(Tag(tag), "DS", len(value), value, 0, False, True)

        error = refusal(write_series(tmp_path / "s", volume, change=spoil))
        assert Path(error.file).name == "IM0004.dcm"
        assert error.expected == "a readable DICOM file"

    @pytest.mark.parametrize("storage", [SegmentationStorage, RTStructureSetStorage])
    def test_an_object_that_is_no_image(self, tmp_path: Path, volume: NDArray[np.int16], storage: str) -> None:
        def other(header: FileDataset, _: int) -> None:
            header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = storage

        folder = write_series(tmp_path / "s", volume, change=other, indices=[0])
        with pytest.raises(FileError) as error:
            read_image(folder / "IM0006.dcm")
        assert (error.value.expected, error.value.found) == ("an image", storage.name)  # type: ignore[attr-defined]
        assert find_format(folder) is None

    def test_slices_without_pixels(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        def empty(header: FileDataset, _: int) -> None:
            del header.PixelData

        error = refusal(write_series(tmp_path / "s", volume, change=empty))
        assert error.found.startswith("none (CT Image Storage) in 6 of 6 files")

    def test_several_sizes(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        write_series(tmp_path / "s", volume[:, :4], indices=[0, 1, 2, 3], SeriesInstanceUID="1.2.3")
        write_series(tmp_path / "s", volume, indices=[4, 5], SeriesInstanceUID="1.2.3")
        error = refusal(tmp_path / "s")
        assert error.expected == "slices of one size and pixel spacing"
        assert "5 x 4 of 3 x 2 mm (2: IM0001.dcm, IM0002.dcm)" in error.found

    def test_several_pixel_spacings(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        error = refusal(write_series(tmp_path / "s", volume, change=changed(PixelSpacing=[3.1, 2])))
        assert "5 x 4 of 3.1 x 2 mm (1: IM0004.dcm)" in error.found

    def test_several_orientations(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        turned = changed(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
        error = refusal(write_series(tmp_path / "s", volume, change=turned))
        assert error.expected == "slices of one orientation"
        assert "1\\0\\0\\0\\0\\-1 (1: IM0004.dcm)" in error.found

    def test_no_extra(self, tmp_path: Path, volume: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch) -> None:
        series = write_series(tmp_path / "s", volume)
        monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
        with pytest.raises(ConfigError, match=r"pip install 'samtailor\[dicom\]'"):
            read_header(series)


class TestFolder:
    def test_a_slice_stands_for_its_series(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        series = write_series(tmp_path / "s", volume)
        case = read_image(series / "IM0002.dcm")
        np.testing.assert_array_equal(case.image[0], volume)
        assert case.name == "s"

    def test_what_is_no_image_is_passed_over(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        series = write_series(tmp_path / "s", volume)
        (series / "notes.txt").write_text("scanned on Monday")
        (series / ".DS_Store").write_bytes(b"")
        (series / "DICOMDIR").write_bytes(bytes(128) + b"DICM\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10\x00")
        (series / "deeper").mkdir()

        def report(header: FileDataset, _: int) -> None:
            header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage

        write_series(series, volume, name="report.dcm", change=report, indices=[0])
        np.testing.assert_array_equal(read_image(series).image[0], volume)
        assert [path.name for path in DicomFormat().parts(series)] == [f"IM{i:04}.dcm" for i in range(1, PLANES + 1)]

    @pytest.mark.parametrize("target", [None, "nowhere", "001"])
    def test_a_slice_that_lost_its_content_is_named(
        self, tmp_path: Path, volume: NDArray[np.int16], target: str | None
    ) -> None:
        series = write_series(tmp_path / "s", volume, name="{:03}")
        (series / "001").unlink()
        if target is None:
            (series / "001").write_bytes(b"")
        else:
            (series / "001").symlink_to(target)  # of itself: a loop
        assert Path(refusal(series).file).name == "001"

    def test_one_image_of_frames_is_its_folder_and_two_are_not(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        write_enhanced(tmp_path / "s" / "a.dcm", volume)
        assert isinstance(find_format(tmp_path / "s"), DicomFormat)
        assert read_image(tmp_path / "s").name == "s"
        assert read_image(tmp_path / "s" / "a.dcm").name == "a"
        write_enhanced(tmp_path / "s" / "b.dcm", volume)
        assert find_format(tmp_path / "s") is None

    def test_the_folder_that_one_is_in_has_a_name(
        self, tmp_path: Path, volume: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(write_series(tmp_path / "s", volume))
        assert read_image(Path(".")).name == "s"
        assert read_image(Path("IM0001.dcm")).name == "s"

    def test_channels_are_series_on_one_grid(self, tmp_path: Path, volume: NDArray[np.int16]) -> None:
        for channel in range(2):
            write_series(tmp_path / f"s_000{channel}", volume + channel, SOPClassUID=MRImageStorage)
        case = read_image(tmp_path / "s_0000")
        assert case.name == "s"
        np.testing.assert_array_equal(case.image, [volume, volume + 1])
        write_series(tmp_path / "t_0000", volume)
        write_series(tmp_path / "t_0001", volume, affine("LPS", (2.0, 3.0, 4.0)))
        with pytest.raises(FileError, match=r"t_0001: expected spacing 5 x 3 x 2 mm like the first channel"):
            read_image(tmp_path / "t_0000")

    def test_pictures_are_not_opened_to_learn_that_they_are_no_slices(self, tmp_path: Path) -> None:
        (tmp_path / "s").mkdir()
        for index in range(3):
            (tmp_path / "s" / f"{index}.png").write_bytes(bytes(128) + b"DICM")
        assert find_format(tmp_path / "s") is None
        (tmp_path / "s" / "slice").write_bytes(bytes(128) + b"DICM")
        assert isinstance(find_format(tmp_path / "s"), DicomFormat)


def test_patients_are_in_the_files(tmp_path: Path, volume: NDArray[np.int16]) -> None:
    """What the tests of privacy look for is there."""
    content = (write_series(tmp_path / "s", volume) / "IM0001.dcm").read_bytes()
    assert PATIENT.encode() in content
    assert PATIENT_ID.encode() in content

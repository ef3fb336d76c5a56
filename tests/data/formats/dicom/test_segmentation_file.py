"""Segmentation objects are labels: ours come back as they were, others' by the names of their segments."""

from __future__ import annotations

import json
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from samtailor.data.case import CaseFiles
from samtailor.data.formats import find_format, format_of, read_case, read_geometry, read_image
from samtailor.data.formats.dicom import DicomFormat
from samtailor.errors import FileError
from samtailor.evaluation.score import score
from samtailor.labels import LabelSpace
from tests.data.formats.dicom.series import LABELS, SHAPE, geometry_of, label

CODE = pydicom.sr.codedict.codes


def ours(image: Path, name: str = "label.seg.dcm") -> Path:
    """A segmentation that we write."""
    path = image.parent / name
    geometry_of(image).write_label(path, label(), LABELS)
    return path


def foreign(
    image: Path, stored: NDArray[np.uint8], names: tuple[str, ...], kind: str = "BINARY", name: str = "label.seg.dcm"
) -> Path:
    """A segmentation that somebody else writes, of planes as they are stored."""
    segments = [
        hd.seg.SegmentDescription(
            number, name, CODE.SCT.Tissue, CODE.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number, name in enumerate(names, 1)
    ]
    headers = list(geometry_of(image).headers)
    for header in headers:
        for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
            setattr(header, keyword, None)
    uids = {"series_instance_uid": hd.UID(), "sop_instance_uid": hd.UID()}
    equipment = {"manufacturer_model_name": "x", "software_versions": "1", "device_serial_number": "1"}
    segmentation = hd.seg.Segmentation(
        headers, stored, kind, segments, series_number=1, instance_number=1, manufacturer="x", **uids, **equipment
    )
    path = image.parent / name
    segmentation.save_as(path)
    return path


def read(path: Path, image: Path, labels: LabelSpace = LABELS) -> NDArray[np.int16]:
    """Class indices of a label of a series."""
    found = read_case(CaseFiles("x", (image,), path), labels).label
    assert found is not None
    return found


class TestOurs:
    def test_it_is_read_without_its_image(self, image: Path) -> None:
        path = ours(image)
        ids, geometry = format_of(path).read_ids(path, LABELS)
        np.testing.assert_array_equal(ids, label())
        assert geometry.difference(geometry_of(image)) is None
        assert read_geometry(path).shape == SHAPE

    def test_ids_are_found_by_the_names_of_the_classes(self, axial: Path) -> None:
        moved = LabelSpace(LABELS.names, (7, 300, 2, 5, 1), LABELS.palette)
        path = ours(axial)
        assert format_of(path).read_names(path) == dict(enumerate(LABELS.names))
        np.testing.assert_array_equal(format_of(path).read_ids(path, moved)[0], moved.to_ids(label()))
        np.testing.assert_array_equal(read(path, axial, moved), label())

    def test_a_file_without_private_elements_is_one_of_others(self, image: Path) -> None:
        path = ours(image)
        header = pydicom.dcmread(path)
        header.remove_private_tags()
        header.save_as(path)
        assert format_of(path).read_names(path) is None
        np.testing.assert_array_equal(read(path, image), label())
        assert read_geometry(path).shape != SHAPE  # what lies at its ends is empty

    def test_spoilt_notes_are_passed_over(self, axial: Path) -> None:
        path = ours(axial)
        notes = json.loads(pydicom.dcmread(path).private_block(0x0063, "SAMTAILOR")[1].value)
        cropped, merged = {**notes, "shape": [5, 6, 7]}, {**notes, "segments": [1, 2]}
        flat, unknown = {**notes, "affine": np.zeros((4, 4)).tolist()}, {**notes, "segments": [1, 2, 9]}
        for spoilt in ("no JSON", "[]", *map(json.dumps, (cropped, merged, flat, unknown))):
            header = pydicom.dcmread(path)
            header.private_block(0x0063, "SAMTAILOR")[1].value = spoilt
            header.save_as(path)
            np.testing.assert_array_equal(read(path, axial), label())

    def test_masks_are_scored_against_labels_of_either_kind(self, axial: Path, tmp_path: Path) -> None:
        geometry = geometry_of(axial)
        found = label()
        found[found == 2] = 0  # a class that is nowhere in the mask
        for folder, array in (("masks", found), ("labels", label()), ("nifti", label())):
            kind = "nii.gz" if folder == "nifti" else "seg.dcm"
            geometry.write_label(tmp_path / folder / f"case.{kind}", array, LABELS)
        tables = [
            score(tmp_path / "masks", tmp_path / labels, out=tmp_path / f"scores-{labels}", bootstrap=1).to_json()[
                "cases"
            ]
            for labels in ("labels", "nifti")
        ]
        assert tables[0] == tables[1]
        assert tables[0]

    def test_masks_of_others_that_end_before_their_label_are_refused_by_name(self, axial: Path, tmp_path: Path) -> None:
        for folder in ("masks", "labels"):
            geometry_of(axial).write_label(tmp_path / folder / "case.seg.dcm", label(), LABELS)
        header = pydicom.dcmread(tmp_path / "masks" / "case.seg.dcm")
        header.remove_private_tags()
        header.save_as(tmp_path / "masks" / "case.seg.dcm")
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": {n: i for i, n in enumerate(LABELS.names)}}))
        with pytest.raises(FileError, match=r"masks/case\.seg\.dcm: expected 6 x 13 x 11 .* found 4 x 13 x 11"):
            score(tmp_path / "masks", tmp_path / "labels", out=tmp_path / "scores")


class TestOthers:
    def test_spellings_of_a_name_are_one_class(self, axial: Path) -> None:
        stored = np.zeros(geometry_of(axial).file_shape[::-1], np.uint8)
        stored[2, 3, 4], stored[3, 5, 6] = 1, 2
        path = foreign(axial, stored, ("Kidney, right", "Liver"))
        expected = np.zeros_like(stored)
        expected[2, 3, 4], expected[3, 5, 6] = 2, 1
        np.testing.assert_array_equal(geometry_of(axial).to_stored(read(path, axial)), expected)

    def test_frames_of_a_label_map_show_all_segments(self, axial: Path) -> None:
        stored = np.random.default_rng(3).integers(0, 3, geometry_of(axial).file_shape[::-1]).astype(np.uint8)
        path = foreign(axial, stored, ("liver", "right kidney"), "LABELMAP")
        np.testing.assert_array_equal(geometry_of(axial).to_stored(read(path, axial)), stored)

    def test_whatever_the_file_is_called(self, axial: Path) -> None:
        path = foreign(axial, np.ones(geometry_of(axial).file_shape[::-1], np.uint8), ("liver",), name="1.2.840.99")
        assert type(find_format(path)) is DicomFormat
        assert (read(path, axial) == 1).all()

    def test_one_plane_alone_has_the_thickness_of_the_slices(self, axial: Path) -> None:
        stored = np.zeros(geometry_of(axial).file_shape[::-1], np.uint8)
        stored[3, 3, 4] = 1
        path = foreign(axial, stored, ("liver",))
        assert read_geometry(path).shape == (1, *SHAPE[1:])
        assert read_geometry(path).spacing == pytest.approx(geometry_of(axial).spacing)
        assert np.argwhere(read(path, axial)).tolist() == [[3, 3, 4]]

    def test_planes_between_frames_are_background(self, axial: Path) -> None:
        stored = np.zeros(geometry_of(axial).file_shape[::-1], np.uint8)
        stored[[1, 4], 3, 4] = 1
        path = foreign(axial, stored, ("liver",))
        header = pydicom.dcmread(path)
        for keep in (True, False):  # with and without the distance of the slices
            if not keep:
                del header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
                header.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient[2] -= 10
                header.save_as(path)
            expected = [[1, 3, 4], [4 if keep else 2, 3, 4]]
            assert np.argwhere(read(path, axial)).tolist() == expected


class TestRefusing:
    def test_segments_that_overlap_are_named(self, axial: Path) -> None:
        shape = geometry_of(axial).file_shape[::-1]
        stored = np.zeros((*shape, 2), np.uint8)
        stored[2, 3:6, 4, 0] = stored[2, 5:8, 4, 1] = 1
        path = foreign(axial, stored, ("liver", "right kidney"))
        with pytest.raises(FileError, match=r"do not overlap, found 'right kidney' and 'liver' in the same voxels"):
            read(path, axial)

    def test_parts_of_one_class_may_overlap(self, axial: Path) -> None:
        shape = geometry_of(axial).file_shape[::-1]
        stored = np.zeros((*shape, 2), np.uint8)
        stored[2, 3:6, 4, 0] = stored[2, 5:8, 4, 1] = 1
        assert read(foreign(axial, stored, ("liver", "Liver")), axial).sum() == 5

    def test_segments_of_no_class_are_named(self, axial: Path) -> None:
        path = foreign(axial, np.ones(geometry_of(axial).file_shape[::-1], np.uint8), ("spleen",))
        with pytest.raises(FileError, match=r"segments of the classes liver, .*, found 'spleen'; rename"):
            read(path, axial)

    def test_fractions_are_no_label(self, axial: Path) -> None:
        stored = np.ones(geometry_of(axial).file_shape[::-1], np.uint8)
        path = foreign(axial, stored, ("liver",), "FRACTIONAL")
        with pytest.raises(FileError, match=r"BINARY or LABELMAP, found type FRACTIONAL"):
            read(path, axial)

    def test_images_and_structure_sets_are_no_labels(self, axial: Path) -> None:
        geometry_of(axial).write_label(axial.parent / "x.rtstruct.dcm", label(), LABELS)
        for path in (next(axial.iterdir()), axial.parent / "x.rtstruct.dcm", axial):
            with pytest.raises(FileError, match=r"expected a DICOM segmentation"):
                DicomFormat().read_ids(path, LABELS)

    def test_a_segmentation_is_no_image(self, axial: Path) -> None:
        with pytest.raises(FileError, match=r"expected an image.*Segmentation Storage.*give the series"):
            read_image(ours(axial))

    def test_frames_beside_the_grid_are_named(self, axial: Path) -> None:
        path = ours(axial)

        def move(header: FileDataset) -> None:
            header.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0].ImagePositionPatient[0] += 1

        header = pydicom.dcmread(path)
        move(header)
        header.save_as(path)
        with pytest.raises(FileError, match=r"one evenly spaced grid, found frame 4 elsewhere"):
            read(path, axial)

    @pytest.mark.parametrize("kept", [0.0, 0.3, 0.7, 0.99])
    def test_damaged_files_are_named(self, axial: Path, kept: float) -> None:
        path = ours(axial)
        path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
        with pytest.raises(FileError, match=r"label\.seg\.dcm"):
            read(path, axial)

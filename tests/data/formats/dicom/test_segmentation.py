"""A segmentation object says what was found, where, by whom, and for which images; others read the same from it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian

from samtailor.data.formats.dicom.geometry import SeriesGeometry
from samtailor.data.formats.dicom.segmentation import write_segmentation
from samtailor.errors import DataError, DataWarning, FileError
from samtailor.labels import IGNORE, LabelSpace
from tests.data.formats.dicom.files import PATIENT, PATIENT_ID, item, write_enhanced, write_series
from tests.data.formats.dicom.programs import program, require_valid
from tests.data.formats.dicom.series import LABELS, PIXELS, geometry_of, label


def written(image: Path, labels: LabelSpace = LABELS) -> Path:
    """The label of a series, written beside it."""
    path = image.parent / "label.seg.dcm"
    geometry_of(image).write_label(path, label(), labels)
    return path


class TestOthersReadTheSame:
    def test_it_is_valid(self, image: Path) -> None:
        require_valid(written(image))

    def test_highdicom(self, image: Path) -> None:
        """Every voxel of every segment lies at the place in the patient where the label has it."""
        geometry, path = geometry_of(image), written(image)
        segmentation = hd.seg.segread(path)
        stored = geometry.to_stored(label())
        found = np.zeros_like(stored)
        to_index = np.linalg.inv(geometry.file_affine)
        for number in segmentation.segment_numbers:
            index = LABELS.names.index(segmentation.get_segment_description(number).segment_label)
            for frame, groups in enumerate(segmentation.PerFrameFunctionalGroupsSequence, 1):
                if groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
                    place = groups.PlanePositionSequence[0].ImagePositionPatient
                    plane = to_index @ [-place[0], -place[1], place[2], 1]
                    np.testing.assert_allclose(plane[:2], 0, atol=1e-6)
                    found[round(plane[2])][segmentation.get_stored_frame(frame) > 0] = index
        np.testing.assert_array_equal(found, stored)
        cosines = segmentation.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
        directions = geometry.file_affine[:3, :2] / np.linalg.norm(geometry.file_affine[:3, :2], axis=0)
        np.testing.assert_allclose(np.reshape(cosines, (2, 3)) * [-1, -1, 1], directions.T, atol=1e-8)

    def test_dcmqi(self, image: Path) -> None:
        reader = program("segimage2itkimage", "pip install dcmqi")
        geometry, path = geometry_of(image), written(image)
        if np.abs(geometry.file_affine[:3, :2].T @ geometry.file_affine[:3, 2]).max() > 1e-3:
            pytest.skip("dcmqi knows no tilted series")
        out = path.parent / "dcmqi"
        out.mkdir()
        command = [reader, "--inputDICOM", path, "--outputDirectory", out, "-t", "nii", "-p", "x"]
        subprocess.run(command, check=True, capture_output=True)
        names = [LABELS.names[index] for index in range(1, len(LABELS)) if (label() == index).any()]
        stored, steps = geometry.to_stored(label()), np.linalg.norm(geometry.file_affine[:3, :3], axis=0)
        for number, name in enumerate(names, 1):
            volume = nib.load(out / f"x-{number}.nii.gz")
            found = np.argwhere(np.asarray(volume.dataobj) > 0)
            places = nib.affines.apply_affine(volume.affine, found)
            indices = nib.affines.apply_affine(np.linalg.inv(geometry.file_affine), places)
            np.testing.assert_allclose(indices, indices.round(), atol=0.01 / steps.min())
            expected = np.argwhere(stored.transpose(2, 1, 0) == LABELS.names.index(name))
            assert set(map(tuple, indices.round().astype(int))) == set(map(tuple, expected))


class TestContent:
    def test_it_is_binary_and_plainly_encoded(self, axial: Path) -> None:
        header = pydicom.dcmread(written(axial))
        assert header.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert (header.Modality, header.SegmentationType, header.BitsAllocated) == ("SEG", "BINARY", 1)
        assert header.SeriesNumber == 1002
        assert header.SeriesDescription == "SamTailor segmentation"

    def test_patient_and_study_are_the_sources(self, axial: Path) -> None:
        header, source = pydicom.dcmread(written(axial)), geometry_of(axial).headers[0]
        for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientName", "PatientID"):
            assert header[keyword].value == source[keyword].value
        assert (header.PatientName, header.PatientID) == (PATIENT, PATIENT_ID)
        assert header.SeriesInstanceUID != source.SeriesInstanceUID
        (series,) = header.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == source.SeriesInstanceUID
        assert len(series.ReferencedInstanceSequence) == len(geometry_of(axial).headers)

    def test_each_frame_refers_to_the_image_that_it_was_found_in(self, image: Path) -> None:
        header, geometry = pydicom.dcmread(written(image)), geometry_of(image)
        places = {tuple(_place(geometry, plane)): plane for plane in range(geometry.file_shape[2])}
        assert len(header.PerFrameFunctionalGroupsSequence)
        for groups in header.PerFrameFunctionalGroupsSequence:
            plane = places[tuple(groups.PlanePositionSequence[0].ImagePositionPatient)]
            (source,) = groups.DerivationImageSequence[0].SourceImageSequence
            if len(geometry.headers) > 1:
                assert source.ReferencedSOPInstanceUID == geometry.headers[plane].SOPInstanceUID
            else:
                assert source.ReferencedSOPInstanceUID == geometry.headers[0].SOPInstanceUID
                assert source.ReferencedFrameNumber == geometry.frames[plane]

    def test_segments_are_coded_and_coloured(self, axial: Path) -> None:
        header = pydicom.dcmread(written(axial))
        liver, kidney, tumor = header.SegmentSequence
        assert [segment.SegmentLabel for segment in header.SegmentSequence] == ["liver", "right kidney", "liver tumor"]
        assert liver.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
        (side,) = kidney.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence
        assert side.CodeMeaning == "Right"
        assert tumor.AnatomicRegionSequence[0].CodeMeaning == "Liver"
        assert {segment.SegmentAlgorithmType for segment in header.SegmentSequence} == {"AUTOMATIC"}
        assert liver.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "SamTailor"
        colours = [hd.seg.SegmentDescription.from_dataset(one).RecommendedDisplayCIELabValue for one in (liver, tumor)]
        shown = [hd.color.CIELabColor.from_dicom_value(tuple(colour)).to_rgb() for colour in colours]
        assert np.abs(np.subtract(shown, [LABELS.palette[1], LABELS.palette[3]])).max() <= 1

    def test_the_side_of_what_an_abnormality_lies_in_is_said(self, axial: Path) -> None:
        labels = LabelSpace.from_names(("background", "left kidney tumor", "b", "c"))
        segment = pydicom.dcmread(written(axial, labels)).SegmentSequence[0]
        (region,) = segment.AnatomicRegionSequence
        assert (region.CodeMeaning, region.AnatomicRegionModifierSequence[0].CodeMeaning) == ("Kidney", "Left")
        require_valid(written(axial, labels))

    def test_any_name_is_written(self, axial: Path) -> None:
        names = ("background", "Kathéter \\ 胃", "x" * 100, "c")
        path = written(axial, LabelSpace.from_names(names))
        header = pydicom.dcmread(path)
        assert [segment.SegmentLabel for segment in header.SegmentSequence] == ["Kathéter / 胃", "x" * 64, "c"]
        require_valid(path)

    def test_patients_keep_their_letters(self, tmp_path: Path) -> None:
        name = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Zoé"}
        image = write_series(tmp_path / "case", PIXELS, **name)
        assert str(pydicom.dcmread(written(image)).PatientName) == "Müller^Zoé"

    def test_every_result_is_an_instance_of_its_own(self, axial: Path) -> None:
        first, second = (pydicom.dcmread(written(axial)) for _ in range(2))
        assert first.SOPInstanceUID != second.SOPInstanceUID
        assert first.SeriesInstanceUID != second.SeriesInstanceUID


class TestNothingFound:
    def test_each_class_has_an_empty_segment_and_a_warning_says_so(self, image: Path) -> None:
        geometry, path = geometry_of(image), image.parent / "empty.seg.dcm"
        with pytest.warns(DataWarning, match="none of the classes was found"):
            geometry.write_label(path, np.zeros_like(label()), LABELS)
        header = pydicom.dcmread(path)
        assert [segment.SegmentLabel for segment in header.SegmentSequence] == list(LABELS.names[1:])
        assert header.NumberOfFrames == len(LABELS) - 1
        assert not header.pixel_array.any()
        require_valid(path)


class TestOddSources:
    def test_what_anonymisers_have_removed_is_made_up_with_a_warning(self, tmp_path: Path) -> None:
        lacking = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "SOPInstanceUID")

        def anonymise(header: FileDataset, _: int) -> None:
            for keyword in (*lacking, "PatientID"):
                setattr(header, keyword, "")
            del header.PatientName

        image = write_series(tmp_path / "case", PIXELS, change=anonymise)
        with pytest.warns(DataWarning, match="no StudyInstanceUID and no SeriesInstanceUID and no FrameOfReferenceUID"):
            headers = [pydicom.dcmread(written(image)) for _ in range(2)]
        for header in headers:
            assert header.StudyInstanceUID == headers[0].StudyInstanceUID != ""
            assert header.FrameOfReferenceUID == headers[0].FrameOfReferenceUID != header.StudyInstanceUID
            (series,) = header.ReferencedSeriesSequence
            found = {one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence}
            assert found == {one.file_meta.MediaStorageSOPInstanceUID for one in geometry_of(image).headers}
        require_valid(written(image))

    def test_a_lossy_source_without_ratio_and_method_is_valid(self, tmp_path: Path) -> None:
        image = write_series(tmp_path / "case", PIXELS, LossyImageCompression="01")
        header = pydicom.dcmread(written(image))
        assert (header.LossyImageCompression, header.LossyImageCompressionRatio) == ("01", 1)
        require_valid(written(image))

    def test_a_lossy_source_tells_its_ratio(self, tmp_path: Path) -> None:
        lossy = {"LossyImageCompressionRatio": 12.5, "LossyImageCompressionMethod": "ISO_15444_1"}
        image = write_series(tmp_path / "case", PIXELS, LossyImageCompression="01", **lossy)
        header = pydicom.dcmread(written(image))
        assert (header.LossyImageCompressionRatio, header.LossyImageCompressionMethod) == (12.5, "ISO_15444_1")

    def test_directions_may_differ_in_their_last_digits(self, tmp_path: Path) -> None:
        def turn(header: FileDataset, index: int) -> None:
            header.ImageOrientationPatient = [1, index * 1e-8, 0, 0, 1, 0]

        require_valid(written(write_series(tmp_path / "case", PIXELS, change=turn)))

    def test_functional_groups_may_stand_with_the_frames(self, tmp_path: Path) -> None:
        def move(header: FileDataset) -> None:
            shared = header.SharedFunctionalGroupsSequence[0]
            for groups in header.PerFrameFunctionalGroupsSequence:
                for macro in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
                    groups[macro] = shared[macro]
            header.SharedFunctionalGroupsSequence = [item()]

        require_valid(written(write_enhanced(tmp_path / "case.dcm", PIXELS, change=move)))

    @pytest.mark.parametrize(
        ("keyword", "name"), [("FrameOfReferenceUID", "frame of reference"), ("StudyInstanceUID", "study")]
    )
    def test_several_frames_of_reference_or_studies_are_refused(self, keyword: str, name: str, tmp_path: Path) -> None:
        def move(header: FileDataset, index: int) -> None:
            setattr(header, keyword, f"1.2.{index // 3}")

        image = write_series(tmp_path / "case", PIXELS, change=move)
        with pytest.raises(FileError, match=rf"one {name}.*--format nifti"):
            written(image)

    def test_headers_that_say_nothing_of_use_are_refused_without_quoting_them(self, tmp_path: Path) -> None:
        def damage(header: FileDataset, index: int) -> None:
            header.SOPClassUID = f"{header.SOPClassUID}.99"

        image = write_series(tmp_path / "case", PIXELS, change=damage)
        with pytest.raises(FileError, match=r"damaged or incomplete ones \(\w+\); write NIfTI"):
            written(image)

    def test_ignored_voxels_are_refused(self, axial: Path) -> None:
        found = label()
        found[2, 3, 4] = IGNORE
        with pytest.raises(DataError, match="found ignored ones"):
            write_segmentation(axial.parent / "x.seg.dcm", found, LABELS, geometry_of(axial))
        assert not (axial.parent / "x.seg.dcm").exists()


def _place(geometry: SeriesGeometry, plane: int) -> list[float]:
    headers, frames = geometry.headers, geometry.frames
    if len(headers) > 1:
        return list(headers[plane].ImagePositionPatient)
    groups = headers[0].PerFrameFunctionalGroupsSequence[frames[plane] - 1]
    return list(groups.PlanePositionSequence[0].ImagePositionPatient)

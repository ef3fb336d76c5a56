"""A structure set outlines what was found: whoever fills the outlines gets the label back, voxel by voxel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask

from samtailor.data.formats.dicom.rtstruct import outlines
from samtailor.errors import DataWarning
from samtailor.labels import LabelSpace
from tests.data.formats.dicom.files import PATIENT, PATIENT_ID
from tests.data.formats.dicom.programs import require_valid
from tests.data.formats.dicom.series import LABELS, geometry_of, label


def written(image: Path, labels: LabelSpace = LABELS) -> Path:
    """The outlines of a series, written beside it."""
    path = image.parent / "label.rtstruct.dcm"
    geometry_of(image).write_label(path, label(), labels)
    return path


def masks() -> list[NDArray[np.bool_]]:
    """Noise with holes in holes and parts that touch by corners, blobs, and what lies at the edges."""
    rng = np.random.default_rng(0)
    noise = [rng.random(tuple(rng.integers(1, 25, 2))) < rng.uniform(0.1, 0.95) for _ in range(60)]
    blobs = [ndimage.gaussian_filter(rng.random((30, 40)), 1.5) > 0.5 for _ in range(20)]
    rings = np.zeros((15, 15), bool)
    for rim in range(0, 8, 2):
        rings[rim : 15 - rim, rim : 15 - rim] = True
        rings[rim + 1 : 14 - rim, rim + 1 : 14 - rim] = False
    return [*noise, *blobs, rings, np.ones((4, 5), bool)]


class TestOutlines:
    def test_they_enclose_each_pixel_of_the_mask_once_and_no_other(self) -> None:
        for mask in masks():
            filled = np.zeros(mask.shape, int)
            for outline in outlines(mask):
                filled += polygon2mask(mask.shape, outline)
            np.testing.assert_array_equal(filled, mask)

    def test_each_connected_part_has_one(self) -> None:
        for mask in masks():
            assert len(list(outlines(mask))) == ndimage.label(mask)[1]

    def test_one_pixel_is_a_diamond(self) -> None:
        (outline,) = outlines(np.ones((1, 1), bool))
        assert sorted(outline.tolist()) == [[-0.5, 0], [0, -0.5], [0, 0.5], [0.5, 0]]

    def test_no_corner_lies_on_a_straight_line(self) -> None:
        (outline,) = outlines(np.ones((20, 30), bool))
        assert len(outline) == 8

    def test_slits_pass_between_the_centres_of_pixels_and_through_no_hole(self) -> None:
        slits = 0
        for mask in masks():
            for outline in outlines(mask):
                edges = list(map(tuple, np.hstack([outline, np.roll(outline, -1, axis=0)]).tolist()))
                for row, start, end_row, end in edges:
                    if (end_row, end, row, start) in edges and (row, start) > (end_row, end):
                        assert row == end_row == int(row) + 0.5
                        across = slice(int(end) + 1, int(np.ceil(start)))
                        assert mask[int(row) : int(row) + 2, across].all()
                        slits += 1
        assert slits > 50


class TestFile:
    def test_elements_have_an_even_length(self, axial: Path) -> None:
        """PS3.5, 7.1.1; neither pydicom nor dciodvfy minds."""
        found = pydicom.dcmread(written(axial)).ROIContourSequence
        contours = [contour for region in found for contour in region.ContourSequence]
        assert {contour.get_item("ContourData").length % 2 for contour in contours} == {0}

    def test_it_is_valid(self, image: Path) -> None:
        require_valid(written(image))

    def test_filled_outlines_are_the_label_in_the_slices_that_they_refer_to(self, image: Path) -> None:
        header, geometry = pydicom.dcmread(written(image)), geometry_of(image)
        names = {region.ROINumber: region.ROIName for region in header.StructureSetROISequence}
        instances = [one.SOPInstanceUID for one in geometry.headers]
        found = np.zeros(geometry.file_shape[::-1], int)
        to_index = np.linalg.inv(geometry.file_affine)
        for region in header.ROIContourSequence:
            index = LABELS.names.index(names[region.ReferencedROINumber])
            for contour in region.ContourSequence:
                points = np.reshape(contour.ContourData, (-1, 3)).astype(float) * [-1, -1, 1]
                assert len(points) == contour.NumberOfContourPoints
                indices = points @ to_index[:3, :3].T + to_index[:3, 3]
                (reference,) = contour.ContourImageSequence
                plane = instances.index(reference.ReferencedSOPInstanceUID)
                if len(instances) == 1:
                    plane = geometry.frames.index(reference.ReferencedFrameNumber)
                np.testing.assert_allclose(indices[:, 2], plane, atol=1e-4)
                found[plane] += index * polygon2mask(found.shape[1:], indices[:, 1::-1])
        np.testing.assert_array_equal(found, geometry.to_stored(label()))

    def test_it_belongs_to_the_sources_patient_study_and_series(self, axial: Path) -> None:
        header, source = pydicom.dcmread(written(axial)), geometry_of(axial).headers[0]
        assert (header.PatientName, header.PatientID) == (PATIENT, PATIENT_ID)
        assert header.StudyInstanceUID == source.StudyInstanceUID
        (frame,) = header.ReferencedFrameOfReferenceSequence
        assert frame.FrameOfReferenceUID == source.FrameOfReferenceUID == header.FrameOfReferenceUID
        (series,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
        assert series.SeriesInstanceUID == source.SeriesInstanceUID
        found = [one.ReferencedSOPInstanceUID for one in series.ContourImageSequence]
        assert found == [one.SOPInstanceUID for one in geometry_of(axial).headers]

    def test_regions_are_named_coloured_and_coded(self, axial: Path) -> None:
        header = pydicom.dcmread(written(axial))
        assert [one.ROIName for one in header.StructureSetROISequence] == list(LABELS.names[1:4])
        assert [tuple(one.ROIDisplayColor) for one in header.ROIContourSequence] == list(LABELS.palette[1:4])
        observed = header.RTROIObservationsSequence
        assert [one.RTROIInterpretedType for one in observed] == ["ORGAN", "ORGAN", ""]
        assert observed[1].RTROIIdentificationCodeSequence[0].CodeMeaning == "Kidney"

    def test_where_nothing_was_found_regions_have_no_outlines(self, axial: Path) -> None:
        path = axial.parent / "empty.rtstruct.dcm"
        with pytest.warns(DataWarning, match="none of the classes was found"):
            geometry_of(axial).write_label(path, np.zeros_like(label()), LABELS)
        header = pydicom.dcmread(path)
        assert [one.ROIName for one in header.StructureSetROISequence] == list(LABELS.names[1:])
        assert not any("ContourSequence" in one for one in header.ROIContourSequence)
        require_valid(path)

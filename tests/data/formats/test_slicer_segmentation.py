"""3D Slicer's segmentations lie where the NIfTI of the same label lies, with its names and colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import slicerio

from samtailor.data.formats import read_geometry, read_image
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.data.formats.slicer_segmentation import write_slicer_segmentation
from samtailor.inference.predict import predict
from samtailor.labels import LabelSpace
from samtailor.models.zoo import Base
from tests import generate
from tests.folds import untrained_folds


@pytest.mark.parametrize("codes", ["LAS", "RAS", "LPI", "PSR"])
def test_it_lies_where_the_nifti_lies(codes: str, tmp_path: Path) -> None:
    matrix = generate.affine((2.0, 3.0, 5.0), codes)
    generate.write_volume(tmp_path / "image.nii.gz", np.zeros((6, 5, 4), np.int16), matrix)
    geometry = read_geometry(tmp_path / "image.nii.gz")
    assert isinstance(geometry, VolumeGeometry)
    label = np.random.default_rng(0).integers(0, 3, geometry.shape).astype(np.int16)
    for name in ("label.nii.gz", "label.seg.nrrd"):
        geometry.write_label(tmp_path / name, label, generate.LABELS)
    nifti, slicer = (SimpleITK.ReadImage(str(tmp_path / name)) for name in ("label.nii.gz", "label.seg.nrrd"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(slicer), SimpleITK.GetArrayFromImage(nifti))
    for found, expected in ((slicer.GetOrigin(), nifti.GetOrigin()), (slicer.GetSpacing(), nifti.GetSpacing())):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(slicer.GetDirection(), nifti.GetDirection(), atol=1e-6)


def test_the_authors_of_slicer_read_its_segments(tmp_path: Path) -> None:
    label = np.random.default_rng(0).integers(0, 3, (6, 5, 4)).astype(np.int16)
    affine = generate.affine((2.0, 3.0, 5.0), "PSR")
    write_slicer_segmentation(tmp_path / "x.seg.nrrd", label, affine, generate.LABELS)
    read = slicerio.read_segmentation(str(tmp_path / "x.seg.nrrd"))
    np.testing.assert_array_equal(read["voxels"], label)
    np.testing.assert_allclose(read["ijkToLPS"], np.diag([-1, -1, 1, 1]) @ affine)
    assert read["masterRepresentation"] == "Binary labelmap"
    segments = read["segments"]
    assert [(one["id"], one["name"]) for one in segments] == [("Segment_1", "liver"), ("Segment_2", "spleen")]
    assert [one["extent"] for one in segments] == [[0, 5, 0, 4, 0, 3]] * 2
    colours = np.array([one["color"] for one in segments])
    np.testing.assert_allclose(colours, np.array(generate.LABELS.palette[1:]) / 255, atol=1e-5)
    spleen = slicerio.extract_segments(read, [("spleen", 7)])
    np.testing.assert_array_equal(spleen["voxels"] == 7, label == 2)


def test_label_values_are_those_of_the_segments_whatever_the_ids(tmp_path: Path) -> None:
    names = tuple(f"class {k}" for k in range(300))
    labels = LabelSpace.from_names(names)
    label = np.array([[[-1, 0, 1, 299]]], np.int16)
    write_slicer_segmentation(tmp_path / "x.seg.nrrd", label, np.eye(4), labels)
    image = SimpleITK.ReadImage(str(tmp_path / "x.seg.nrrd"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).ravel(), [0, 0, 1, 299])
    assert image.GetMetaData("Segment298_LabelValue") == "299"


def test_predict_writes_it(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    (nnunet_folder / "splits_final.json").unlink()
    run = untrained_folds(tmp_path / "cv", tiny_base, nnunet_folder).run(0).directory
    image = nnunet_folder / "imagesTr" / "case_0_0000.nii.gz"
    report = predict(run, [image], tmp_path / "out", format="seg.nrrd")
    assert report.written == (tmp_path / "out" / "case_0.seg.nrrd",)
    assert report.written[0].read_bytes().startswith(b"NRRD0004\n")
    assert read_image(image).geometry.spacing is not None

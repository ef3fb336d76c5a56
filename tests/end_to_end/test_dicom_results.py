"""Results for series are DICOM objects that every verb reads back, and nothing but them names a patient."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import samtailor
from samtailor.cli import main
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import format_of, read_case, read_geometry
from samtailor.labels import LabelSpace
from samtailor.models.zoo import Base
from tests.data.formats.dicom.files import write_series
from tests.data.formats.dicom.programs import require_valid
from tests.end_to_end.test_dicom import named_somewhere, nnunet_of_series


def with_segmentations(data: Path) -> Path:
    """The labels of a data set of series, in their places as segmentations of the series."""
    dataset = open_dataset(data)
    for files in dataset.cases:
        case = read_case(files, dataset.labels)
        assert case.label is not None
        assert files.label is not None
        case.geometry.write_label(files.label.with_name(f"{files.name}.seg.dcm"), case.label, dataset.labels)
        files.label.unlink()
    return data


@pytest.fixture
def trained(tiny_base: Base, tmp_path: Path) -> tuple[Path, Path]:
    """A data set of series with segmentations, and a run on it."""
    data, run = with_segmentations(nnunet_of_series(tmp_path / "data")), tmp_path / "run"
    tiny = ("--base", tiny_base.name, "--sampling.image_size", "32", "--epochs", "1", "--recipe", "lora")
    assert main(["train", str(data), "--out", str(run), *tiny]) == 0
    return data, run


def test_segmentations_are_labels_and_masks(trained: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = trained
    assert samtailor.check(data).findings == ()
    assert main(["evaluate", str(run), str(data), "--bootstrap", "20"]) == 0
    assert main(["predict", str(run), str(data / "imagesTs"), "--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["case_5.seg.dcm"]
    scores = ("--split", "test", "--bootstrap", "20", "--out", str(tmp_path / "scores"))
    assert main(["score", str(tmp_path / "out"), str(data), *scores]) == 0
    files = (run / "evaluation" / "test" / "metrics.json", tmp_path / "scores" / "metrics.json")
    evaluated, scored = (json.loads(file.read_text())["cases"] for file in files)
    assert evaluated == scored


def test_every_kind_holds_the_same_label(trained: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = trained
    series, out = data / "imagesTs" / "case_5_0000", tmp_path / "out"
    for kind in ("seg", "rtstruct", "nifti"):
        line = ["predict", str(run), str(series), "--out", str(out), "--format", kind, "--skip_existing"]
        assert main(line) == 0
    assert sorted(path.name for path in out.iterdir()) == ["case_5.nii.gz", "case_5.rtstruct.dcm", "case_5.seg.dcm"]
    labels = open_dataset(data).labels
    ids = [format_of(out / name).read_ids(out / name, labels)[0] for name in ("case_5.nii.gz", "case_5.seg.dcm")]
    np.testing.assert_array_equal(*ids)
    result = samtailor.load(run).predict(series)
    result.save(tmp_path / "single.seg.dcm")
    np.testing.assert_array_equal(format_of(series).read_ids(tmp_path / "single.seg.dcm", labels)[0], ids[0])
    with pytest.raises(samtailor.SamTailorError, match=r"\.seg\.dcm or \.rtstruct\.dcm or \.nii\.gz"):
        result.save(tmp_path / "single.dcm")


def test_results_beside_their_series_are_no_images(
    trained: tuple[Path, Path], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    patient = tmp_path / "patient"
    write_series(patient / "ct", np.zeros((4, 16, 16)))
    for kind in ("seg", "rtstruct"):
        assert main(["predict", str(trained[1]), str(patient / "ct"), "--out", str(patient), "--format", kind]) == 0
    report = samtailor.predict(trained[1], [patient], tmp_path / "out", format="nifti")
    assert [path.name for path in report.written] == ["ct.nii.gz"]
    assert report.failures == ()


def test_nobody_but_the_objects_names_the_patient(
    trained: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """PS3.3 wants the source's patient in segmentations and structure sets; everywhere else it is nobody's business."""
    data, run = trained
    out = tmp_path / "out"
    for kind in ("seg", "rtstruct"):
        extra = ("--format", kind, "--overlays", "--probabilities", "--overwrite")
        assert main(["predict", str(run), f"{data}/images*/*", "--out", str(out), *extra]) == 0
    assert main(["evaluate", str(run), str(data), "--bootstrap", "20"]) == 0
    assert main(["share", str(run), "--out", str(tmp_path / "shared")]) == 0
    assert main(["check", str(data)]) == 0
    said = capfd.readouterr()
    assert not re.search("Doe|Jane|4711", said.out + said.err)
    named = [Path(path) for path in named_somewhere(tmp_path) if not path.startswith(str(data))]
    assert {"".join(path.suffixes) for path in named} == {".seg.dcm", ".rtstruct.dcm"}
    assert len(named) == 2 * 6
    assert not [path for path in tmp_path.rglob("*") if re.search("Doe|Jane|4711", path.name)]


@pytest.mark.shared_data
def test_a_real_series_is_labelled(shared_data: Path, tmp_path: Path) -> None:
    """TotalSegmentator's label, whose axes are others, as objects of the CT that it was made of."""
    series, source = shared_data / "ct_dicom" / "series", shared_data / "ct_dicom" / "totalsegmentator_labels.nii.gz"
    labels = LabelSpace.from_names(("background", *(f"structure {number}" for number in range(1, 118))))
    ids, geometry = format_of(source).read_ids(source, labels)
    grid = read_geometry(series)
    assert grid.difference(geometry) is None
    for kind in ("seg", "rtstruct"):
        grid.write_label(tmp_path / f"ct.{kind}.dcm", labels.to_indices(ids), labels)
        require_valid(tmp_path / f"ct.{kind}.dcm")
    found, where = format_of(series).read_ids(tmp_path / "ct.seg.dcm", labels)
    np.testing.assert_array_equal(found, ids)
    assert grid.difference(where) is None

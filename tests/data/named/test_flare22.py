"""FLARE22 is read as the challenge ships it, and says what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from samtailor.data.case import CaseFiles
from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import open_dataset
from samtailor.data.named import NAMED
from samtailor.errors import FileError
from tests.generate_publishers import flare22_folder


def test_the_labelled_cases_are_read_from_either_folder_and_nothing_else(tmp_path: Path) -> None:
    root = flare22_folder(tmp_path / "data")
    outer, inner = open_dataset(root), open_dataset(root / "FLARE22Train")
    assert [case.name for case in outer.cases] == [f"FLARE22_Tr_{number:04d}" for number in range(1, 5)]
    assert [(case.images, case.label) for case in outer.cases] == [(case.images, case.label) for case in inner.cases]
    assert outer.channels == ("CT",)
    assert outer.orphans == ()


def test_the_split_of_the_50_cases_is_fixed() -> None:
    cases = tuple(CaseFiles(f"FLARE22_Tr_{number:04d}", ()) for number in range(1, 51))
    splits = NAMED["flare22"].read_splits(Path(), cases)
    assert {split: len(names) for split, names in splits.items()} == {"train": 35, "val": 5, "test": 10}
    assert splits["val"] == tuple(f"FLARE22_Tr_00{number}" for number in (24, 29, 37, 46, 48))
    without_first = NAMED["flare22"].read_splits(Path(), cases[1:])
    assert {name for name in splits["test"] if name != cases[0].name} == set(without_first["test"])


def test_check_tells_what_is_missing_and_where_it_is_published(tmp_path: Path) -> None:
    report = check_dataset(flare22_folder(tmp_path / "data"))
    assert report.errors == ()
    assert report.facts["protocol"] == "flare22"
    first = report.warnings[0]
    assert (first.expected, first.found[:25]) == ("50 labelled cases", "4; missing FLARE22_Tr_000")
    assert "10.5281/zenodo.7860267" in first.fix


@pytest.mark.parametrize(
    ("left", "found"),
    [
        (["Validation", "FLARE22Train.zip"], "FLARE22Train.zip, Validation"),
        (["FLARE22Train/images"], "images (in FLARE22Train)"),
        (["FLARE22Train/images", "FLARE22Train/labels"], "an empty folder (in FLARE22Train/images)"),
    ],
)
def test_a_folder_without_labelled_cases_is_explained(left: list[str], found: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for folder in left:
        (root / folder).mkdir(parents=True)
    if left == ["FLARE22Train/images"]:
        full = flare22_folder(tmp_path / "full")
        shutil.copytree(full / "FLARE22Train" / "images", root / left[0], dirs_exist_ok=True)
    with pytest.raises(FileError) as raised:
        open_dataset(root)
    assert "FLARE22 as its publisher ships it: FLARE22Train/images" in raised.value.expected
    assert raised.value.found == found
    assert "10.5281/zenodo.7860267" in raised.value.fix


def test_an_image_without_label_is_an_error(tmp_path: Path) -> None:
    root = flare22_folder(tmp_path / "data")
    (root / "FLARE22Train" / "labels" / "FLARE22_Tr_0002.nii.gz").unlink()
    (error,) = check_dataset(root).errors
    assert (Path(error.file).name, error.found) == ("FLARE22_Tr_0002_0000.nii.gz", "none")

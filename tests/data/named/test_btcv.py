"""BTCV is read as Synapse ships it, with TransUNet's test cases."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samtailor.data.case import CaseFiles
from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import open_dataset
from samtailor.data.named import NAMED
from samtailor.errors import FileError
from tests.generate_publishers import btcv_folder

LABELLED = (*range(1, 11), *range(21, 41))


@pytest.mark.parametrize("inside", ["", "RawData", "RawData/Training"])
def test_the_labelled_cases_are_read_from_any_of_its_folders(inside: str, tmp_path: Path) -> None:
    dataset = open_dataset(btcv_folder(tmp_path / "data") / inside)
    assert dataset.name == "btcv"
    assert [case.name for case in dataset.cases] == ["case0001", "case0005", "case0006", "case0010"]
    assert [case.label.name for case in dataset.cases if case.label][1:2] == ["label0005.nii.gz"]
    assert dataset.splits == {"train": ("case0005", "case0006"), "val": ("case0010",), "test": ("case0001",)}


def test_the_split_is_transunet_s_with_three_training_cases_to_validate() -> None:
    cases = tuple(CaseFiles(f"case{number:04d}", ()) for number in LABELLED)
    splits = NAMED["btcv"].read_splits(Path(), cases)
    assert {split: len(names) for split, names in splits.items()} == {"train": 15, "val": 3, "test": 12}
    assert {name for names in splits.values() for name in names} == {case.name for case in cases}


def test_check_tells_what_is_missing_and_where_it_is_published(tmp_path: Path) -> None:
    report = check_dataset(btcv_folder(tmp_path / "data"))
    assert report.errors == ()
    assert report.warnings[0].found.startswith("4; missing img0002, img0003")
    assert "syn3193805" in report.warnings[0].fix
    assert "transunet" in report.facts["advice"]


@pytest.mark.parametrize("missing", ["img", "label"])
def test_a_folder_without_images_or_labels_is_explained(missing: str, tmp_path: Path) -> None:
    root = btcv_folder(tmp_path / "data")
    shutil.rmtree(root / "RawData" / "Training" / missing)
    with pytest.raises(FileError, match=f"with files in {missing}, found .*syn3193805"):
        open_dataset(root)


def test_other_data_in_a_folder_of_its_name_is_none_of_it(tmp_path: Path) -> None:
    inside = tmp_path / "RawData" / "Training"
    for place in ("img/a.png", "label/a.png"):
        (inside / place).parent.mkdir(parents=True)
        Image.fromarray(np.eye(16, dtype=np.uint8)).save(inside / place)
    assert open_dataset(tmp_path).name is None


def test_an_archive_that_is_still_packed_is_explained(tmp_path: Path) -> None:
    (tmp_path / "RawData.zip").touch()
    with pytest.raises(FileError, match=r"BTCV as its publisher ships it.*found RawData\.zip; unpack.*--dataset none"):
        open_dataset(tmp_path)

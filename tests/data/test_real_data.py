"""Real data sets open, read and keep their sides."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from samtailor.data.cache import SliceCache
from samtailor.data.case import CaseFiles
from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import read_case
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.labels import LabelSpace

pytestmark = pytest.mark.shared_data


def test_btcv_has_the_liver_on_the_patients_right(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "btcv")
    assert {name: len(cases) for name, cases in dataset.splits.items()} == {"train": 15, "val": 3}
    case = read_case(dataset.split("val")[0], dataset.labels)
    assert case.label is not None
    names = dataset.labels.names
    centre = {name: np.argwhere(case.label == names.index(name)).mean(axis=0) for name in names[1:]}
    assert centre["liver"][2] < centre["aorta"][2] < centre["spleen"][2]  # columns go to the patient's left
    assert centre["stomach"][1] < centre["aorta"][1]  # rows go to the back
    assert centre["right kidney"][0] < centre["esophagus"][0]  # slices go to the head


def test_btcv_label_is_written_back_byte_by_byte(shared_data: Path, tmp_path: Path) -> None:
    dataset = open_dataset(shared_data / "btcv")
    files = dataset.cases[0]
    case = read_case(files, dataset.labels)
    assert case.label is not None
    assert files.label is not None
    case.geometry.write_label(tmp_path / "label.nii.gz", case.label, dataset.labels)
    before, after = nib.load(files.label), nib.load(tmp_path / "label.nii.gz")
    assert np.array_equal(np.asarray(after.dataobj), np.asarray(before.dataobj))
    assert np.array_equal(after.affine, before.affine)


def test_label_of_a_ct_series_has_the_aorta_left_of_the_vena_cava(shared_data: Path) -> None:
    path = shared_data / "ct_dicom" / "totalsegmentator_labels.nii.gz"
    names = tuple(str(i) for i in range(118))
    label = read_case(CaseFiles("x", (path,), path), LabelSpace.from_names(names)).label
    assert label is not None
    aorta, cava, liver = (np.argwhere(label == index).mean(axis=0) for index in (52, 63, 5))
    assert liver[2] < cava[2] < aorta[2]


@pytest.mark.parametrize("name", ["gid5", "sirst"])
def test_picture_folders_read_into_colour_slices(shared_data: Path, name: str) -> None:
    dataset = open_dataset(shared_data / name)
    assert (dataset.channels, dataset.bits) == (("R", "G", "B"), 8)
    cache = SliceCache(dataset.labels, Preprocessing(Range(), 32, None, 3))
    counts = sum(cache.load(files).counts for files in dataset.split("test"))
    assert np.asarray(counts).all()


def test_the_check_finds_nothing(shared_data: Path) -> None:
    report = check_dataset(shared_data / "sirst")
    assert report.findings == ()
    assert report.voxels("test")["target"] == 3339

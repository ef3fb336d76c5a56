"""The phantom: every organ in every patient, the same for the same seed, a data set like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samtailor.data.anatomy import ORGANS
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import read_case
from samtailor.data.phantom import make_patient, make_phantom
from samtailor.errors import ConfigError, DataError
from tests import generate

SMALL = (6, 32, 32)


@pytest.mark.parametrize("index", range(4))
def test_every_organ_occurs_in_every_patient(index: int) -> None:
    hu, ids = make_patient((24, 128, 128), (0, index))
    voxels = np.bincount(ids.ravel(), minlength=len(ORGANS) + 1)
    assert voxels.shape == (14,)
    assert voxels.min() >= 15
    assert -1024 <= hu.min() < -950
    assert 300 < hu.max() < 1500


def test_organs_lie_where_they_belong() -> None:
    _, ids = make_patient((24, 128, 128), (0, 0))
    centre = {organ: np.argwhere(ids == i).mean(axis=0) for i, organ in enumerate(ORGANS, start=1)}
    columns = {organ: place[2] for organ, place in centre.items()}
    assert columns["liver"] < columns["inferior vena cava"] < columns["aorta"] < columns["spleen"]
    assert columns["right kidney"] < columns["left kidney"]
    assert centre["gallbladder"][1] < centre["right kidney"][1]
    assert centre["duodenum"][0] < centre["esophagus"][0]


def test_patients_differ_and_a_seed_repeats_them() -> None:
    first, again, other = (make_patient(SMALL, (0, index)) for index in (3, 3, 4))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_phantom_opens_as_a_data_set_with_unseen_test_patients(tmp_path: Path) -> None:
    dataset = open_dataset(make_phantom(tmp_path / "phantom", patients=6, shape=SMALL))
    assert dataset.channels == ("CT",)
    assert dataset.labels.names == ("background", *ORGANS)
    assert {name: len(cases) for name, cases in dataset.splits.items()} == {"train": 3, "val": 1, "test": 2}
    hu, ids = make_patient(SMALL, (0, 0))
    case = read_case(dataset.cases[0], dataset.labels)
    assert np.array_equal(case.image[0], hu)
    assert case.label is not None
    assert np.array_equal(case.label, ids)
    assert case.geometry.spacing == pytest.approx((32, 12, 12))
    assert "ynthetic" in (tmp_path / "phantom" / "dataset.json").read_text()


def test_phantom_replaces_an_older_one_but_no_other_data_set(tmp_path: Path) -> None:
    make_phantom(tmp_path / "phantom", patients=6, shape=SMALL)
    make_phantom(tmp_path / "phantom", patients=5, shape=SMALL)
    assert len(open_dataset(tmp_path / "phantom").cases) == 5
    with pytest.raises(DataError, match="another data set"):
        make_phantom(generate.image_folder(tmp_path / "mine", cases=1), shape=SMALL)


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 4"):
        make_phantom(tmp_path, patients=3)

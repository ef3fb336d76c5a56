"""A cross-validation is scored case by case, each by the fold that has not seen it, and fold by fold."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import samtailor
from samtailor.errors import ConfigError, DataError
from samtailor.evaluation.evaluate import evaluate
from samtailor.evaluation.fold_scores import mean_and_sd, over_folds
from samtailor.models.zoo import Base
from samtailor.runs import CrossValidation
from tests import generate
from tests.conftest import Report
from tests.folds import untrained_folds


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five volumes, of which one is for testing, without a split file."""
    root = generate.nnunet_folder(tmp_path_factory.mktemp("volumes"), cases=5, shape=(24, 20, 3))
    (root / "splits_final.json").unlink()
    return root


@pytest.fixture(scope="module")
def folds(tiny_base: Base, data: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    return untrained_folds(tmp_path_factory.mktemp("folds") / "cv", tiny_base, data)


def test_each_case_is_scored_by_the_fold_that_has_left_it_out(
    folds: CrossValidation, data: Path, tmp_path: Path, reports: list[Report]
) -> None:
    scores = evaluate(folds.directory, data)
    done = [amount for what, amount, _ in reports if what == "folds"]
    assert done == sorted(done)
    assert done[-1] == 2
    content = json.loads((folds.evaluation("val") / "metrics.json").read_text())
    alone = [evaluate(run.directory, data, "val", out=tmp_path / run.directory.name) for run in folds.runs]
    assert sorted(content["cases"]) == ["case_0", "case_1", "case_2", "case_3"]
    assert content["source"] == {"data": data.name, "split": "val", "run": "cv", "folds": 2}
    for fold, own in enumerate(alone):
        expected = own.to_json()
        assert {name: content["cases"][name] for name in expected["cases"]} == expected["cases"]
        found = content["folds"]["of each"][f"fold-{fold}"]
        assert found["cases"] == list(expected["cases"])
        assert found["mean_without_background"] == expected["mean_without_background"]
    values = [own.summary("dsc").without_background.value for own in alone]
    assert content["folds"]["mean"]["mean_without_background"]["dsc"] == pytest.approx(np.mean(values))
    assert content["folds"]["sd"]["mean_without_background"]["dsc"] == pytest.approx(np.std(values, ddof=1))
    rows = list(csv.DictReader((folds.evaluation("val") / "metrics.csv").open()))
    assert {(row["case"], int(row["fold"])) for row in rows} == {
        (case.name, fold) for fold, own in enumerate(alone) for case in own.cases
    }
    table = (folds.evaluation("val") / "metrics.md").read_text()
    assert "| class | fold 0 | fold 1 | mean | SD |" in " ".join(table.split())
    assert f"{np.mean(values):.4f} | {np.std(values, ddof=1):.4f}" in " ".join(table.split())
    assert len(scores.cases) == 4
    assert "folds" not in json.loads((tmp_path / "fold-0" / "metrics.json").read_text())
    assert "fold" not in (tmp_path / "fold-0" / "metrics.csv").read_text().partition("\n")[0]


def test_test_cases_are_scored_by_the_mean_of_all(folds: CrossValidation, data: Path) -> None:
    scores = evaluate(folds.directory, data, "test")
    assert [case.name for case in scores.cases] == ["case_4"]
    assert scores.source["folds"] == 2
    label = samtailor.load(folds.directory).predict(data / "imagesTs" / "case_4_0000.nii.gz").label
    np.testing.assert_array_equal(scores.counts.prediction[0], np.bincount(label.reshape(-1), minlength=3))
    assert not scores.folds


def test_cross_validations_compare(folds: CrossValidation, data: Path) -> None:
    evaluate(folds.directory, data)
    comparison = samtailor.compare([folds.directory, folds.evaluation("val")], split="val")
    assert len(comparison.pairs[0].reference.cases) == 4


def test_what_cannot_be_scored_is_refused(folds: CrossValidation, data: Path, image_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected val .* or test .* of a cross-validation; found train"):
        evaluate(folds.directory, data, "train")
    with pytest.raises(DataError, match=r"expected the cases of the cross-validation, found none called case_"):
        evaluate(folds.directory, image_folder)


def test_numbers_that_are_not_defined_are_left_out_of_means_over_folds() -> None:
    assert mean_and_sd([1.0, None, 3.0]) == (2.0, pytest.approx(np.sqrt(2)))
    assert over_folds([{"a": {"dsc": None}, "b": 1.0}, {"a": {"dsc": None}, "b": 2.0}]) == (
        {"a": {"dsc": None}, "b": 1.5},
        {"a": {"dsc": None}, "b": pytest.approx(np.sqrt(0.5))},
    )
    assert over_folds([{"b": 1.0}, {"b": None}]) == ({"b": 1.0}, {"b": None})

"""Predictions from anywhere are scored, and the files tell the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samtailor.evaluation.predictions import (
    RESULTS,
    PredictedCase,
    representative_cases,
    score_and_write,
    write_results,
)
from samtailor.evaluation.scores import to_markdown
from tests.evaluation.examples import FIRST, LABELS, SECOND, case, scores, volume

FILES = [
    "boxplot.png",
    "metrics.csv",
    "metrics.json",
    "metrics.md",
    "overlay_best.png",
    "overlay_median.png",
    "overlay_worst.png",
]


def predicted(count: int) -> Iterator[PredictedCase]:
    """Cases whose predictions are shifted by 0, 1, 2, ... columns."""
    for index in range(count):
        image, truth = volume(index)
        yield PredictedCase(f"case_{index}", image, truth, np.roll(truth, index, axis=2), (5.0, 2.0, 2.0))


def test_tables_and_figures_are_written_and_nothing_else(tmp_path: Path) -> None:
    found = score_and_write(predicted(5), LABELS, "nnunet", tmp_path / "out", resamples=100)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert (tmp_path / "out" / "metrics.md").read_text() == to_markdown(found)
    assert (tmp_path / "out" / "metrics.csv").read_text() == found.to_csv()
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == json.loads(json.dumps(found.to_json()))
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(tmp_path / "out" / name) as picture:
                assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20


def test_figures_of_an_older_evaluation_do_not_stay(tmp_path: Path) -> None:
    kept = {"metrics.json", "metrics.csv", "metrics.md", "boxplot.png"}
    for name in (*RESULTS, "mine.txt"):
        (tmp_path / name).write_bytes(b"older")
    write_results(scores(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "mine.txt"}
    assert all((tmp_path / name).read_bytes() != b"older" for name in kept)


def test_scores_are_those_of_the_label_maps(tmp_path: Path) -> None:
    found = score_and_write(predicted(2), LABELS, "nnunet", tmp_path)
    assert [score.name for score in found.cases] == ["case_0", "case_1"]
    # Shifted by one column, a box of 20 columns keeps 19 of them, one of 14 keeps 13.
    np.testing.assert_allclose(found.per_case("dsc")[:, 1:], [[1, 1], [19 / 20, 13 / 14]])
    assert found.counts.truth[0].tolist() == [4 * 40 * 48 - 600 - 168, 600, 168]


def test_missing_numbers_are_null_in_json(tmp_path: Path) -> None:
    image, truth = volume()
    truth[truth == 2] = 0
    score_and_write([PredictedCase("only", image, truth, truth)], LABELS, "nnunet", tmp_path)
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["mean"]["spleen"] == {"dsc": None, "iou": None}
    assert content["interval"]["mean"]["liver"] == {"dsc": None, "iou": None}
    assert content["mean_without_background"]["dsc"] == 1


def test_best_median_and_worst_are_told_by_their_mean_dsc() -> None:
    between = case("between", tp=[9, 5, 5], fp=[0, 1, 1], fn=[0, 4, 4])
    assert representative_cases(scores(cases=(between, SECOND, FIRST))) == {"best": 2, "worst": 1, "median": 0}


@pytest.mark.parametrize(("count", "roles"), [(1, {"best": 0}), (2, {"best": 0, "worst": 1})])
def test_no_case_is_shown_twice(count: int, roles: dict[str, int]) -> None:
    assert representative_cases(scores(cases=(FIRST, SECOND)[:count])) == roles


def test_a_case_that_counts_for_no_class_is_not_the_worst() -> None:
    empty = case("empty", tp=[9, 0, 0], fp=[0, 0, 0], fn=[0, 0, 0])
    assert representative_cases(scores(cases=(empty, FIRST, SECOND))) == {"best": 1, "worst": 2}
    assert representative_cases(scores(cases=(empty, empty))) == {"best": 0}

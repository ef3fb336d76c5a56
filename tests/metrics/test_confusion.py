"""Accuracy, mean IoU, mean F1 and kappa of land cover."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.evaluation.measure import measure
from samtailor.evaluation.scores import Scores
from samtailor.labels import IGNORE, LabelSpace
from samtailor.metrics import confusion

MATRIX = np.array([[5, 1, 0], [2, 8, 2], [0, 0, 0]])


def test_scores_of_a_matrix_computed_by_hand() -> None:
    assert confusion.overall_accuracy(MATRIX) == pytest.approx(13 / 18)
    assert confusion.ious(MATRIX).tolist() == pytest.approx([5 / 8, 8 / 13, 0])
    assert confusion.f1_scores(MATRIX).tolist() == pytest.approx([10 / 13, 16 / 21, 0])
    # Chance agrees in (6 * 7 + 12 * 9 + 0 * 2) of 18 * 18.
    chance = 150 / 324
    assert confusion.kappa(MATRIX) == pytest.approx((13 / 18 - chance) / (1 - chance))
    assert confusion.kappa(MATRIX) == pytest.approx(0.4827586, abs=1e-6)  # sklearn.metrics.cohen_kappa_score


def test_a_class_that_is_nowhere_is_left_out() -> None:
    assert np.isnan(confusion.ious(np.diag([3, 4, 0]))[2])
    assert np.isnan(confusion.kappa(np.diag([3, 0, 0])))


def scores(ignore_background: bool = False) -> Scores:
    labels = LabelSpace.from_names(("unlabelled", "field", "water"), ignore_id=9)
    first = np.array([[[0, 1, 1, 2, IGNORE]]], np.int16)
    second = np.array([[[1, 1, 2, 2, 0]]], np.int16)
    guesses = np.array([[[0, 1, 2, 2, 1]]], np.int16), np.array([[[1, 1, 2, 0, 1]]], np.int16)
    truths = [np.where(truth == 0, IGNORE, truth) if ignore_background else truth for truth in (first, second)]
    cases = tuple(
        measure(f"{n}", truth.astype(np.int16), guess, labels, "remote-sensing")
        for n, (truth, guess) in enumerate(zip(truths, guesses, strict=True))
    )
    return Scores(labels, "remote-sensing", cases, ignore_background=ignore_background)


def test_pixels_of_all_images_make_one_matrix_and_ignored_ones_are_in_none() -> None:
    found = scores()
    assert found.confusion is not None
    assert found.confusion.tolist() == [[1, 1, 0], [0, 3, 1], [1, 0, 2]]
    assert found.overall("oa").value == pytest.approx(6 / 9)
    assert found.overall("miou").value == pytest.approx((1 / 3 + 3 / 5 + 2 / 4) / 3)
    assert found.overall("miou_without_background").value == pytest.approx((3 / 5 + 2 / 4) / 2)
    assert found.to_json()["confusion"] == found.confusion.tolist()


def test_an_ignored_background_counts_as_error_only_where_it_is_predicted() -> None:
    found = scores(ignore_background=True)
    assert found.overall("oa").value == pytest.approx(5 / 7)
    assert (
        found.overall("miou").value
        == found.overall("miou_without_background").value
        == pytest.approx((3 / 4 + 2 / 4) / 2)
    )
    assert np.isnan(found.per_case("iou")[:, 0]).all()
    assert "count nowhere" in found.to_json()["rules"]["background"]


def test_draws_are_worked_in_parts_with_equal_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    cases = [random.integers(0, 9, (3, 3)) for _ in range(4)]
    draws = random.integers(0, 3, (7, 4))
    whole = {
        metric: confusion.of_confusion(metric, cases, draws)
        for metric in ("oa", "kappa", "miou", "mf1_without_background")
    }
    monkeypatch.setattr(confusion, "_MOST_PIXEL_COUNTS", 2 * 9)
    for metric, expected in whole.items():
        np.testing.assert_array_equal(confusion.of_confusion(metric, cases, draws), expected)

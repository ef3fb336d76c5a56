"""Counts and scores of small label maps that can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from samtailor.labels import IGNORE
from samtailor.metrics.empty import EMPTY_RULES, EmptyRule
from samtailor.metrics.overlap import Overlap, OverlapMetric, confusion, score

# Class 1: 3 true, 4 predicted, 2 in both. Class 2: 2 true, 1 predicted, 1 in both. One pixel is ignored.
TRUTH = np.array([[[1, 1, 1, 0], [0, 2, 2, IGNORE]]], dtype=np.int16)
PREDICTION = np.array([[[1, 1, 0, 0], [1, 1, 2, 2]]], dtype=np.int16)


def overlap(truth: np.ndarray, prediction: np.ndarray, classes: int) -> Overlap:
    return Overlap.from_confusion(confusion(truth, prediction, classes))


def counts(tp: int, fp: int, fn: int) -> Overlap:
    return Overlap(np.array([tp]), np.array([fp]), np.array([fn]))


def test_counts_are_those_counted_by_hand() -> None:
    found = overlap(TRUTH, PREDICTION, 4)
    assert found.tp.tolist() == [1, 2, 1, 0]
    assert found.fp.tolist() == [1, 2, 0, 0]
    assert found.fn.tolist() == [1, 1, 1, 0]
    assert found.truth.tolist() == [2, 3, 2, 0]
    assert found.prediction.tolist() == [2, 4, 1, 0]


def test_dsc_and_iou_are_those_computed_by_hand() -> None:
    found = overlap(TRUTH, PREDICTION, 3)
    np.testing.assert_allclose(score(found, "dsc", "nnunet"), [2 / 4, 4 / 7, 2 / 3])
    np.testing.assert_allclose(score(found, "iou", "nnunet"), [1 / 3, 2 / 5, 1 / 2])


def test_ignored_pixels_count_nowhere() -> None:
    other = PREDICTION.copy()
    other[TRUTH == IGNORE] = 1
    np.testing.assert_array_equal(confusion(TRUTH, other, 3), confusion(TRUTH, PREDICTION, 3))
    assert confusion(TRUTH, PREDICTION, 3).sum() == (TRUTH != IGNORE).sum()


def test_counts_of_a_large_map_are_those_of_masks() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(-1, 150, (3, 700, 600)).astype(np.int16)
    prediction = rng.integers(0, 150, truth.shape).astype(np.int16)
    found = overlap(truth, prediction, 150)
    for k in (0, 7, 149):
        is_true, is_predicted = truth == k, (prediction == k) & (truth != IGNORE)
        assert found.tp[k] == (is_true & is_predicted).sum()
        assert found.fp[k] == (~is_true & is_predicted).sum()
        assert found.fn[k] == (is_true & ~is_predicted).sum()


@pytest.mark.parametrize(
    ("rule", "both_empty", "false_positive"),
    [("nnunet", math.nan, 0), ("flare22", 1, 0), ("monai", math.nan, math.nan), ("transunet", 0, 1)],
)
@pytest.mark.parametrize("metric", ["dsc", "iou"])
def test_each_rule_scores_absent_classes_as_it_says(
    metric: OverlapMetric, rule: EmptyRule, both_empty: float, false_positive: float
) -> None:
    np.testing.assert_equal(score(counts(0, 0, 0), metric, rule), [both_empty])
    np.testing.assert_equal(score(counts(0, 5, 0), metric, rule), [false_positive])
    np.testing.assert_equal(score(counts(0, 0, 5), metric, rule), [0])
    np.testing.assert_equal(score(counts(0, 3, 5), metric, rule), [0])
    np.testing.assert_equal(score(counts(5, 0, 0), metric, rule), [1])


def test_each_rule_is_described_in_one_sentence() -> None:
    for values in EMPTY_RULES.values():
        assert values.description.endswith(".")
        assert values.description.count(".") == 1


@pytest.mark.parametrize("value", [3, -2])
def test_an_index_that_is_no_class_is_refused(value: int) -> None:
    wrong = TRUTH.copy()
    wrong[0, 0, 0] = value
    with pytest.raises(ValueError, match="truth: expected class indices from -1 to 2"):
        overlap(wrong, PREDICTION, 3)


def test_ignored_pixels_in_a_prediction_are_refused() -> None:
    with pytest.raises(ValueError, match="prediction: expected class indices from 0 to 2"):
        overlap(PREDICTION, TRUTH, 3)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, found \(1, 2, 4\) and \(2, 4\)"):
        overlap(TRUTH, PREDICTION[0], 3)

"""How uncertain and how good predictions are, and how many are kept."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from samtailor.data.case import Void
from samtailor.page import predictions as module
from samtailor.page.predictions import Prediction, Predictions, mean_dsc, mean_entropy


def test_entropy_goes_from_sure_to_not_knowing_anything() -> None:
    sure = np.zeros((4, 2, 3, 5), np.float16)
    sure[1] = 1
    assert mean_entropy(sure) == 0
    assert mean_entropy(np.full((4, 2, 3, 5), 0.25, np.float16)) == pytest.approx(1, abs=1e-4)
    half = np.full((2, 1, 1, 2), 0.5, np.float16)
    half[:, 0, 0, 1] = 0.9, 0.1
    expected = (1 - (0.9 * np.log2(0.9) + 0.1 * np.log2(0.1))) / 2
    assert mean_entropy(half) == pytest.approx(expected, abs=1e-3)


def test_pixels_that_hold_nothing_do_not_count() -> None:
    probabilities = np.full((2, 1, 1, 4), 0.5, np.float16)
    probabilities[:, 0, 0, 2:] = [[1], [0]]
    where = np.array([[[False, False, True, True]]])
    assert mean_entropy(probabilities) == pytest.approx(0.5, abs=1e-4)
    assert mean_entropy(probabilities, Void(where, "nodata")) == pytest.approx(1, abs=1e-4)
    assert mean_entropy(probabilities, Void(np.ones_like(where), "nodata")) == 0


def test_the_score_is_of_the_classes_that_are_there() -> None:
    truth = np.array([[[0, 1, 1, 1, 255, 0]]], np.uint8)
    assert mean_dsc(truth, truth, 3) == 1
    assert mean_dsc(truth, np.array([[[0, 1, 1, 0, 1, 2]]], np.uint8), 3) == pytest.approx(0.8)
    assert mean_dsc(truth, np.zeros_like(truth), 3) == 0
    assert mean_dsc(np.zeros_like(truth), truth, 3) is None


def prediction(value: int, size: int) -> Prediction:
    content = np.random.default_rng(value).integers(0, 255, size).astype(np.uint8)
    return Prediction(zlib.compress(content.tobytes()), (1, 1, size), value / 10)


def test_labels_are_packed() -> None:
    one = prediction(3, 50)
    assert np.array_equal(one.label()[0, 0], np.random.default_rng(3).integers(0, 255, 50))


def test_another_segmenter_makes_them_those_before() -> None:
    held = Predictions()
    held.add(0, prediction(1, 10))
    held.add(1, prediction(2, 10))
    held.turn()
    assert held.now(0) is None
    assert held.before(0) == prediction(1, 10)
    held.add(0, prediction(3, 10))
    assert held.now(0) == prediction(3, 10)
    assert held.before(0) == prediction(1, 10)
    held.turn()
    assert held.before(0) == prediction(3, 10)
    assert held.before(1) == prediction(2, 10)  # what is known of it


def test_the_oldest_go_where_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 3500)
    held = Predictions()
    held.add(0, prediction(0, 1000))
    held.turn()
    for number in (1, 2, 3):
        held.add(number, prediction(number, 1000))
    assert held.before(0) is None
    assert [held.now(number) is not None for number in (1, 2, 3)] == [True] * 3
    held.add(1, prediction(9, 1000))  # it is the newest now
    held.add(4, prediction(4, 1000))
    assert [held.now(number) is not None for number in (1, 2, 3, 4)] == [True, False, True, True]
    held.add(5, prediction(5, 90000))
    assert [held.now(number) is not None for number in range(6)] == [False] * 5 + [True]

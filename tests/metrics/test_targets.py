"""Small targets: found by the centroid, used once, corners connect."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.evaluation.measure import measure
from samtailor.evaluation.scores import Scores
from samtailor.labels import IGNORE, LabelSpace
from samtailor.metrics.targets import count_targets


def image(*pixels: tuple[int, int]) -> NDArray[np.int16]:
    label = np.zeros((40, 50), np.int16)
    for pixel in pixels:
        label[pixel] = 1
    return label


def test_a_target_is_found_within_less_than_three_pixels() -> None:
    for shift, found in ((0, 1), (2, 1), (3, 0)):
        counts = count_targets(image((10, 10)), image((10, 10 + shift)))
        assert (counts.targets, counts.found, counts.false_alarms) == (1, found, 1 - found)


def test_pixels_that_touch_at_a_corner_are_one_target() -> None:
    assert count_targets(image((5, 5), (6, 6)), image()).targets == 1
    assert count_targets(image((5, 5), (7, 7)), image()).targets == 2


def test_a_prediction_finds_one_target_only() -> None:
    counts = count_targets(image((10, 10), (10, 12)), image((10, 11)))
    assert (counts.targets, counts.found, counts.false_alarms) == (2, 1, 0)


def test_false_alarms_are_the_pixels_of_predictions_that_find_nothing() -> None:
    counts = count_targets(image((10, 10)), image((10, 10), (10, 11), (30, 30), (30, 31), (30, 32)))
    assert (counts.found, counts.false_alarms, counts.intersection, counts.union) == (1, 3, 1, 5)
    assert counts.pixels == 2000


def test_ignored_pixels_count_nowhere() -> None:
    truth = image((10, 10))
    truth[30:] = IGNORE
    counts = count_targets(truth, image((10, 10), (35, 35)))
    assert (counts.targets, counts.found, counts.false_alarms, counts.pixels) == (1, 1, 0, 30 * 50)


def test_scores_pool_the_images_and_niou_averages_them() -> None:
    labels = LabelSpace.from_names(("background", "target"))
    pairs = [
        (image((10, 10)), image((10, 10), (30, 30))),
        (image((5, 5), (5, 6), (5, 7), (20, 20)), image((5, 5), (5, 6), (5, 7))),
        (image(), image()),
    ]
    cases = tuple(measure(f"{n}", t[None], p[None], labels, "irstd") for n, (t, p) in enumerate(pairs))
    scores = Scores(labels, "irstd", cases)
    found = {metric: scores.overall(metric).value for metric in scores.overall_metrics}
    assert found == {
        "iou": pytest.approx(4 / 6),
        "niou": pytest.approx((1 / 2 + 3 / 4 + 0) / 3),
        "pd": pytest.approx(2 / 3),
        "fa": pytest.approx(1e6 / 6000),
    }
    low, high = scores.overall("iou").interval or (0, 0)
    assert low <= 4 / 6 <= high


def test_an_image_of_which_nothing_counts_is_not_averaged() -> None:
    labels = LabelSpace.from_names(("background", "target"))
    pairs = [(image((10, 10)), image((10, 10))), (np.full((40, 50), IGNORE, np.int16), image((10, 10)))]
    cases = tuple(measure(f"{n}", t[None], p[None], labels, "irstd") for n, (t, p) in enumerate(pairs))
    assert Scores(labels, "irstd", cases).overall("niou").value == 1
    assert np.isnan(Scores(labels, "irstd", cases[1:]).overall("niou").value)

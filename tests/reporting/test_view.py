"""The slice that a figure shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samtailor.reporting.view import View, representative_slice
from tests.evaluation.examples import volume


def test_the_slice_with_the_most_classes_is_shown() -> None:
    _, truth = volume()
    truth[1] = 1  # more pixels of fewer classes
    assert representative_slice(truth) == 2


def test_of_slices_with_equally_many_classes_the_fullest_is_shown() -> None:
    _, truth = volume()
    truth[2] = 0
    truth[3, :30, :40] = 1
    assert representative_slice(truth) == 3


def test_without_foreground_the_middle_slice_is_shown() -> None:
    assert representative_slice(np.zeros((5, 8, 8), np.int16)) == 2


def test_the_prediction_decides_where_the_truth_is_empty() -> None:
    image, truth = volume()
    assert View.from_case(image, truth, np.zeros_like(truth)).index == 2
    assert View.from_case(image, truth).index == 2


def test_pixels_have_the_shape_of_the_spacing() -> None:
    image, truth = volume()
    assert View.from_case(image, truth, truth, (5.0, 1.5, 0.75)).aspect == 2.0
    assert View.from_case(image, truth, truth).aspect == 1.0


def test_a_view_comes_back_from_its_file(tmp_path: Path) -> None:
    image, truth = volume()
    for known in (truth, None):
        view = View.from_case(image, truth, known, (5.0, 1.5, 0.75))
        view.save(tmp_path / "view.npz")
        back = View.load(tmp_path / "view.npz")
        assert (back.aspect, back.index, back.slices) == (2.0, 2, 4)
        np.testing.assert_array_equal(back.image, image[2])
        np.testing.assert_array_equal(back.prediction, truth[2])
        assert (back.truth is None) == (known is None)


def test_of_a_scene_no_more_is_kept_than_a_figure_shows() -> None:
    label = np.zeros((1, 4100, 30), np.int16)
    label[0, 3:6] = 1
    view = View.from_case(np.zeros((1, 3, 4100, 30), np.float16), label, label)
    assert view.image.shape == (3, 1367, 10)
    assert view.truth is not None
    assert view.truth.shape == view.prediction.shape == (1367, 10)
    assert view.truth[1].all()


@pytest.mark.parametrize(
    ("channels", "of_picture", "of_volume"),
    [(1, 1, 1), (2, 1, 1), (3, 3, 3), (4, 3, 1), (13, 3, 1)],
)
def test_three_channels_are_drawn_or_the_first(channels: int, of_picture: int, of_volume: int) -> None:
    image, label = np.random.default_rng(0).random((1, channels, 8, 9)), np.zeros((1, 8, 9), np.int16)
    np.testing.assert_array_equal(View.from_case(image, label).image, image[0, :of_picture])
    np.testing.assert_array_equal(View.from_case(image, label, spacing=(5, 1, 1)).image, image[0, :of_volume])

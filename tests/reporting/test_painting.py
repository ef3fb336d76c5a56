"""Painted pixels, outlines and the search for tiny targets."""

from __future__ import annotations

import numpy as np

from samtailor.labels import IGNORE
from samtailor.reporting.painting import Box, gray_or_rgb, outlines, paint, tiny_targets
from tests.evaluation.examples import LABELS


def test_classes_are_painted_and_the_background_is_not() -> None:
    picture = np.full((1, 3, 3), 0.5, np.float32)
    painted = paint(picture, np.array([[0, 1, IGNORE]], np.int16), LABELS, opacity=0.4)
    np.testing.assert_array_equal(painted[0, 0], picture[0, 0])
    np.testing.assert_allclose(painted[0, 1], 0.6 * 0.5 + 0.4 * np.array(LABELS.palette[1]) / 255, rtol=1e-6)
    np.testing.assert_allclose(painted[0, 2], 0.6 * 0.5 + 0.4 * 128 / 255, rtol=1e-6)


def test_three_channels_are_colours_and_others_gray() -> None:
    image = np.random.default_rng(0).random((3, 4, 5)).astype(np.float16)
    np.testing.assert_array_equal(gray_or_rgb(image), image.transpose(1, 2, 0))
    np.testing.assert_array_equal(gray_or_rgb(image[:2]), np.repeat(image[0][..., None], 3, axis=-1))


def test_the_outline_of_a_pixel_is_its_four_edges() -> None:
    mask = np.zeros((4, 5), bool)
    mask[2, 3] = True
    edges = {tuple(map(tuple, line)) for line in outlines(mask).tolist()}
    top, bottom = ((2.5, 1.5), (3.5, 1.5)), ((2.5, 2.5), (3.5, 2.5))
    left, right = ((2.5, 1.5), (2.5, 2.5)), ((3.5, 1.5), (3.5, 2.5))
    assert edges == {top, bottom, left, right}


def test_the_outline_closes_at_the_border_of_the_picture() -> None:
    assert len(outlines(np.ones((2, 3), bool))) == 2 * (2 + 3)


def test_tiny_targets_are_boxed_the_largest_first() -> None:
    label = np.zeros((256, 256), np.int16)
    label[2, 3] = 1
    label[100:104, 200:203] = 1
    assert tiny_targets(label) == [Box(92, 191, 20), Box(0, 0, 20)]


def test_large_targets_and_none_are_not_boxed() -> None:
    label = np.zeros((64, 64), np.int16)
    assert tiny_targets(label) == []
    label[10:20, 10:20] = 1
    assert tiny_targets(label) == []


def test_a_box_stays_inside_a_picture_smaller_than_it() -> None:
    label = np.zeros((16, 300), np.int16)
    label[8, 299] = 1
    assert tiny_targets(label) == [Box(0, 284, 16)]

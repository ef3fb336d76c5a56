"""Background that one class encloses becomes that class."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.refinement.fill_holes import FillHoles

NO_IMAGE = np.zeros((1, 1, 1, 1), np.float16)


def refined(label: np.ndarray) -> np.ndarray:
    return FillHoles()(label, None, NO_IMAGE, None)


def test_holes_of_each_class_are_filled_with_it() -> None:
    label = np.zeros((1, 12, 24), np.int16)
    label[0, 1:8, 1:8], label[0, 1:8, 12:20] = 1, 3
    expected = label.copy()
    label[0, 3:5, 3:6] = label[0, 2, 14] = label[0, 5, 16:18] = 0
    given = label.copy()
    found = refined(label)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(label, given)
    assert found.dtype == np.int16


def test_what_touches_the_border_or_two_classes_is_no_hole() -> None:
    label = np.zeros((1, 9, 9), np.int16)
    label[0, 0:5, 0:5] = 1
    label[0, 0:3, 2] = 0  # a bay at the border
    label[0, 5:9, 3:9] = 1
    label[0, 6, 5] = 2  # another class in a hole
    label[0, 6, 6] = 0
    for either in (label, np.flip(label).copy()):
        np.testing.assert_array_equal(refined(either), either)


def test_another_class_inside_stays() -> None:
    label = np.ones((1, 5, 5), np.int16)
    label[0, 2, 2] = 2
    np.testing.assert_array_equal(refined(label), label)


def test_a_volume_s_hole_is_closed_on_all_sides() -> None:
    label = np.zeros((4, 7, 7), np.int16)
    label[:, 1:6, 1:6] = 1
    expected = label.copy()
    label[1:3, 3, 3] = 0  # closed by the slices above and below
    np.testing.assert_array_equal(refined(label), expected)
    label[0, 3, 3] = 0  # open at an end of the volume
    np.testing.assert_array_equal(refined(label), label)


@pytest.mark.parametrize("fill", [0, 2])
def test_one_class_all_over_stays(fill: int) -> None:
    label = np.full((1, 4, 4), fill, np.int16)
    np.testing.assert_array_equal(refined(label), label)

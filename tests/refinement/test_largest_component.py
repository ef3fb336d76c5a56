"""The largest part of each class stays."""

from __future__ import annotations

import numpy as np

from samtailor.refinement.largest_component import LargestComponent

NO_IMAGE = np.zeros((1, 1, 1, 1), np.float16)


def refined(label: np.ndarray) -> np.ndarray:
    return LargestComponent()(label, None, NO_IMAGE, None)


def test_smaller_parts_become_background_and_each_class_keeps_one() -> None:
    label = np.zeros((3, 10, 10), np.int16)
    label[0, 1:4, 1:4] = 1
    label[0, 8, 8] = 1
    label[2, 6:9, 1:3] = 3
    label[2, 0, 9] = 3
    expected = label.copy()
    expected[0, 8, 8] = expected[2, 0, 9] = 0
    found = refined(label)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int16
    assert label[0, 8, 8] == 1  # what was given stays as it is


def test_parts_are_connected_across_slices_by_faces_only() -> None:
    label = np.zeros((3, 4, 4), np.int16)
    label[:, 0, 0] = 1  # three slices: three voxels
    label[0, 1, 1] = label[0, 1, 2] = 1  # touches the column by an edge only
    expected = np.zeros_like(label)
    expected[:, 0, 0] = 1
    np.testing.assert_array_equal(refined(label), expected)


def test_the_first_of_equal_parts_stays() -> None:
    label = np.zeros((1, 3, 7), np.int16)
    label[0, 1, [1, 3, 5]] = 2
    assert np.argwhere(refined(label)).tolist() == [[0, 1, 1]]


def test_nothing_to_do_changes_nothing() -> None:
    for label in (np.zeros((2, 3, 3), np.int16), np.ones((2, 3, 3), np.int16)):
        np.testing.assert_array_equal(refined(label), label)

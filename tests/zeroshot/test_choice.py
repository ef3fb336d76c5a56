"""Which mask a class gets, which prompts are drawn from its truth, and what is painted over what."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.labels import IGNORE
from samtailor.zeroshot.choice import boxes_of, choose, choose_best, classes_in, drawn_from, middle_of, paint
from samtailor.zeroshot.masks import Runs

SIZE = (12, 16)


def block(rows: slice, columns: slice) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE, bool)
    mask[rows, columns] = True
    return mask


@pytest.fixture
def truth() -> NDArray[np.int16]:
    truth = np.zeros(SIZE, np.int16)
    truth[2:6, 2:6] = 1
    truth[8:10, 10:14] = 2
    truth[:, 15] = IGNORE
    return truth


def test_each_class_takes_the_mask_of_the_highest_dice(truth: NDArray[np.int16]) -> None:
    masks = [block(slice(2, 6), slice(2, 10)), block(slice(2, 6), slice(2, 7)), block(slice(8, 10), slice(10, 16))]
    choices = choose_best([Runs.from_mask(mask) for mask in masks], truth)
    assert list(choices) == [0, 1, 2]
    assert (choices[1].both, choices[1].mask, choices[1].truth) == (16, 20, 16)
    assert choices[1].dsc == pytest.approx(2 * 16 / 36)
    assert choices[1].iou == pytest.approx(16 / 20)
    assert (choices[2].both, choices[2].mask, choices[2].truth) == (8, 10, 8)  # of 12 pixels two are ignored
    np.testing.assert_array_equal(choices[2].runs.to_mask(), masks[2])


def test_of_equal_masks_the_first_is_taken_and_none_if_none_touches(truth: NDArray[np.int16]) -> None:
    above, below = block(slice(0, 4), slice(2, 6)), block(slice(4, 8), slice(2, 6))
    choices = choose_best([Runs.from_mask(above), Runs.from_mask(below)], truth)
    np.testing.assert_array_equal(choices[1].runs.to_mask(), above)
    assert choices[2].mask == choices[2].both == 0
    assert choices[2].dsc == 0


def test_a_mask_that_was_made_for_a_class_is_counted_where_the_truth_is_known(truth: NDArray[np.int16]) -> None:
    choice = choose(Runs.from_mask(block(slice(0, 12), slice(12, 16))), 2, truth)
    assert (choice.both, choice.mask, choice.truth) == (4, 36, 8)


def test_classes_are_those_of_the_truth(truth: NDArray[np.int16]) -> None:
    assert classes_in(truth) == [0, 1, 2]
    assert classes_in(np.full(SIZE, IGNORE, np.int16)) == []


def test_small_masks_are_painted_over_large_ones(truth: NDArray[np.int16]) -> None:
    large, small = block(slice(0, 10), slice(0, 10)), block(slice(4, 6), slice(4, 6))
    for first, second in ((1, 2), (2, 1)):
        choices = {
            first: choose(Runs.from_mask(large), first, truth),
            second: choose(Runs.from_mask(small), second, truth),
        }
        expected = np.where(small, second, np.where(large, first, 0))
        np.testing.assert_array_equal(paint(choices, SIZE), expected)


def test_boxes_are_tight_around_each_object_corners_joined() -> None:
    region = block(slice(2, 4), slice(3, 8)) | block(slice(4, 6), slice(8, 9)) | block(slice(9, 10), slice(0, 1))
    assert boxes_of(region).tolist() == [[3, 2, 9, 6], [0, 9, 1, 10]]


def test_the_middle_is_the_deepest_pixel_of_the_largest_object() -> None:
    region = block(slice(0, 5), slice(0, 5)) | block(slice(7, 10), slice(4, 16))
    assert middle_of(region)[1] == 8
    assert middle_of(block(slice(0, 5), slice(0, 5)) | block(slice(8, 10), slice(9, 12))).tolist() == [2, 2]
    assert middle_of(block(slice(0, 3), slice(5, 10))).tolist()[1] == 1  # the picture's rim is a border too


def test_points_are_drawn_once_each_from_the_region() -> None:
    region = block(slice(2, 4), slice(10, 12))
    few, all_of_it = drawn_from(region, 3, (0, 1)), drawn_from(region, 9, (0, 1))
    assert len({tuple(point) for point in few.tolist()}) == 3
    assert {tuple(point) for point in all_of_it.tolist()} == {(10, 2), (11, 2), (10, 3), (11, 3)}
    np.testing.assert_array_equal(few, drawn_from(region, 3, (0, 1)))

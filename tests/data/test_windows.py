"""What the network sees of a slice: where its windows lie, and how their pixels become inputs and targets."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing, Window
from samtailor.labels import IGNORE


def preprocessing(image_size: int = 8, field: int | None = None) -> Preprocessing:
    return Preprocessing(Range(), image_size, field, 1)


@pytest.mark.parametrize("length", [9, 16, 17, 28, 29, 40, 41, 100])
@pytest.mark.parametrize("overlap", [None, 0.0, 0.5])
def test_windows_cover_a_slice_and_share_a_quarter_of_their_side(length: int, overlap: float | None) -> None:
    given = {} if overlap is None else {"overlap": overlap}
    windows = preprocessing(field=16).windows(length, 5, **given)
    starts = [window.y for window in windows]
    assert {window.x for window in windows} == {0}
    assert {window.side for window in windows} == {16}
    assert starts[0] == 0
    if length <= 16:
        assert starts == [0]
        return
    assert starts[-1] == length - 16
    share = 0.25 if overlap is None else overlap
    steps = np.diff(starts)
    assert steps.max() <= 16 * (1 - share) + 1  # to whole pixels
    assert steps.max() - steps.min() <= 1
    fewer = len(starts) - 1
    assert fewer == 1 or (length - 16) / (fewer - 1) > 16 * (1 - share), "no more windows than it takes"


def test_windows_come_row_by_row() -> None:
    places = [(window.y, window.x) for window in preprocessing(field=4).windows(6, 7)]
    assert places == sorted(places)
    assert len(places) == 4


def test_without_a_field_one_window_holds_the_whole_slice() -> None:
    assert preprocessing().windows(5, 9) == [Window(0, 0, 9)]


def test_what_is_shrunk_is_averaged() -> None:
    stripes = np.zeros((1, 32, 32), np.float32)
    stripes[:, :, ::4] = 1  # two samples of four pixels would find none or half of them
    seen = preprocessing(8).input_of(stripes, Window(0, 0, 32))
    assert seen[:, :, 1:-1].numpy() == pytest.approx(0.25, abs=0.1)
    assert seen.shape == (3, 8, 8)


def test_a_target_is_the_class_in_the_middle_of_each_pixel() -> None:
    label = np.arange(8, dtype=np.int16)[:, None].repeat(8, axis=1)
    target = preprocessing(3).target_of(label, Window(0, 0, 8))
    assert target[:, 0].tolist() == [1, 4, 6]
    assert preprocessing(3).target_of(label.T.copy(), Window(0, 0, 8))[0].tolist() == [1, 4, 6]


@pytest.mark.parametrize("y", [-2, 5])
def test_beyond_a_slice_there_is_nothing_to_see_or_to_learn(y: int) -> None:
    image = np.ones((1, 8, 4), np.float32)
    window = Window(y, -1, 6)
    seen = preprocessing(6).input_of(image, window)[0].numpy()
    target = preprocessing(6).target_of(np.ones((8, 4), np.int16), window).numpy()
    inside = np.zeros((6, 6), bool)
    inside[max(0, -y) : 8 - y, 1:5] = True
    np.testing.assert_array_equal(seen == 1, inside)
    np.testing.assert_array_equal(seen == 0, ~inside)
    np.testing.assert_array_equal(target, np.where(inside, 1, IGNORE))

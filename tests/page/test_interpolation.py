"""An object between two slices has the shape between theirs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.page.interpolation import between

SIZE = (60, 80)


def disc(row: float, column: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return np.asarray(np.hypot(rows - row, columns - column) <= radius)


def centre(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(np.argwhere(mask).mean(axis=0))


def test_between_equal_shapes_is_the_same_shape() -> None:
    mask = disc(20, 30, 9)
    assert all(np.array_equal(found, mask) for found in between(mask, mask, 3))


def test_the_radius_goes_from_one_to_the_other() -> None:
    for number, found in enumerate(between(disc(30, 40, 5), disc(30, 40, 20), 4), start=1):
        radius = np.sqrt(found.sum() / np.pi)
        assert radius == pytest.approx(5 + 15 * number / 5, abs=0.7)


def test_an_object_that_moves_is_not_lost() -> None:
    found = between(disc(10, 10, 6), disc(50, 70, 6), 3)
    assert [mask.sum() for mask in found] == pytest.approx([disc(30, 40, 6).sum()] * 3, rel=0.05)
    assert np.allclose([centre(mask) for mask in found], [[20, 25], [30, 40], [40, 55]], atol=0.6)


def test_there_and_back_is_the_same() -> None:
    first, last = disc(10, 12, 9), disc(40, 50, 14)
    there, back = between(first, last, 3)[0], between(last, first, 3)[2]
    assert (there & back).sum() > 0.9 * (there | back).sum()  # but for the rounding of the way


def test_rows_and_columns_may_be_of_other_sizes() -> None:
    rows, columns = np.zeros((2, *SIZE), bool)
    rows[20:40, 39:42] = True
    columns[29:32, 30:50] = True
    square, wide = (between(rows, columns, 1, spacing)[0] for spacing in ((1.0, 1.0), (1.0, 4.0)))
    assert square.any()
    assert not np.array_equal(square, wide)


def test_a_shape_may_fill_its_slice_or_touch_the_border() -> None:
    whole = np.ones(SIZE, bool)
    assert between(whole, whole, 1)[0].all()
    corner = disc(0, 0, 8)
    assert np.array_equal(between(corner, corner, 2)[1], corner)

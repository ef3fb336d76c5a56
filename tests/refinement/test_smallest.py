"""Small objects become what is around them."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.refinement.smallest import Smallest
from samtailor.settings import ConfigError

NO_IMAGE = np.zeros((1, 1, 1, 1), np.float16)


def refined(label: np.ndarray, size: float, spacing: tuple[float, float, float] | None = None) -> np.ndarray:
    return Smallest(size)(label, None, NO_IMAGE, spacing)


def test_an_island_becomes_background_and_a_speck_the_class_around_it() -> None:
    label = np.zeros((1, 12, 12), np.int16)
    label[0, 1:8, 1:8] = 1
    label[0, 4, 4:6] = 2
    label[0, 10, 10] = 2
    expected = np.zeros_like(label)
    expected[0, 1:8, 1:8] = 1
    found = refined(label, 3)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int16
    assert label[0, 4, 4] == 2  # what was given stays as it is


def test_objects_of_the_size_stay() -> None:
    label = np.zeros((1, 5, 9), np.int16)
    label[0, 1, 1:4] = 1
    label[0, 3, 5:7] = 1
    np.testing.assert_array_equal(refined(label, 2), label)
    assert (refined(label, 2.5) == 1).sum() == 3
    np.testing.assert_array_equal(refined(label, 0), label)


def test_the_size_of_volumes_is_in_mm3() -> None:
    label = np.zeros((2, 4, 4), np.int16)
    label[:, 1, 1] = 1  # 2 voxels of 2.5 mm3
    np.testing.assert_array_equal(refined(label, 5, (5.0, 1.0, 0.5)), label)
    assert not refined(label, 5.1, (5.0, 1.0, 0.5)).any()


def test_small_objects_side_by_side_leave_none() -> None:
    label = np.zeros((1, 6, 12), np.int16)
    for place, class_id in enumerate((1, 2, 3, 1, 2)):
        label[0, 2:4, 1 + place] = class_id
    assert not refined(label, 30).any()
    noise = np.random.default_rng(0).integers(0, 4, (1, 30, 30)).astype(np.int16)
    found = refined(noise, 12)
    np.testing.assert_array_equal(refined(found, 12), found)


@pytest.mark.parametrize("fill", [0, 3])
def test_what_is_everything_stays(fill: int) -> None:
    label = np.full((1, 4, 4), fill, np.int16)
    np.testing.assert_array_equal(refined(label, 1000), label)


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"refine\.smallest\.size: expected a number of at least 0"):
        Smallest(-1)

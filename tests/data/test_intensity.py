"""Intensities become [0, 1] in the way the segmenter remembers."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.data.intensity import CTWindow, Percentile, Range, scale


def test_window_maps_its_borders_to_zero_and_one_and_clips() -> None:
    scaled = scale(np.array([-1000, -160, 40, 240, 3000], dtype=np.int16), CTWindow(40, 400))
    assert scaled.dtype == np.float16
    assert scaled.tolist() == [0, 0, 0.5, 1, 1]


def test_range_maps_its_borders_to_zero_and_one() -> None:
    assert scale(np.array([0, 51, 255], dtype=np.uint8), Range()).tolist() == pytest.approx([0, 0.2, 1], abs=1e-3)


def test_percentiles_are_taken_of_each_case() -> None:
    image = np.arange(101, dtype=np.uint16) * 30
    scaled = scale(image, Percentile(10, 90))
    assert scaled[[10, 50, 90]].tolist() == pytest.approx([0, 0.5, 1], abs=1e-3)
    assert np.array_equal(scale(image * 2, Percentile(10, 90)), scaled)


def test_constant_image_becomes_zero_not_nan() -> None:
    assert scale(np.full(5, 7.0), Percentile()).tolist() == [0] * 5

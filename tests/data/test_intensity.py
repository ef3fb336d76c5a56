"""Intensities become [0, 1] in the way the segmenter remembers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.data.case import Case
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.data.formats.picture import PictureGeometry
from samtailor.data.intensity import CTWindow, Percentile, Range, scale
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import DataError


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


class TestScaleOfPictures:
    """A picture that a fixed range would make black or white all over is named."""

    EIGHT = np.array([[[[0, 255]]]], np.uint8)

    @pytest.mark.parametrize(
        ("pixels", "intensity", "found"),
        [
            (EIGHT.astype(np.uint16) * 257, Range(), "uint16 from 0 to 65535"),
            (EIGHT.astype(np.int16) - 1, Range(), "int16 from -1 to 254"),
            (EIGHT / np.float32(255), Range(), "at most 1"),
            (EIGHT, Range(0, 4095), "8 bits"),
        ],
    )
    def test_another_one_is_refused(self, pixels: NDArray[Any], intensity: Range, found: str) -> None:
        preprocessing = Preprocessing(intensity, 64, None, 1)
        expected = f"expected intensities from 0 to {intensity.high:g}, as in training, found {found}; convert"
        with pytest.raises(DataError, match=f"photo: {expected}"):
            preprocessing.prepare(Case("photo", pixels, PictureGeometry((1, 2))))
        preprocessing.prepare(Case("ct", pixels, VolumeGeometry.new(np.eye(4), (2, 1, 1))))

    @pytest.mark.parametrize(
        ("pixels", "intensity"),
        [
            (EIGHT, Range()),
            (EIGHT, Range(0, 100)),
            (EIGHT.astype(np.uint16), Range()),
            (EIGHT.astype(np.float32), Range()),
            (EIGHT.astype(np.uint16) * 257, Range(0, 4095)),
            (EIGHT.astype(np.uint16) * 257, Percentile()),
            (np.zeros_like(EIGHT, np.float32), Range()),
            (EIGHT / np.float32(255), Range(0, 1)),
        ],
    )
    def test_the_same_one_is_taken(self, pixels: NDArray[Any], intensity: Range | Percentile) -> None:
        Preprocessing(intensity, 64, None, 1).prepare(Case("photo", pixels, PictureGeometry((1, 2))))

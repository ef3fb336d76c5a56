"""Intensities become [0, 1] in the way the segmenter remembers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.data.case import Case, Void
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.data.formats.picture import PictureGeometry
from samtailor.data.in_memory import case_of_array
from samtailor.data.intensity import (
    ByChannel,
    CTWindow,
    Percentile,
    Range,
    intensity_from_json,
    intensity_of,
    intensity_to_json,
    resolve_intensity,
    scale,
)
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import ConfigError, DataError
from samtailor.settings import IntensityConfig


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


def test_each_channel_is_scaled_as_if_it_were_alone() -> None:
    volume = np.random.default_rng(0).normal(0, 100, (2, 3, 5, 4)) * np.array([1, 1e4])[:, None, None, None]
    case = case_of_array(volume.astype(np.float32), (1, 1, 1))
    own = ByChannel((CTWindow(40, 400), Percentile(5, 95)))
    found, together = (
        np.asarray(Preprocessing(intensity, 64, None, 2).prepare(case)) for intensity in (own, Percentile(5, 95))
    )
    np.testing.assert_array_equal(found[:, 0], scale(case.image[0], CTWindow(40, 400)))
    np.testing.assert_array_equal(found[:, 1], scale(case.image[1], Percentile(5, 95)))
    assert together[:, 0].std() < 0.01 < 0.1 < found[:, 1].std()


def test_pixels_without_data_count_in_no_channel_s_percentiles() -> None:
    pixels = np.arange(2 * 100, dtype=np.float32).reshape(2, 1, 10, 10)
    where = np.zeros((1, 10, 10), bool)
    where[0, 5:] = True
    pixels[:, where] = -9999
    geometry = PictureGeometry((10, 10), Void(where, "nodata -9999"))
    preprocessing = Preprocessing(ByChannel((Percentile(0, 100),) * 2), 64, None, 2)
    prepared = np.asarray(preprocessing.prepare(Case("scene", pixels, geometry)))
    expected = np.stack([scale(channel[0, :5], Percentile(0, 100)) for channel in pixels])
    np.testing.assert_array_equal(prepared[0, :, :5], expected)


def test_each_channel_of_a_picture_keeps_to_the_scale_of_its_training() -> None:
    pixels = np.array([0, 60000], np.uint16).reshape(2, 1, 1, 1)
    case = Case("photo", pixels, PictureGeometry((1, 1)))
    Preprocessing(ByChannel((Range(), Percentile())), 64, None, 2).prepare(case)
    with pytest.raises(DataError, match="photo: expected intensities from 0 to 255"):
        Preprocessing(ByChannel((Percentile(), Range())), 64, None, 2).prepare(case)


def test_there_are_as_many_as_channels() -> None:
    with pytest.raises(ConfigError, match="intensity: expected one for each of 3 channels, found 2"):
        Preprocessing(ByChannel((Range(), Percentile())), 64, None, 3)


def test_percentiles_of_several_channels_stay_together_in_segmenters_that_were_saved_so() -> None:
    old = intensity_from_json({"kind": "percentile", "low": 10.0, "high": 90.0})
    assert old == Percentile(10, 90)
    image = np.arange(24.0).reshape(2, 3, 2, 2) ** 2
    low, high = np.percentile(image, (10, 90))
    assert old.limits(image) == (low, high)


@pytest.mark.parametrize(
    "intensity", [CTWindow(50, 350), Percentile(), ByChannel((CTWindow(), Percentile(1, 99), Range()))]
)
def test_an_intensity_survives_json(intensity: Any) -> None:
    assert intensity_from_json(json.loads(json.dumps(intensity_to_json(intensity)))) == intensity


HALF = (0.5, 99.5)


@pytest.mark.parametrize(
    ("bits", "channels", "given", "expected"),
    [
        (None, ("CT",), {}, ("window", (40.0, 400.0))),
        (None, ("MR",), {}, ("percentile", HALF)),
        (None, ("CT", "ct"), {}, ("window", (40.0, 400.0))),
        (None, ("CT", "PET"), {}, (["window", "percentile"], [(40.0, 400.0), HALF])),
        (None, ("T1", "T2"), {}, (["percentile"] * 2, [HALF] * 2)),
        (None, ("T1", "T2", "FLAIR"), {}, (["percentile"] * 3, [HALF] * 3)),
        (None, ("T1", "T2"), {"kind": "percentile", "values": (1, 99)}, (["percentile"] * 2, [(1, 99)] * 2)),
        (None, ("T1", "T2"), {"kind": "range", "values": (0, 9)}, ("range", (0, 9))),
        (None, ("CT", "PET"), {"kind": "window"}, ("window", (40.0, 400.0))),
        (None, ("CT", "PET"), {"values": [(50, 350), (0, 99)]}, (["window", "percentile"], [(50, 350), (0, 99)])),
        (None, ("CT",), {"values": [50, 350]}, ("window", (50, 350))),
        (None, ("A", "B"), {"kind": "range", "values": [[0, 9], [1, 8]]}, (["range"] * 2, [(0, 9), (1, 8)])),
        (None, ("A", "B"), {"kind": ["window", "range"]}, (["window", "range"], [(40.0, 400.0), (0.0, 255.0)])),
        (8, ("R", "G", "B"), {}, ("range", (0.0, 255.0))),
        (8, ("band 1", "band 2"), {}, ("range", (0.0, 255.0))),
        (16, ("gray",), {}, ("percentile", HALF)),
        (16, ("R", "G", "B"), {}, ("percentile", HALF)),  # colours keep their balance
        (16, ("R", "G", "B"), {"kind": ["percentile"] * 3}, (["percentile"] * 3, [HALF] * 3)),
        (16, ("band 1", "band 2", "band 3", "band 4"), {}, (["percentile"] * 4, [HALF] * 4)),
    ],
)
def test_each_channel_gets_what_its_name_suggests(
    bits: int | None, channels: tuple[str, ...], given: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    resolved = resolve_intensity(IntensityConfig(**given), bits, channels)
    assert resolved == IntensityConfig(*expected)
    assert resolve_intensity(resolved, bits, channels) in (resolved, IntensityConfig(*expected))
    intensity = intensity_of(resolved)
    assert isinstance(intensity, ByChannel) == isinstance(expected[0], list)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"kind": ["window"]},
            r"intensity\.kind: expected one for all or one for each of the 2 channels \(CT, PET\), found 1",
        ),
        ({"kind": []}, r"found 0"),
        ({"values": []}, r"intensity\.values: expected one for all .* found 0"),
        ({"values": [(0, 1)] * 3}, r"intensity\.values: expected one for all or one for each of the 2 .* found 3"),
        ({"values": (0, 1)}, r"expected a pair for each of CT \(window\), PET \(percentile\); found \[0, 1\]"),
        ({"values": [(40, 400), (9, 1)]}, "expected low < high, found"),
        ({"values": [(40, 0), (1, 9)]}, "expected a width above 0, found 0"),
    ],
)
def test_what_does_not_fit_the_channels_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve_intensity(IntensityConfig(**given), None, ("CT", "PET"))

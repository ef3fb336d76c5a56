"""From a case to the network's input: what training, evaluation and prediction share."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from samtailor.data.cache import SliceCache
from samtailor.data.case import Case, Void
from samtailor.data.dataset import open_dataset
from samtailor.data.formats.picture import PictureGeometry
from samtailor.data.in_memory import case_of_array
from samtailor.data.intensity import ByChannel, CTWindow, Intensity, Percentile, Range, Scaled, scale
from samtailor.data.preprocessing import Preprocessing, Window
from samtailor.data.steps.bilateral import BilateralDenoising
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.data.steps.median import MedianDenoising
from samtailor.data.steps.nlm import NonLocalMeansDenoising
from samtailor.data.steps.step import PreprocessingStep
from samtailor.errors import ConfigError
from samtailor.settings import WindowChoice

CASE = case_of_array(np.random.default_rng(0).normal(50, 100, (3, 40, 31)).astype(np.int16), (5.0, 1.0, 2.0))


@pytest.mark.parametrize("intensity", [CTWindow(), Range(-100, 200), Percentile()])
def test_scaling_where_it_is_looked_at_changes_nothing(intensity: Intensity) -> None:
    scaled = scale(CASE.image, intensity).swapaxes(0, 1)
    view = Preprocessing(intensity, 32, None, 1).prepare(CASE)
    np.testing.assert_array_equal(np.asarray(view), scaled)
    np.testing.assert_array_equal(np.asarray(view[1:][0, :, 3:9, ::-1]), scaled[1, :, 3:9, ::-1])
    assert (view.shape, view.dtype, len(view)) == (scaled.shape, scaled.dtype, len(scaled))


def test_channels_that_are_scaled_by_themselves_are_scaled_where_they_are_looked_at() -> None:
    volume = np.random.default_rng(0).normal(50, 100, (4, 3, 40, 31)) * 10.0 ** np.arange(4)[:, None, None, None]
    intensity = ByChannel((CTWindow(), *(Percentile(2 * i, 99) for i in range(3))))
    view = Preprocessing(intensity, 32, None, 4).prepare(case_of_array(volume, (5.0, 1.0, 2.0)))
    channels = zip(volume.astype(np.float32), intensity.channels, strict=True)
    scaled = np.stack([scale(channel, one) for channel, one in channels], axis=1)
    np.testing.assert_array_equal(np.asarray(view), scaled)
    np.testing.assert_array_equal(np.asarray(view[1:][0, 2:, 3:9, ::-1]), scaled[1, 2:, 3:9, ::-1])
    np.testing.assert_array_equal(np.asarray(view[2]), scaled[2])
    assert (view.shape, view.dtype, len(view)) == (scaled.shape, scaled.dtype, len(scaled))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_an_input_has_the_channels_of_the_image_but_three_of_a_gray_one(channels: int) -> None:
    image = np.random.default_rng(0).random((channels, 16, 16)).astype(np.float16)
    made = Preprocessing(Range(), 16, None, channels).input_of(image, Window(0, 0, 16))
    expected = np.repeat(image, 3, axis=0) if channels == 1 else image
    np.testing.assert_array_equal(made.numpy(), expected)


@dataclass(frozen=True)
class Add(PreprocessingStep):
    amount: float = 0.0

    def __call__(self, image: NDArray[Any], spacing: tuple[float, float, float] | None) -> NDArray[Any]:
        assert spacing == (5.0, 1.0, 2.0)
        return image + self.amount


@dataclass(frozen=True)
class Double(PreprocessingStep):
    def __call__(self, image: NDArray[Any], spacing: tuple[float, float, float] | None) -> NDArray[Any]:
        return 2 * image


def test_steps_come_in_order_and_before_the_intensity() -> None:
    prepared = Preprocessing(Percentile(), 32, None, 1, (Add(100), Double())).prepare(CASE)
    np.testing.assert_array_equal(np.asarray(prepared), scale(2 * (CASE.image + 100.0), Percentile()).swapaxes(0, 1))


@pytest.mark.parametrize(
    "step", [GaussianDenoising(2.0), BilateralDenoising(), MedianDenoising(2), NonLocalMeansDenoising()]
)
def test_pixels_without_data_are_in_no_step_and_stay_as_they_are(step: PreprocessingStep) -> None:
    truth = np.tile(120 + 40 * np.sin(np.arange(64) / 9), (64, 1))
    noisy = truth + np.random.default_rng(0).normal(0, 5, truth.shape)
    where = np.tile(np.arange(64) < 25, (1, 64, 1))
    results = []
    for nothing in (0, 250):
        image = np.where(where, nothing, noisy).astype(np.uint8)[None]
        case = Case("half", image, PictureGeometry((64, 64), Void(where, "nodata")))
        results.append(np.asarray(Preprocessing(Range(), 32, None, 1, (step,)).prepare(case))[0, 0])
        np.testing.assert_array_equal(results[-1][where[0]], np.float16(nothing / 255))
    np.testing.assert_array_equal(results[0][~where[0]], results[1][~where[0]])
    assert np.abs(255 * results[0] - truth)[:, 25:29].mean() < 5


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(CTWindow(50, 350), 32, 48, 1),
        Preprocessing(Range(0, 4095), 32, None, 1),
        Preprocessing(ByChannel((CTWindow(), Percentile())), 32, None, 2),
        Preprocessing(Percentile(1, 99), 64, None, 3, (GaussianDenoising(2), GaussianDenoising())),
        Preprocessing(Percentile(), 32, None, 2, bands=(4, 1)),
        Preprocessing(Percentile(), 32, None, 1, neighbours=True),
    ],
)
def test_preprocessing_survives_json(preprocessing: Preprocessing) -> None:
    content = json.loads(json.dumps(preprocessing.to_json()))
    assert Preprocessing.from_json(content) == preprocessing
    assert ("steps" in content) == bool(preprocessing.steps)
    assert ("bands" in content) == bool(preprocessing.bands)


def test_there_are_as_many_bands_as_channels() -> None:
    with pytest.raises(ConfigError, match=r"bands: expected 3 numbers, one for each channel, found \(4, 1\)"):
        Preprocessing(Percentile(), 32, None, 3, bands=(4, 1))
    with pytest.raises(ConfigError, match=r"bands: expected"):
        Preprocessing(Percentile(), 32, None, 1, bands=(0,))


@pytest.mark.parametrize(
    ("centre", "side", "first"),
    [((20, 15), 10, (15, 10)), ((0, 30), 10, (0, 21)), ((39, 0), 11, (29, 0)), ((20, 15), 36, (2, 0))],
)
def test_a_window_lies_around_its_centre_as_far_as_the_borders_allow(
    centre: tuple[int, int], side: int, first: tuple[int, int]
) -> None:
    assert Window.around(*centre, side, (40, 31)) == Window(*first, side)


class TestPicturesOfAnotherSizeThanThoseOfTheTraining:
    @pytest.mark.parametrize(
        ("field", "seen", "size", "side"),
        [
            (None, 224, (224, 180), 224),
            (None, 224, (336, 300), 336),  # half as large again: shrunk a little more
            (None, 224, (300, 337), 224),
            (None, None, (30_000, 20_000), 30_000),  # a volume, or a segmenter from before
            (96, 224, (300, 337), 96),
            (500, 224, (300, 337), 500),
        ],
    )
    def test_much_larger_ones_are_looked_at_in_windows_as_large_as_those(
        self, field: int | None, seen: int | None, size: tuple[int, int], side: int
    ) -> None:
        preprocessing = Preprocessing(Range(), 32, field, 1, seen=seen)
        windows = preprocessing.windows(*size)
        assert preprocessing.side(*size) == side
        assert {window.side for window in windows} == {side}
        assert max(window.y + window.side for window in windows) >= size[0]
        assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing

    def test_slices_in_the_cache_do_not_depend_on_it(self, image_folder: Path, tmp_path: Path) -> None:
        dataset = open_dataset(image_folder)
        caches = [
            SliceCache(dataset.labels, Preprocessing(Range(), 32, None, 3, seen=seen), tmp_path) for seen in (None, 64)
        ]
        assert len({cache.load(dataset.cases[0]).key for cache in caches}) == 1


@pytest.mark.parametrize(("index", "around"), [(0, [0, 0, 1]), (2, [1, 2, 3]), (4, [3, 4, 4])])
@pytest.mark.parametrize("scaled", [False, True])
def test_neighbouring_slices_are_the_three_colours(index: int, around: list[int], scaled: bool) -> None:
    values = np.random.default_rng(0).random((5, 1, 8, 6)).astype(np.float16)
    image = Scaled(values, (0.25, 0.75)) if scaled else values
    preprocessing = Preprocessing(Range(), 32, None, 1, neighbours=True)
    seen = preprocessing.slice_of(image, index)
    np.testing.assert_array_equal(np.asarray(seen), np.asarray(image)[around, 0])
    colours = preprocessing.input_of(seen, Window(0, 0, 8))
    for colour, slice_index in zip(colours, around, strict=True):
        alone = replace(preprocessing, neighbours=False)
        expected = alone.input_of(alone.slice_of(image, slice_index), Window(0, 0, 8))
        torch.testing.assert_close(colour, expected[0])


def test_colours_have_no_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"neighbours: expected images of one channel, found 3"):
        Preprocessing(Range(), 32, None, 3, neighbours=True)


@pytest.mark.parametrize(
    ("field", "seen", "choice", "sides"),
    [
        (None, 40, "auto", [40, 60, 40]),  # of pictures of 40, 60 and 61 pixels
        (None, 40, "whole", [40, 60, 61]),
        (None, 40, "training", [40, 40, 40]),
        (16, 40, "auto", [16, 16, 16]),
        (16, 40, "whole", [40, 60, 61]),
        (16, 40, "training", [16, 16, 16]),
        (None, None, "auto", [40, 60, 61]),
    ],
)
def test_windows_are_as_large_as_chosen(
    field: int | None, seen: int | None, choice: WindowChoice, sides: list[int]
) -> None:
    preprocessing = Preprocessing(Range(), 32, field, 3, seen=seen)
    assert [preprocessing.side(30, width, choice) for width in (40, 60, 61)] == sides
    windows = preprocessing.windows(30, 61, choice=choice)
    assert {window.side for window in windows} == {sides[2]}


def test_the_size_of_the_training_is_wanted_where_it_is_known() -> None:
    with pytest.raises(ConfigError, match=r"windows: expected a segmenter that was fitted to pictures"):
        Preprocessing(CTWindow(), 32, None, 1).windows(40, 40, choice="training")

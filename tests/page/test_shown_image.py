"""What browsers are given of images: as they are where they can be, else stretched, for display only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.data.case import Case
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.data.formats.picture import PictureGeometry
from samtailor.data.in_memory import case_of
from samtailor.data.intensity import CTWindow, Range
from samtailor.errors import FileError
from samtailor.page.shown_image import ShownImage, require_shown, shown_image, windows_of
from samtailor.page.thumbnails import thumbnail

SPACING = (5.0, 2.0, 1.0)


def picture(array: NDArray[Any]) -> Case:
    return case_of(array)


def volume(array: NDArray[Any]) -> Case:
    return case_of(array, SPACING)


def noise(low: float, high: float, dtype: str, shape: tuple[int, ...] = (3, 8, 9)) -> NDArray[Any]:
    values = np.random.default_rng(0).uniform(low, high, shape)
    values.flat[:2] = low, high
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_small_whole_numbers_are_given_as_they_are(dtype: str) -> None:
    array = noise(0, 200, dtype, (8, 9))
    shown = shown_image(picture(array))
    assert shown.pixels.dtype == dtype
    assert np.array_equal(shown.pixels[0], array)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_wide_types_of_small_whole_numbers_become_16_bits(dtype: str) -> None:
    array = noise(0, 3000, dtype).round()
    shown = shown_image(volume(array), ["MR"])
    assert shown.pixels.dtype == np.int16
    assert np.array_equal(shown.pixels, array)


@pytest.mark.parametrize(("dtype", "low", "high"), [("uint16", 0, 65535), ("float32", -0.5, 0.25), ("int32", 0, 10**6)])
def test_other_numbers_are_stretched(dtype: str, low: float, high: float) -> None:
    array = noise(low, high, dtype)
    shown = shown_image(volume(array), ["MR"])
    assert shown.pixels.dtype == np.int16
    assert (shown.pixels.min(), shown.pixels.max()) == (0, 32767)
    expected = (array.astype(float) - array.min()) / (float(array.max()) - array.min()) * 32767
    assert np.abs(shown.pixels - expected).max() <= 0.51
    assert shown.window[0] < shown.window[1] <= 32767


def test_colours_are_bytes() -> None:
    array = noise(0, 255, "uint8", (8, 9, 3))
    shown = shown_image(picture(array))
    assert (shown.channels, shown.window) == (3, (0.0, 255.0))
    assert np.array_equal(shown.pixels[0], array)
    wide = array.astype(np.uint16) * 100
    stretched = shown_image(picture(wide))
    assert stretched.pixels.dtype == np.uint8
    assert np.abs(stretched.pixels[0].astype(int) - array.astype(int)).max() <= 8
    assert np.array_equal(shown_image(picture(noise(0, 255, "uint8", (8, 9, 5)))).pixels.shape, (1, 8, 9, 3))


def test_of_channels_of_a_volume_the_first_is_shown() -> None:
    array = noise(0, 100, "int16", (2, 3, 8, 9))
    assert np.array_equal(shown_image(volume(array), ["T1", "T2"]).pixels, array[0])


class TestCt:
    @pytest.mark.parametrize(
        ("case", "channels", "intensity", "is_ct"),
        [
            (volume(noise(-200, 300, "int16")), ["CT"], None, True),
            (volume(noise(-200, 300, "int16")), ["ct"], None, True),
            (volume(noise(-200, 300, "int16")), ["image"], CTWindow(), True),
            (volume(noise(-200, 300, "int16")), ["image"], Range(), False),
            (volume(noise(-200, 300, "int16")), [], None, False),
            (volume(noise(-1024, 300, "int16")), [], None, True),
            (volume(noise(-1024, 300, "int16")), ["image"], None, True),
            (volume(noise(-1024, 300, "int16")), ["PET"], None, False),
            (volume(noise(-1024, 300, "float32").round()), [], None, True),
            (volume(noise(-1024, 300, "float32")), [], None, False),
            (volume(noise(-1024, 300, "float32")), ["CT"], None, True),
            (picture(noise(-1024, 300, "int16", (8, 9))), [], None, False),
            (picture(noise(0, 200, "uint8", (8, 9))), ["CT"], None, False),
        ],
    )
    def test_is_what_is_called_so_or_has_air(self, case: Case, channels: Any, intensity: Any, is_ct: bool) -> None:
        shown = shown_image(case, channels, intensity)
        assert shown.is_ct is is_ct
        assert bool(windows_of(shown)) is is_ct

    def test_is_given_in_hu(self) -> None:
        array = noise(-1024, 300, "float32")
        shown = shown_image(volume(array), ["CT"])
        assert np.array_equal(shown.pixels, array.round())
        assert shown.window == (-160.0, 240.0)

    def test_is_shown_first_as_the_segmenter_sees_it(self) -> None:
        shown = shown_image(volume(noise(-1024, 300, "int16")), ["CT"], CTWindow(-600, 1500))
        assert shown.window == (-1350.0, 150.0)

    def test_windows(self) -> None:
        shown = shown_image(volume(noise(-1024, 300, "int16")), ["CT"])
        assert {"name": "Lung", "low": -1350.0, "high": 150.0} in windows_of(shown)


def test_what_no_browser_holds_is_refused() -> None:
    require_shown("a", PictureGeometry((8192, 8192)))
    require_shown("a", VolumeGeometry.new(np.eye(4), (512, 512, 256)))
    with pytest.raises(FileError, match="at most 67 million pixels, to be shown, found 257 x 512 x 512"):
        require_shown("a", VolumeGeometry.new(np.eye(4), (512, 512, 257)))
    with pytest.raises(FileError, match="at most 8192 pixels along a side, to be shown, found 1 x 8193 x 10"):
        require_shown("a", PictureGeometry((8193, 10)))


def test_a_slice_in_its_window() -> None:
    shown = ShownImage(np.array([[[-200, -160, 40, 240, 500]]], np.int16), (-160.0, 240.0), is_ct=True)
    assert shown.gray(0).tolist() == [[0, 0, 128, 255, 255]]


@pytest.mark.parametrize(
    ("shape", "spacing", "size"),
    [
        ((1, 320, 640), None, (160, 80)),
        ((1, 20, 30), None, (30, 20)),
        ((3, 40, 40), (5.0, 4.0, 1.0), (40, 160)),
        ((3, 400, 2), (1.0, 1.0, 1.0), (1, 160)),
    ],
)
def test_thumbnails_are_small_and_not_distorted(shape: Any, spacing: Any, size: tuple[int, int]) -> None:
    import io

    from PIL import Image

    shown = ShownImage(np.zeros(shape, np.uint8), (0.0, 255.0))
    assert Image.open(io.BytesIO(thumbnail(shown, spacing))).size == size


def test_a_thumbnail_shows_the_middle() -> None:
    import io

    from PIL import Image

    pixels = np.zeros((5, 8, 8), np.int16)
    pixels[2] = 200
    shown = ShownImage(pixels, (0.0, 200.0))
    assert np.asarray(Image.open(io.BytesIO(thumbnail(shown, (1.0, 1.0, 1.0))))).min() == 255

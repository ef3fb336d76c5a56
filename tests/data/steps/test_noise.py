"""The level of the noise is estimated per channel, whatever the type, the offset and the padding."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.data.steps.noise import by_channel, estimate_noise
from tests.data.steps.scenes import noisy, scene


@pytest.mark.parametrize("sigma", [3.0, 12.0, 40.0])
def test_the_level_is_found_below_edges_and_slopes(sigma: float) -> None:
    assert estimate_noise(noisy(scene((1, 96, 96)), sigma)) == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float64])
def test_types_and_offsets_make_no_difference(dtype: type) -> None:
    offset = -1000 if dtype is np.int16 else 0
    image = np.rint(np.clip(noisy(scene((2, 96, 96)), 10), 0, 255) + offset).astype(dtype)
    assert estimate_noise(image) == pytest.approx(10, rel=0.1)


def test_padding_says_nothing() -> None:
    image = np.zeros((3, 128, 128), np.float32)
    image[:2, :60, :60] = noisy(scene((2, 60, 60)), 10)
    assert estimate_noise(image) == pytest.approx(10, rel=0.1)


def test_a_large_slice_is_one_case() -> None:
    image = noisy(np.zeros((1, 700, 530)), 5)
    assert estimate_noise(image) == pytest.approx(5, rel=0.02)


@pytest.mark.parametrize("shape", [(2, 9, 9), (1, 1, 1), (1, 1, 40), (1, 40, 2)])
def test_nothing_is_found_where_nothing_is(shape: tuple[int, ...]) -> None:
    assert estimate_noise(np.full(shape, 7)) == 0
    if min(shape[1:]) < 3:
        assert estimate_noise(noisy(np.zeros(shape), 5)) == 0


def test_each_channel_has_its_level() -> None:
    image = np.stack([noisy(scene((1, 96, 96)), 4), 100 * noisy(scene((1, 96, 96)), 8), np.full((1, 96, 96), 5.0)])
    told: list[float] = []

    def denoise(channel: NDArray[np.float32], level: float) -> NDArray[np.float32]:
        told.append(level)
        return channel.astype(np.float32) + 1

    result = by_channel(image, "auto", denoise)
    assert told == pytest.approx([4, 800], rel=0.1)
    np.testing.assert_allclose(
        result - image, np.array([1, 1, 0]).reshape(3, 1, 1, 1) + np.zeros_like(image), atol=0.01
    )
    told.clear()
    by_channel(image, 2.5, denoise)
    assert told == [2.5, 2.5, 2.5]
    np.testing.assert_array_equal(by_channel(image, 0.0, denoise), image.astype(np.float32))
    np.testing.assert_array_equal(by_channel(image, 1e-60, denoise), image.astype(np.float32))

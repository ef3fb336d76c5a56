"""Tiles cover a slice once, and what is filtered by tiles has no seams and mirrored borders."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from samtailor.data.steps import tiles as module
from samtailor.data.steps.tiles import filtered, tiles


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SIDE", 16)


@pytest.mark.parametrize("shape", [(2, 3, 33, 16), (1, 1, 1), (1, 5, 50)])
def test_each_pixel_is_in_one_tile(shape: tuple[int, ...]) -> None:
    count = np.zeros(shape, int)
    for tile in tiles(shape):
        assert max(count[tile].shape) <= 16
        count[tile] += 1
    assert (count == 1).all()


def means(tile: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Of squares, without what is around the tile."""
    size = 2 * reach + 1
    windows = np.lib.stride_tricks.sliding_window_view(tile, (size, size))
    return windows.mean((-2, -1))


@pytest.mark.parametrize("shape", [(2, 1, 40, 33), (1, 1, 1, 1), (1, 1, 1, 20), (1, 2, 30, 1), (1, 1, 2, 3)])
@pytest.mark.parametrize("reach", [1, 2, 5])
def test_there_are_no_seams(shape: tuple[int, ...], reach: int) -> None:
    image = np.random.default_rng(0).integers(-500, 500, shape).astype(np.int16)
    expected = uniform_filter(image.astype(np.float64), 2 * reach + 1, mode="reflect", axes=(-2, -1))
    result = filtered(image, reach, partial(means, reach=reach))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-3)

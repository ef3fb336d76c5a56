"""What every denoising promises, and what each does that others do not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from skimage.restoration import denoise_nl_means

from samtailor import kinds
from samtailor.data.steps import STEPS
from samtailor.data.steps import tiles as tiles_module
from samtailor.data.steps.bilateral import BilateralDenoising
from samtailor.data.steps.gaussian import GaussianDenoising
from samtailor.data.steps.median import MedianDenoising
from samtailor.data.steps.nlm import NonLocalMeansDenoising
from samtailor.data.steps.step import PreprocessingStep
from samtailor.errors import ConfigError
from tests.data.steps.scenes import noisy, psnr, scene

DENOISINGS = [GaussianDenoising(), MedianDenoising(), BilateralDenoising(), NonLocalMeansDenoising()]
LEVELLED: list[Any] = [BilateralDenoising, NonLocalMeansDenoising]
each = pytest.mark.parametrize("step", DENOISINGS, ids=lambda step: type(step).__name__)


@each
@pytest.mark.parametrize(
    ("dtype", "factor", "offset"),
    [(np.uint8, 1, 0), (np.int16, 8, -1000), (np.uint16, 200, 0), (np.float32, 1 / 255, 0), (np.float64, 1e4, 1e6)],
)
def test_noise_falls_in_the_images_own_units(
    step: PreprocessingStep, dtype: type, factor: float, offset: float
) -> None:
    truth = scene((2, 2, 64, 64))
    image = noisy(truth, 12) * factor + offset
    image = (np.rint(image) if np.issubdtype(dtype, np.integer) else image).astype(dtype)
    before = image.copy()
    clean = step(image, None)
    assert (clean.shape, clean.dtype) == (image.shape, np.float32)
    np.testing.assert_array_equal(image, before)
    assert psnr((clean - offset) / factor, truth) > psnr((image - offset) / factor, truth) + 3
    assert ((clean - image.astype(np.float64)) / factor).mean() == pytest.approx(0, abs=0.5)


@each
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 1, 1, 30), (1, 2, 30, 1), (1, 1, 2, 2), (4, 2, 5, 7)])
def test_any_shape_works(step: PreprocessingStep, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    clean = step(image, None)
    assert clean.shape == shape
    assert (clean >= image.min()).all()
    assert (clean <= image.max()).all()


@each
@pytest.mark.parametrize("value", [-1000, 0, 3000])
def test_what_is_constant_stays(step: PreprocessingStep, value: int) -> None:
    image = np.full((1, 2, 20, 20), value, np.int16)
    np.testing.assert_allclose(step(image, None), image, rtol=1e-6)


@each
def test_slices_and_channels_do_not_mix(step: PreprocessingStep) -> None:
    image = noisy(scene((2, 3, 40, 40)), 10)
    clean = step(image, None)
    image[1, 2] = 0
    np.testing.assert_array_equal(step(image, None)[0], clean[0])
    assert not step(image, None)[1, 2].any()


@each
def test_a_large_slice_has_no_seams(step: PreprocessingStep, monkeypatch: pytest.MonkeyPatch) -> None:
    image = noisy(scene((1, 1, 70, 50)), 10)
    if "sigma" in vars(step):  # an estimate is that of tiles
        step = replace(step, sigma=10.0)
    whole = step(image, None)
    monkeypatch.setattr(tiles_module, "_SIDE", 32)
    np.testing.assert_allclose(step(image, None), whole, atol=1e-3)


@pytest.mark.parametrize("kind", LEVELLED)
def test_the_level_is_in_the_images_units(kind: Any) -> None:
    image = noisy(scene((1, 1, 64, 64)), 10) * 40 - 1000
    np.testing.assert_array_equal(kind(sigma=0.0)(image, None), image.astype(np.float32))
    given, estimated = kind(sigma=400.0)(image, None), kind()(image, None)
    assert np.abs(given - estimated).mean() < 40
    assert np.abs(kind(sigma=40.0)(image, None) - image).mean() < np.abs(given - image).mean() / 2


@pytest.mark.parametrize("kind", LEVELLED)
def test_edges_stay(kind: Any) -> None:
    truth = scene((1, 1, 64, 64))
    image = noisy(truth, 5)
    assert psnr(kind()(image, None), truth) > psnr(GaussianDenoising()(image, None), truth) + 4


def test_the_median_takes_out_single_pixels_and_no_edge() -> None:
    truth = np.repeat([0, 200], 10)[None, None, None].repeat(20, axis=2).astype(np.uint8)
    image = truth.copy()
    image[..., 4::6, 4::6] = 255
    image[..., 2::6, 3::6] = 0
    np.testing.assert_array_equal(MedianDenoising()(image, None), truth)
    lone = np.zeros((1, 1, 9, 9))
    lone[..., 3:5, 3:6] = 1  # 6 of 9 pixels, of 25 too few
    assert MedianDenoising(radius=1)(lone, None).any()
    assert not MedianDenoising(radius=2)(lone, None).any()


def test_a_wider_neighbourhood_averages_more() -> None:
    image = noisy(np.zeros((1, 1, 64, 64)), 1)
    assert BilateralDenoising(width=3)(image, None).std() < BilateralDenoising(width=1)(image, None).std() / 1.5
    assert BilateralDenoising(tolerance=5)(image, None).std() < BilateralDenoising(tolerance=1)(image, None).std() / 2
    means = NonLocalMeansDenoising
    assert means(search_radius=8)(image, None).std() < means(search_radius=2)(image, None).std() / 1.5
    assert means(strength=1)(image, None).std() < means(strength=0.3)(image, None).std() / 1.5
    assert means(patch_radius=4)(image, None).std() < means(patch_radius=1)(image, None).std() / 1.5


def test_the_bilateral_filter_is_its_formula() -> None:
    """Tomasi and Manduchi's Eq. 7 with both kernels Gaussian, written down literally."""
    image = noisy(scene((1, 1, 15, 15)), 10)
    clean = BilateralDenoising(sigma=10.0, width=1.5, tolerance=2.0)(image, None)
    y, x = np.mgrid[-3:4, -3:4]
    for row, column in [(3, 3), (7, 6), (11, 10)]:
        around = image[0, 0, row - 3 : row + 4, column - 3 : column + 4]
        difference = (around - image[0, 0, row, column]) / (2 * 10)
        weights = np.exp(-(x**2 + y**2) / (2 * 1.5**2) - difference**2 / 2)
        assert clean[0, 0, row, column] == pytest.approx((weights * around).sum() / weights.sum(), rel=1e-5)


def test_non_local_means_are_scikit_images_inside() -> None:
    image = noisy(scene((1, 1, 50, 50)), 10)
    clean = NonLocalMeansDenoising(sigma=10.0, strength=0.7, patch_radius=1, search_radius=4)(image, None)
    expected = denoise_nl_means(image[0, 0], 3, 4, h=7.0, fast_mode=True, sigma=10.0)
    np.testing.assert_allclose(clean[0, 0, 5:-5, 5:-5], expected[5:-5, 5:-5], atol=1e-3)


@each
def test_it_is_saved_with_its_fields(step: PreprocessingStep) -> None:
    content = json.loads(json.dumps(kinds.to_json(step, STEPS)))
    assert set(content) == {"kind", *vars(step)}
    assert kinds.from_json(content, STEPS, "preprocessing") == step


@pytest.mark.parametrize("sigma", [-1.0, "high", float("nan"), None])
@pytest.mark.parametrize("kind", LEVELLED)
def test_a_level_that_is_none_is_refused(kind: Any, sigma: Any) -> None:
    with pytest.raises(ConfigError, match=r"denoise\.sigma: expected a number of at least 0 or 'auto'; found"):
        kind(sigma=sigma)

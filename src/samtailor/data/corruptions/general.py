"""Corruptions of any image; the choice, and most formulas, are those of ImageNet-C.

Hendrycks and Dietterich, Benchmarking neural network robustness, ICLR 2019. Severities are milder than theirs:
a class name survives more than an outline does.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from samtailor.data.corruptions.corruption import Corruption, Image, Plane, normal


class GaussianNoise(Corruption):
    """Independent noise of every pixel and channel; levels are its standard deviation."""

    levels = (0.02, 0.04, 0.07, 0.11, 0.16)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Add it."""
        return plane.image + level * normal(plane.own, *plane.image.shape)


class PoissonNoise(Corruption):
    """Photons are counted; levels are how many fewer than 500 make the top of the range (500 / level)."""

    levels = (1, 2.5, 6, 12, 25)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Count."""
        photons = 500 / level
        counted = plane.own.poisson(plane.signal * photons).astype(np.float32)
        return plane.image + (counted / np.float32(photons) - plane.signal)


class Speckle(Corruption):
    """Noise that grows with the intensity, as of coherent waves; levels are its standard deviation, relative."""

    levels = (0.08, 0.15, 0.25, 0.35, 0.5)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Multiply."""
        return plane.image + level * plane.signal * normal(plane.own, *plane.image.shape)


class SaltAndPepper(Corruption):
    """Pixels of a channel that show its darkest or brightest intensity; levels are their fraction."""

    levels = (0.005, 0.01, 0.025, 0.05, 0.1)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Replace them; half of them each."""
        drawn = plane.own.random(plane.image.shape, dtype=np.float32)
        darkest, brightest = plane.extremes
        result = np.where(drawn < level / 2, darkest, plane.image)
        return np.where(drawn >= 1 - level / 2, brightest, result)


class Blur(Corruption):
    """A lens out of focus; levels are the standard deviation of the Gaussian in pixels."""

    levels = (0.7, 1.1, 1.7, 2.5, 3.5)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Smooth within the slice."""
        from scipy.ndimage import gaussian_filter

        smooth: Image = gaussian_filter(plane.image, (0, level, level))
        return smooth


class Contrast(Corruption):
    """Intensities nearer to the mean of the case; levels are the part of the contrast that is lost."""

    levels = (0.3, 0.45, 0.6, 0.7, 0.8)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Pull them to it."""
        return plane.image + level * (plane.mean - plane.image)


class Jpeg(Corruption):
    """Compression with loss, of eight bits; levels are 50 minus JPEG's quality."""

    levels = (10, 25, 35, 40, 44)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Compress and expand: three channels together, as colours, others one by one."""
        codes = np.rint(np.clip(plane.image, 0, 1) * 255).astype(np.uint8)
        parts = [np.moveaxis(codes, 0, -1)] if len(codes) == 3 else list(codes)
        decoded = [_compressed(part, round(50 - level)) for part in parts]
        result = np.moveaxis(decoded[0], -1, 0) if len(codes) == 3 else np.stack(decoded)
        return plane.image + (result.astype(np.float32) / np.float32(255) - np.clip(plane.image, 0, 1))


def _compressed(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """What JPEG makes of gray levels (H, W) or colours (H, W, 3)."""
    from PIL import Image as Pillow

    content = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels)).save(content, format="JPEG", quality=quality)
    return np.asarray(Pillow.open(content))

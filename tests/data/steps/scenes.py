"""What denoising is tried on: smooth fields with sharp borders between them, and noise over it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def scene(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Intensities from 60 to 190, (..., H, W): a slope, and a disc that is brighter."""
    height, width = shape[-2:]
    y, x = np.mgrid[:height, :width]
    disc = (y - height / 2) ** 2 + (x - width / 3) ** 2 < (min(height, width) / 4) ** 2
    return np.broadcast_to(60 + 30 * x / width + 100 * disc, shape).copy()


def noisy(image: NDArray[np.float64], sigma: float, seed: int = 0) -> NDArray[np.float64]:
    """With Gaussian noise."""
    return image + np.random.default_rng(seed).normal(0, sigma, image.shape)


def psnr(image: NDArray[np.generic], truth: NDArray[np.float64], span: float = 255) -> float:
    """Peak signal-to-noise ratio, in dB."""
    return float(20 * np.log10(span / np.sqrt(np.mean((image - truth) ** 2))))

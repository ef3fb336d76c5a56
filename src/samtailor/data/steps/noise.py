"""How much noise there is: given, or estimated for each channel of a case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from samtailor.data.steps.tiles import tiles
from samtailor.settings import Within

NoiseLevel = Annotated[float, Within(0)] | Literal["auto"]
"""Standard deviation of the noise in the image's own intensities; 'auto' estimates it."""

_PRECISION = float(np.finfo(np.float32).eps)
_MAD = 0.6744897501960817
"""Median of the magnitude of normal noise of standard deviation 1."""


def by_channel(
    image: NDArray[Any], sigma: NoiseLevel, denoise: Callable[[NDArray[Any], float], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Denoise each channel by its own level; one with no more noise than single precision has stays as it is.

    Args:
        image: Intensities of any type, (C, S, H, W).
        sigma: Level of the noise, or 'auto'.
        denoise: Makes a channel, (S, H, W), with noise of a level above zero, one without.

    Returns:
        (C, S, H, W).
    """
    result = np.empty(image.shape, np.float32)
    for channel, clean in zip(image, result, strict=True):
        level = estimate_noise(channel) if sigma == "auto" else float(sigma)
        largest = max(abs(float(channel.min())), abs(float(channel.max())))
        clean[...] = denoise(channel, level) if level > _PRECISION * largest else channel
    return result


def estimate_noise(channel: NDArray[Any]) -> float:
    """Standard deviation of white noise that lies over a channel.

    Of a plane, what is left by second differences along rows and columns, which straight edges and slopes vanish in
    (Immerkaer 1996, https://doi.org/10.1006/cviu.1996.0060), its size taken by the median, which lines and textures
    move little (Donoho and Johnstone 1994, https://doi.org/10.1093/biomet/81.3.425); then the median over all planes,
    cut into tiles where they are large. Where it is exactly zero the plane is constant (padding, saturation) and says
    nothing. Noise whose neighbours are alike, as after resampling or JPEG, is told too small; fine texture counts as
    noise.

    Args:
        channel: Intensities of any type, (S, H, W).

    Returns:
        In the intensities of the channel; 0 where there is no noise, or planes are below three pixels wide.
    """
    levels = []
    for tile in tiles(channel.shape):
        plane = channel[tile].astype(np.float64)  # differences of unsigned integers would wrap
        details = np.abs(np.diff(np.diff(plane, 2, axis=0), 2, axis=1)) / 6  # 6 is the norm of the mask
        if (details := details[details > 0]).size:
            levels.append(np.median(details) / _MAD)
    return float(np.median(levels)) if levels else 0.0

"""Denoising by the bilateral filter."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.steps.noise import NoiseLevel, by_channel
from samtailor.data.steps.step import PreprocessingStep
from samtailor.data.steps.tiles import filtered
from samtailor.settings import Within


@dataclass(frozen=True)
class BilateralDenoising(PreprocessingStep):
    """Averages each pixel with neighbours of about its intensity (Tomasi and Manduchi 1998).

    The defaults lie where Zhang and Gunturk (2008, https://doi.org/10.1109/TIP.2008.2006658) find the best ones.

    Attributes:
        sigma: Standard deviation of the noise, in the image's intensities; 'auto' estimates it for each case.
        width: Standard deviation of the neighbourhood, in pixels.
        tolerance: Difference of intensities at which a neighbour counts less, as a multiple of the noise.
    """

    sigma: NoiseLevel = "auto"
    width: Annotated[float, Within(0.1, 10)] = 1.8
    tolerance: Annotated[float, Within(0.1, 100)] = 2.5

    def __call__(self, image: NDArray[Any], spacing: tuple[float, float, float] | None) -> NDArray[np.float32]:
        """The denoised image, (C, S, H, W)."""
        return by_channel(image, self.sigma, self._channel)

    def _channel(self, channel: NDArray[Any], noise: float) -> NDArray[np.float32]:
        reach = math.ceil(2 * self.width)
        averages = partial(_averages, reach=reach, width=self.width, tolerance=self.tolerance * noise)
        return filtered(channel, reach, averages)


# Not scikit-image's: its result changes where a constant is added to the image, and takes intensities in [-1, 1] only.
def _averages(tile: NDArray[np.float32], reach: int, width: float, tolerance: float) -> NDArray[np.float32]:
    """Of a tile with `reach` pixels around it, the tile."""
    height, length = (side - 2 * reach for side in tile.shape)
    middle = tile[reach : reach + height, reach : reach + length]
    total, weights = np.zeros_like(middle), np.zeros_like(middle)
    for y, x in itertools.product(range(2 * reach + 1), repeat=2):
        difference = tile[y : y + height, x : x + length] - middle
        distance = ((y - reach) ** 2 + (x - reach) ** 2) / width**2
        weight = np.exp(-0.5 * ((difference / np.float32(tolerance)) ** 2 + np.float32(distance)))
        total += weight * difference
        weights += weight
    return middle + total / weights

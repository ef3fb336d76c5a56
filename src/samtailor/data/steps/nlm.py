"""Denoising by non-local means."""

from __future__ import annotations

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
class NonLocalMeansDenoising(PreprocessingStep):
    """Averages each pixel with those whose surroundings look alike (Buades et al. 2005).

    Attributes:
        sigma: Standard deviation of the noise, in the image's intensities; 'auto' estimates it for each case.
        strength: Difference of surroundings at which a pixel counts less, as a multiple of the noise.
        patch_radius: Pixels to each side of a pixel that are compared; 2 is 5 x 5.
        search_radius: Pixels to each side of a pixel among which similar ones are sought.
    """

    sigma: NoiseLevel = "auto"
    strength: Annotated[float, Within(0.1, 10)] = 0.8
    patch_radius: Annotated[int, Within(1, 15)] = 2
    search_radius: Annotated[int, Within(1, 50)] = 6

    def __call__(self, image: NDArray[Any], spacing: tuple[float, float, float] | None) -> NDArray[np.float32]:
        """The denoised image, (C, S, H, W)."""
        return by_channel(image, self.sigma, self._channel)

    def _channel(self, channel: NDArray[Any], noise: float) -> NDArray[np.float32]:
        reach = self.patch_radius + self.search_radius
        return filtered(channel, reach, partial(self._tile, reach=reach, noise=noise))

    def _tile(self, tile: NDArray[np.float32], reach: int, noise: float) -> NDArray[np.float32]:
        from skimage.restoration import denoise_nl_means

        size, strength = 2 * self.patch_radius + 1, self.strength * noise
        # In double precision: the fast mode sums squares over the whole tile, of which patches are differences.
        clean = denoise_nl_means(tile.astype(np.float64), size, self.search_radius, strength, True, noise)
        return np.asarray(clean[reach:-reach, reach:-reach], np.float32)

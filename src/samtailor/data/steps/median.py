"""Denoising by the median."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.steps.step import PreprocessingStep
from samtailor.data.steps.tiles import filtered
from samtailor.settings import Within


@dataclass(frozen=True)
class MedianDenoising(PreprocessingStep):
    """Takes the median of each pixel's neighbourhood: single wrong pixels vanish, edges stay.

    Attributes:
        radius: Pixels to each side of the square neighbourhood; 1 is 3 x 3.
    """

    radius: Annotated[int, Within(1, 50)] = 1

    def __call__(self, image: NDArray[Any], spacing: tuple[float, float, float] | None) -> NDArray[np.float32]:
        """The denoised image, (C, S, H, W)."""
        return filtered(image, self.radius, partial(_medians, radius=self.radius))


def _medians(tile: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    from scipy.ndimage import median_filter

    medians: NDArray[np.float32] = median_filter(tile, 2 * radius + 1)
    return medians[radius:-radius, radius:-radius]

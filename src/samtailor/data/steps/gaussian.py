"""Gaussian denoising."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.steps.step import PreprocessingStep


@dataclass(frozen=True)
class GaussianDenoising(PreprocessingStep):
    """Smooths each slice with a Gaussian.

    Attributes:
        sigma: Standard deviation in pixels.
    """

    sigma: float = 1.0

    def __call__(self, image: NDArray[Any], spacing: tuple[float, float, float] | None) -> NDArray[np.float32]:
        """The smoothed image, (C, S, H, W)."""
        from scipy.ndimage import gaussian_filter

        smooth: NDArray[np.float32] = gaussian_filter(image, (0, 0, self.sigma, self.sigma), output=np.float32)
        return smooth

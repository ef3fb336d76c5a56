"""Two smooth random masks that differ, for surfaces that no formula describes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def blobs(seed: int, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Truth and prediction."""
    rng = np.random.default_rng(seed)
    field, noise = (ndimage.gaussian_filter(rng.normal(size=shape), 2.5) for _ in range(2))
    truth, prediction = field, field + 0.5 * noise
    return truth > np.quantile(truth, 0.7), prediction > np.quantile(prediction, 0.7)

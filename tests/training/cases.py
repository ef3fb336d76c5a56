"""A cached case made of random numbers, for tests that need no files."""

from __future__ import annotations

import numpy as np

from samtailor.data.cache import CachedCase
from samtailor.labels import LabelSpace


def cached_case(labels: LabelSpace, slices: int = 6, side: int = 40, seed: int = 0) -> CachedCase:
    """Random intensities; a box of the last class in the even slices, nothing in the odd ones."""
    random = np.random.default_rng(seed)
    label = np.zeros((slices, side, side), np.int16)
    label[::2, 10:16, 20:26] = len(labels) - 1
    counts = np.stack([np.bincount(plane.ravel(), minlength=len(labels)) for plane in label])
    image = random.random((slices, 1, side, side)).astype(np.float16)
    return CachedCase(f"case_{seed}", f"key_{seed}", image, label, (5.0, 1.0, 1.0), counts)

"""Gaussian denoising smooths slices, each for itself."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.data.steps.gaussian import GaussianDenoising


def test_slices_and_channels_do_not_mix() -> None:
    image = np.zeros((2, 3, 9, 9), np.float32)
    image[1, 1, 4, 4] = 1
    smooth = GaussianDenoising(1.0)(image, (5.0, 1.0, 1.0))
    assert smooth[1, 1, 4, 3] == pytest.approx(smooth[1, 1, 3, 4])
    assert smooth[1, 1, 3, 4] > 0.05
    assert smooth[1, 1].sum() > 0.99
    assert not np.delete(smooth.reshape(6, 9, 9), 4, axis=0).any()

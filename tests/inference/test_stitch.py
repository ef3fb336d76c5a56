"""Stitching row by row gives what blending whole slices gives, and holds no more than one row of windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing, Window
from samtailor.inference import enlarge
from samtailor.inference.stitch import Stitcher


def blended(windows: list[Window], logits: list[Tensor], height: int, width: int) -> Tensor:
    """Weighted mean of whole windows over a whole slice, (K, H, W), in double precision."""
    total = torch.zeros(len(logits[0]), height, width, dtype=torch.float64)
    weights = torch.zeros(height, width, dtype=torch.float64)
    for window, low in zip(windows, logits, strict=True):
        side = window.side
        distance = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2) / (side / 4)
        profile = torch.exp(-0.5 * distance**2)
        weight = (profile[:, None] * profile)[: height - window.y, : width - window.x]
        large = F.interpolate(low[None].double(), (side, side), mode="bilinear", antialias=True)[0]
        rows, columns = weight.shape
        place = (slice(window.y, window.y + rows), slice(window.x, window.x + columns))
        total[:, *place] += large[:, :rows, :columns] * weight
        weights[place] += weight
    return total / weights


def stitched(windows: list[Window], logits: list[Tensor], height: int, width: int) -> Tensor:
    """The parts that a stitcher gives, put together; bands must come from top to bottom without gap, whole."""
    stitcher = Stitcher(windows, height, width)
    whole = torch.full((len(logits[0]), height, width), torch.nan)
    band, top = slice(0, 0), 0
    for window, low in zip(windows, logits, strict=True):
        for part in stitcher.add(window, low):
            if part.band != band:
                assert (part.band.start, part.columns.start, top) == (band.stop, 0, band.stop)
                band = part.band
            assert whole[:, part.rows, part.columns].isnan().all()
            whole[:, part.rows, part.columns] = part.logits
            if part.columns.stop == width:
                top = part.rows.stop
    assert top == height
    return whole


@pytest.mark.parametrize("seed", range(12))
def test_rows_of_windows_blend_as_whole_slices_do(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    height, width, field, size = (int(rng.integers(*bounds)) for bounds in ((5, 120), (5, 120), (8, 40), (4, 20)))
    monkeypatch.setattr(enlarge, "_PIXELS", int(rng.integers(1, 3000)))
    windows = Preprocessing(Range(), 32, field, 1).windows(height, width, overlap=rng.uniform(0, 0.6))
    logits = [torch.from_numpy(rng.normal(size=(3, size, size)).astype(np.float32)) for _ in windows]
    found = stitched(windows, logits, height, width)
    assert found.shape == (3, height, width)
    torch.testing.assert_close(found.double(), blended(windows, logits, height, width), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(37, 37), (20, 41), (41, 20)])
def test_a_single_window_is_not_blended(height: int, width: int) -> None:
    side = max(height, width)
    logits = torch.randn(3, 8, 8)
    expected = F.interpolate(logits[None], (side, side), mode="bilinear", antialias=True)[0, :, :height, :width]
    torch.testing.assert_close(stitched([Window(0, 0, side)], [logits], height, width), expected, rtol=0, atol=1e-6)


def test_parts_come_as_soon_as_no_window_touches_them() -> None:
    windows = Preprocessing(Range(), 32, 16, 1).windows(100, 30)
    stitcher, seen = Stitcher(windows, 100, 30), np.zeros((100, 30), bool)
    for index, window in enumerate(windows):
        for part in stitcher.add(window, torch.zeros(2, 4, 4)):
            seen[part.rows, part.columns] = True
        touched = np.zeros_like(seen)
        for later in windows[index + 1 :]:
            touched[later.y : later.y + later.side, later.x : later.x + later.side] = True
        np.testing.assert_array_equal(seen, ~touched)

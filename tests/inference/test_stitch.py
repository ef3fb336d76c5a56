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
    """The rows that a stitcher gives, put together; they must come from top to bottom without gap."""
    stitcher = Stitcher(len(windows), height, width)
    parts: list[Tensor] = []
    for window, low in zip(windows, logits, strict=True):
        for y, part in stitcher.add(window, low):
            assert y == sum(known.shape[1] for known in parts)
            parts.append(part)
    assert not stitcher.missing
    return torch.cat(parts, dim=1)


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


def test_rows_come_as_soon_as_no_window_touches_them() -> None:
    windows = Preprocessing(Range(), 32, 16, 1).windows(100, 30)
    stitcher, seen = Stitcher(len(windows), 100, 30), 0
    for window in windows:
        for y, part in stitcher.add(window, torch.zeros(2, 4, 4)):
            seen = y + part.shape[1]
        assert seen >= (100 if not stitcher.missing else window.y)

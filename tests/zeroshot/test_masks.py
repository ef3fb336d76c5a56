"""Small parts of the mask generator: runs, suppression, crops, cleaning, enlarging."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from samtailor.labels import IGNORE
from samtailor.zeroshot.choice import boxes_of, choose_best, drawn_from, middle_of, paint
from samtailor.zeroshot.generator import suppress
from samtailor.zeroshot.image_input import Crop, Taps, Upsampling, crops_of, is_cut
from samtailor.zeroshot.masks import Runs, clean

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_runs_hold_a_mask(share: float) -> None:
    mask = RANDOM.random((23, 31)) < share
    runs = Runs.from_mask(mask)
    assert np.array_equal(runs.to_mask(), mask)
    assert runs.area == mask.sum()
    if mask.any():
        y, x = np.nonzero(mask)
        assert runs.box == (x.min(), y.min(), x.max(), y.max())
    coco = runs.to_coco()["counts"]
    assert sum(coco) == mask.size
    assert sum(coco[1::2]) == mask.sum()
    flat = np.repeat(np.arange(len(coco)) % 2 == 1, coco)
    assert np.array_equal(flat.reshape(31, 23).T, mask)


def test_suppression_keeps_the_best_of_what_overlaps() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [0, 0, 10, 10]], np.float32)
    assert suppress(boxes, np.array([1, 2, 3, 2], np.float32), 0.7).tolist() == [2, 1]
    assert suppress(boxes, np.array([1, 2, 3, 2], np.float32), 1.0).tolist() == [2, 1, 3, 0]
    lines = np.array([[0, 0, 10, 0], [0, 0, 10, 0]], np.float32)
    assert suppress(lines, np.ones(2, np.float32), 0.7).tolist() == [0, 1]  # no area, no overlap


def test_crops_cover_the_image() -> None:
    crops = crops_of((230, 300), 2, 512 / 1500)
    assert [crop.layer for crop in crops] == [0, *[1] * 4, *[2] * 16]
    for layer in (1, 2):
        seen = np.zeros((230, 300), bool)
        for crop in (crop for crop in crops if crop.layer == layer):
            seen[crop.top : crop.bottom, crop.left : crop.right] = True
        assert seen.all()
    assert is_cut((50, 50, 195, 90), Crop(0, 0, 200, 150), (230, 300))
    assert not is_cut((0, 0, 150, 90), Crop(0, 0, 200, 150), (230, 300))  # at the border of the image itself


def test_cleaning_fills_holes_and_removes_islands() -> None:
    mask = np.zeros((30, 30), bool)
    mask[5:20, 5:20] = True
    mask[10, 10] = False
    mask[25, 25] = True
    cleaned, changed = clean(mask, 5)
    assert changed
    assert cleaned[10, 10]
    assert not cleaned[25, 25]
    assert clean(cleaned, 5)[1] is False
    assert clean(mask, 1000)[0].any()  # the largest island stays


@pytest.mark.parametrize("size", [(40, 64), (300, 170)])
def test_enlarging_equals_interpolating_the_whole(size: tuple[int, int]) -> None:
    low = torch.from_numpy(RANDOM.standard_normal((16, 16)).astype(np.float32)) - 1
    low[:, 10:] = -5  # nothing there: it is not computed
    side, taken = 64, (64 * size[0] // max(size), 64 * size[1] // max(size))
    square = F.interpolate(low[None, None], (side, side), mode="bilinear")[..., : taken[0], : taken[1]]
    whole = F.interpolate(square, size, mode="bilinear")[0, 0].numpy()
    rows, columns = (Taps.from_sides([(side, t), (n, n)], 16) for t, n in zip(taken, size, strict=True))
    upsampling = Upsampling(rows, columns, Crop(3, 5, 3 + size[1], 5 + size[0]), (size[0] + 9, size[1] + 9))
    found = upsampling.mask(low.numpy(), 0.0, 0.5, 0.0)
    assert found is not None
    runs, stability = found
    assert np.array_equal(runs.to_mask()[5 : 5 + size[0], 3 : 3 + size[1]], whole > 0)
    assert runs.area == (whole > 0).sum()
    assert stability == pytest.approx((whole > 0.5).sum() / (whole > -0.5).sum())
    assert upsampling.mask(low.numpy(), 0.0, 0.5, 0.99) is None


def test_the_best_mask_counts_known_pixels_only() -> None:
    truth = np.zeros((10, 10), np.int16)
    truth[:, 5:] = 1
    truth[9] = IGNORE
    good, bad = truth == 1, truth == 0
    good[9] = True  # where nothing counts
    choices = choose_best([Runs.from_mask(bad), Runs.from_mask(good)], truth)
    assert choices[1].dsc == 1
    assert choices[0].dsc == 1
    assert IGNORE not in choices
    assert choose_best([], truth)[1].dsc == 0
    assert np.array_equal(paint(choices, (10, 10))[:9], truth[:9])


def test_prompts_lie_in_the_region() -> None:
    region = np.zeros((20, 30), bool)
    region[2:5, 3:9] = True
    region[10:19, 10:25] = True
    assert boxes_of(region).tolist() == [[3, 2, 9, 5], [10, 10, 25, 19]]
    x, y = middle_of(region).astype(int)
    assert y == 14
    assert 14 <= x <= 20
    points = drawn_from(region, 5, (0, 1)).astype(int)
    assert region[points[:, 1], points[:, 0]].all()
    assert len(np.unique(points, axis=0)) == 5
    assert np.array_equal(points, drawn_from(region, 5, (0, 1)))

"""Patches show slices at their own resolution, foreground often enough, and nothing that is not there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.transforms import Compose

from benchmarks.accuracy import patches
from benchmarks.accuracy.patches import Patches
from samtailor.data.cache import CachedCase
from samtailor.labels import IGNORE
from samtailor.training.samples import SliceReference

ZERO, ONE = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)


def slices(height: int, width: int) -> list[SliceReference]:
    """One slice whose pixels are all different, class 1 in its last corner."""
    image = np.arange(1, height * width + 1).reshape(1, 1, height, width).astype(np.float16)
    label = np.zeros((1, height, width), np.int16)
    label[0, -1, -1] = 1
    counts = np.array([[height * width - 1, 1]])
    return [SliceReference(CachedCase("one", "", image, label, None, counts), 0)]


@pytest.fixture
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "_augmentation", lambda flip: Compose([]))


@pytest.mark.usefixtures("unchanged")
def test_patches_are_parts_of_the_slice_and_a_third_has_foreground() -> None:
    (reference,) = source = slices(30, 40)
    images, targets = Patches(source, (4, 6), ZERO, ONE, "none", seed=0).batch(600)
    assert images.shape == (600, 1, 4, 6)
    for image, target in zip(images[:20, 0].int(), targets, strict=False):
        y, x = divmod(int(image[0, 0]) - 1, 40)
        assert torch.equal(image, torch.from_numpy(reference.case.image[0, 0, y : y + 4, x : x + 6]).int())
        assert reference.case.label is not None
        assert torch.equal(target, torch.from_numpy(reference.case.label[0, y : y + 4, x : x + 6]).long())
    share = float((targets == 1).flatten(1).any(dim=1).float().mean())
    assert share == pytest.approx(1 / 3, abs=0.06)


@pytest.mark.usefixtures("unchanged")
def test_beyond_a_slice_nothing_counts() -> None:
    images, targets = Patches(slices(4, 40), (8, 8), 5 * ONE, 2 * ONE, "none", seed=0).batch(3)
    outside = torch.ones(8, dtype=torch.bool)
    outside[2:6] = False
    assert (targets[:, outside] == IGNORE).all()
    assert (targets[:, ~outside] != IGNORE).all()
    assert (images[:, :, outside] == 0).all()  # the mean, once normalised
    value = images[0, 0, 2, 0] * 2 + 5
    assert 1 <= value <= 40


def test_changed_targets_hold_classes_only_and_seeds_repeat() -> None:
    source = slices(16, 16)
    first, again, other = (Patches(source, (16, 16), ZERO, ONE, "none", seed).batch(40) for seed in (0, 0, 1))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert set(first[1].unique().tolist()) == {IGNORE, 0, 1}
    assert first[1].dtype == torch.int64


@pytest.mark.parametrize(("flip", "seen"), [("none", {1}), ("columns", {1, 8}), ("both", {1, 8, 57, 64})])
def test_only_axes_are_flipped_that_may_be(flip: str, seen: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = patches._augmentation(flip)
    flips = Compose([change for change in whole.transforms if type(change).__name__ == "RandFlipd"])
    monkeypatch.setattr(patches, "_augmentation", lambda flip: flips)
    images, _ = Patches(slices(8, 8), (8, 8), ZERO, ONE, flip, seed=0).batch(40)
    assert set(images[:, 0, 0, 0].int().tolist()) == seen

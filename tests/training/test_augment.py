"""Augmentation: what may change, by how much, along which axis, image and target alike."""

import numpy as np
import pytest
import torch

from samtailor.training.augment import Augmentation
from samtailor.training.settings import AugmentConfig

SIZE = 64
STILL = {"flip": "none", "affine": 1.0, "rotate": 0.0, "zoom": 0.0, "shift": 0.0, "intensity": 0.0}
SEEDS = range(60)


def drawn(**settings) -> np.ndarray:
    """For every seed the map from shown to original pixels, (seeds, 2, 3): row and column are ramps in the image."""
    augment = Augmentation(AugmentConfig(**STILL | settings), SIZE)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    ramps = torch.stack([rows, columns, rows]).float() / SIZE
    maps = []
    for seed in SEEDS:
        image, _ = augment(ramps, torch.zeros(SIZE, SIZE, dtype=torch.long), seed)
        shown = image[:2].numpy() * SIZE
        middle = slice(SIZE // 2 - 8, SIZE // 2 + 8)  # far from what reflection fills
        centre = shown[:, middle, middle].mean((1, 2)) - rows[middle, middle].numpy().mean()
        slopes = np.gradient(shown[:, middle, middle], axis=(1, 2))
        maps.append(np.column_stack([*(slope.mean((1, 2)) for slope in slopes), centre]))
    return np.array(maps)


class TestAffine:
    def test_shift_moves_along_both_axes_by_at_most_its_fraction(self):
        shifts = drawn(shift=0.05)[:, :, 2]
        largest = 0.05 * SIZE
        assert np.abs(shifts).max(axis=0) == pytest.approx([largest, largest], rel=0.15)
        assert np.abs(shifts).max() <= largest + 1e-3
        assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.4, "rows and columns move on their own"

    def test_zoom_keeps_the_shape_of_objects(self):
        linear = drawn(zoom=0.15)[:, :, :2]
        np.testing.assert_allclose(linear[:, 0, 0], linear[:, 1, 1], atol=1e-3)
        np.testing.assert_allclose(linear[:, 0, 1], 0, atol=1e-3)
        assert linear[:, 0, 0].min() == pytest.approx(0.85, abs=0.02)
        assert linear[:, 0, 0].max() == pytest.approx(1.15, abs=0.02)

    def test_rotation_is_in_degrees(self):
        linear = drawn(rotate=15.0)[:, :, :2]
        angles = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
        assert 13 < np.abs(angles).max() <= 15.01
        assert angles.min() < -10
        assert angles.max() > 10

    def test_affine_is_the_share_of_images_that_move(self):
        moved = np.abs(drawn(affine=0.25, shift=0.05)[:, :, 2]).max(axis=1) > 1e-3
        assert 0.1 < moved.mean() < 0.4


class TestFlip:
    @pytest.mark.parametrize(
        ("flip", "expected"),
        [
            ("none", {(1, 1)}),
            ("columns", {(1, 1), (1, -1)}),
            ("both", {(1, 1), (1, -1), (-1, 1), (-1, -1)}),
        ],
    )
    def test_axes_that_are_flipped(self, flip, expected):
        linear = drawn(affine=0.0, flip=flip)
        assert {(round(float(m[0, 0])), round(float(m[1, 1]))) for m in linear} == expected

    @pytest.mark.parametrize("open_setting", ["flip", "rotate"])
    def test_auto_must_have_been_resolved(self, open_setting):
        with pytest.raises(ValueError, match=f"augment.{open_setting}"):
            Augmentation(AugmentConfig(**STILL | {open_setting: "auto"}), SIZE)


class TestTarget:
    def test_it_moves_with_the_image_and_classes_are_never_mixed(self):
        augment = Augmentation(
            AugmentConfig(flip="both", affine=1.0, rotate=30.0, zoom=0.2, shift=0.2, intensity=0), SIZE
        )
        target = torch.zeros(SIZE, SIZE, dtype=torch.long)
        target[10:30, 20:50] = 4
        target[12:20, 22:30] = 9
        image = (target.float() / 10).expand(3, -1, -1)
        for seed in SEEDS:
            shown, moved = augment(image, target, seed)
            assert set(moved.unique().tolist()) <= {0, 4, 9}
            off = (shown[0] * 10 - moved).abs() > 2.6  # interpolation blurs the image by less than a pixel
            assert off.float().mean() < 0.02

    def test_a_seed_decides_everything(self):
        augment = Augmentation(AugmentConfig(flip="both", affine=1.0, rotate=15, intensity=1.0), SIZE)
        image, target = torch.rand(3, SIZE, SIZE), torch.randint(0, 3, (SIZE, SIZE))
        first, again, other = (augment(image, target, seed) for seed in (5, 5, 6))
        assert torch.equal(first[0], again[0])
        assert torch.equal(first[1], again[1])
        assert not torch.equal(first[0], other[0])


class TestIntensity:
    def test_it_changes_the_image_alone_and_stays_in_range(self):
        augment = Augmentation(AugmentConfig(**STILL | {"affine": 0.0, "intensity": 1.0}), SIZE)
        image, target = torch.rand(3, SIZE, SIZE).round(), torch.randint(0, 3, (SIZE, SIZE))
        for seed in range(8):
            shown, same = augment(image, target, seed)
            assert torch.equal(same, target)
            assert not torch.allclose(shown, image, atol=0.01)
            assert shown.min() == pytest.approx(0, abs=0.25)
            assert shown.min() >= 0
            assert shown.max() <= 1


def test_each_change_is_drawn_on_its_own():
    """An image that is neither flipped nor moved is as often brighter as any other."""
    augment = Augmentation(AugmentConfig(flip="both", affine=0.5, rotate=15.0, intensity=0.3), 8)
    image, target = torch.rand(3, 8, 8), torch.zeros(8, 8, dtype=torch.long)
    fired = []
    for seed in range(400):
        augment(image, target, seed)
        fired.append([change._do_transform for change in augment._changes.transforms])
    together = np.corrcoef(np.array(fired, float).T)
    assert together.shape == (8, 8)
    assert np.abs(together - np.eye(8)).max() < 0.2


def test_what_is_gray_stays_gray_and_colours_do_not():
    augment = Augmentation(AugmentConfig(flip="none", rotate=0.0, intensity=1.0), 16)
    target = torch.zeros(16, 16, dtype=torch.long)
    gray, _ = augment(torch.rand(1, 16, 16).expand(3, -1, -1), target, 0)
    assert gray.shape == (3, 16, 16)
    assert (gray == gray[:1]).all()
    colours, _ = augment(torch.full((3, 16, 16), 0.5) + torch.tensor([0, 0, 1e-3])[:, None, None], target, 0)
    assert (colours[0] - colours[1]).abs().max() > 0.01

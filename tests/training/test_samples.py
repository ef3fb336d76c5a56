"""Samples: drawn by seed alone, crops find rare classes, image and target move together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from samtailor.data.cache import CachedCase
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing, Window
from samtailor.distributed.world import World
from samtailor.errors import DataError
from samtailor.labels import IGNORE, LabelSpace
from samtailor.training.augment import Augmentation
from samtailor.training.samples import (
    PADDING_CASE,
    PADDING_TARGET,
    Crops,
    EpochSampler,
    SliceReference,
    SliceSamples,
    balancing_weights,
    case_positions,
    choose_slices,
    class_shares,
    pixel_of,
    target_or_padding,
)
from samtailor.training.settings import AugmentConfig, SamplingConfig
from tests.training.cases import cached_case

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))
STILL = Augmentation(AugmentConfig(flip="none", affine=0, rotate=0, intensity=0), 32)
LIVELY = Augmentation(AugmentConfig(flip="both", affine=1, rotate=15, intensity=1), 32)


def samples(field: int | None, augment: Augmentation = STILL, rare: float = 1.0) -> SliceSamples:
    slices = choose_slices([cached_case(LABELS)], empty=0, seed=0)
    return SliceSamples(slices, Preprocessing(Range(), 32, field, 1), augment, Crops(rare))


def test_slices_without_foreground_are_dropped_to_the_set_fraction() -> None:
    cases = [cached_case(LABELS, seed=s) for s in range(4)]
    assert len(choose_slices(cases, empty=0, seed=0)) == 12
    assert len(choose_slices(cases, empty=0.5, seed=0)) == 18
    assert len(choose_slices(cases, empty=9, seed=0)) == 24


def test_an_epoch_depends_on_nothing_but_seed_and_epoch() -> None:
    first, again, other = EpochSampler(10, None, 1), EpochSampler(10, None, 1), EpochSampler(10, None, 2)
    for sampler in (first, again, other):
        sampler.set_epoch(3)
    assert list(first) == list(again) != list(other)
    again.set_epoch(4)
    assert list(first) != list(again)


def test_an_epoch_of_another_length_repeats_or_cuts() -> None:
    for length in (4, 10, 25):
        drawn = [index for index, _ in EpochSampler(10, length, 0)]
        assert len(drawn) == length
        assert max(np.bincount(drawn)) == -(-length // 10)


def test_crops_around_rare_classes_contain_them() -> None:
    dataset = samples(field=16)
    assert all(dataset[i % 3, seed][1].eq(2).any() for i, seed in enumerate(range(40)))


def scattered(target: int = 2) -> SliceReference:
    """A slice with 1600 pixels of liver, four of spleen far away from them, and none of any other class."""
    label = np.zeros((1, 160, 160), np.int16)
    label[0, 10:50, 10:50] = 1
    label[0, 140:142, 140:142] = target
    counts = np.array([[160 * 160 - 1604, 1600, 4]])
    image = np.zeros((1, 1, 160, 160), np.float16)
    return SliceReference(CachedCase("scattered", "", image, label, (1.0, 1.0, 1.0), counts), 0)


def crops(rare: float, count: int = 400, wide: float = 0.0, field: int = 16) -> list[Window]:
    label = np.asarray(scattered().case.label)[0]
    return [Crops(rare, wide).drawn(scattered(), label, field, seed) for seed in range(count)]


def shows(window: Window, name: int) -> bool:
    label = np.asarray(scattered().case.label)[0]
    return bool((label[window.y : window.y + window.side, window.x : window.x + window.side] == name).any())


def test_each_class_of_a_slice_has_an_equal_chance_of_a_crop() -> None:
    windows = crops(rare=1.0)
    shares = [np.mean([shows(window, name) for window in windows]) for name in (1, 2)]
    np.testing.assert_allclose(shares, [0.5, 0.5], atol=0.07)


def test_as_many_crops_as_were_asked_for_are_put_on_a_class() -> None:
    # A crop anywhere shows a part of the large class in one of seven cases.
    for rare in (0.0, 0.3, 0.9):
        share = np.mean([shows(window, 1) or shows(window, 2) for window in crops(rare)])
        by_chance = np.mean([shows(window, 1) or shows(window, 2) for window in crops(0.0)])
        assert share == pytest.approx(rare + (1 - rare) * by_chance, abs=0.07)


def test_as_many_crops_as_were_asked_for_show_twice_the_side() -> None:
    for wide in (0.0, 0.3, 1.0):
        sides = [window.side for window in crops(0.5, wide=wide)]
        assert set(sides) <= {16, 32}
        assert np.mean(np.array(sides) == 32) == pytest.approx(wide, abs=0.07)
    whole = crops(0.5, wide=1.0, field=100)  # of 160 pixels
    assert {(window.y, window.x, window.side) for window in whole} == {(0, 0, 160)}
    assert {window.side for window in crops(0.5, wide=1.0, field=200)} == {200}


def test_of_an_oblong_slice_a_wide_crop_shows_its_longer_side_at_most() -> None:
    flat = scattered()
    label = np.asarray(flat.case.label)[0, :80]  # 80 x 160 pixels
    assert {Crops(0.0, 1.0).drawn(flat, label, 60, seed).side for seed in range(9)} == {120}
    assert {Crops(0.0, 1.0).drawn(flat, label, 100, seed).side for seed in range(9)} == {160}


def test_crops_are_drawn_as_the_settings_say() -> None:
    assert Crops.of(SamplingConfig(rare=0.3, wide=0.4)) == Crops(rare=0.3, wide=0.4)


def test_wide_crops_lie_on_classes_as_others_do() -> None:
    windows = crops(rare=1.0, wide=1.0)
    shares = [np.mean([shows(window, name) for window in windows]) for name in (1, 2)]
    np.testing.assert_allclose(shares, [0.5, 0.5], atol=0.07)


def test_a_wide_crop_is_seen_at_half_its_size() -> None:
    dataset = SliceSamples([scattered()], Preprocessing(Range(), 16, 16, 1), STILL, Crops(1.0, 1.0))
    image, target = dataset[0, 3]
    window = crops(1.0, 4, wide=1.0)[3]
    assert window.side == 32
    assert image.shape[-1] == target.shape[-1] == 16
    label = np.asarray(scattered().case.label)[0, window.y : window.y + 32, window.x : window.x + 32]
    assert (target[0] == 1).sum() == pytest.approx((label == 1).sum() / 4, rel=0.15)


def test_what_a_crop_is_put_on_is_not_always_in_its_middle() -> None:
    windows = [window for window in crops(rare=1.0) if shows(window, 2)]
    offsets = np.array([(140 - window.y, 140 - window.x) for window in windows])
    assert (offsets.min(axis=0) < 6).all()
    assert (offsets.max(axis=0) > 10).all()
    assert (offsets >= -1).all()
    assert (offsets < 16).all()


@pytest.mark.parametrize(("index", "group"), [(0, [0, 0, 1]), (2, [1, 2, 3]), (5, [4, 5, 5])])
def test_the_drawn_slice_is_in_the_middle_of_its_group(index: int, group: list[int]) -> None:
    case = cached_case(LABELS)
    label = np.arange(6, dtype=np.int16)[:, None, None].repeat(40, 1).repeat(40, 2) % 3
    case = replace(case, label=label)
    preprocessing = Preprocessing(Range(), 40, None, 1)
    dataset = SliceSamples([SliceReference(case, index)], preprocessing, STILL, Crops(0.0), group=3)
    images, targets = dataset[0, 7]
    assert [int(target[0, 0]) for target in targets] == [i % 3 for i in group]
    for image, i in zip(images, group, strict=True):
        torch.testing.assert_close(image[0], torch.from_numpy(case.image[i, 0].astype(np.float32)))


def test_each_slice_of_a_sample_comes_with_its_neighbours() -> None:
    case = replace(cached_case(LABELS), label=np.ones((6, 40, 40), np.int16))
    dataset = SliceSamples(
        [SliceReference(case, 2)], Preprocessing(Range(), 40, None, 1, neighbours=True), STILL, Crops(0.0)
    )
    image = dataset[0, 7][0][0]
    torch.testing.assert_close(image, torch.from_numpy(case.image[1:4, 0].astype(np.float32)))


def test_slices_of_a_group_move_together() -> None:
    case = cached_case(LABELS)
    same = replace(case, image=case.image[:1].repeat(6, 0), label=np.asarray(case.label)[:1].repeat(6, 0))
    preprocessing = Preprocessing(Range(), 32, 24, 1)
    dataset = SliceSamples([SliceReference(same, 2)], preprocessing, LIVELY, Crops(1.0), group=3)
    images, targets = dataset[0, 7]
    assert torch.equal(images[0], images[1])
    assert torch.equal(targets[0], targets[2])


def test_targets_are_those_of_the_nearest_pixels() -> None:
    label = np.array([[1, 2, 0], [2, 1, 2], [0, 0, 2]], np.int16)
    for size, expected in (
        (6, label.repeat(2, 0).repeat(2, 1)),
        (3, label),
        (2, label[::2, ::2]),  # the middles of the halves lie in the first and the last third
    ):
        target = Preprocessing(Range(), size, None, 1).target_of(label, Window(0, 0, 3))
        np.testing.assert_array_equal(target, expected)


def test_a_small_field_enlarges() -> None:
    whole, enlarged = samples(field=None), samples(field=16)
    assert enlarged[0, 3][1].eq(2).sum() > 2 * whole[0, 3][1].eq(2).sum()


def test_the_same_draw_gives_the_same_sample() -> None:
    first, second = (samples(field=16, augment=LIVELY)[1, 42] for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_image_and_target_move_together() -> None:
    # The label itself as the image: wherever it moves, it must still be the target.
    target = torch.zeros(32, 32, dtype=torch.long)
    target[4:14, 6:20] = 1
    for seed in range(20):
        moving = Augmentation(AugmentConfig(flip="both", affine=1, rotate=15, intensity=0), 32)
        image, moved = moving(target.float().expand(3, -1, -1), target, seed)
        assert (image[0].round().long() == moved).float().mean() > 0.95


def test_augmented_images_stay_in_range() -> None:
    image, _ = LIVELY(torch.rand(3, 32, 32), torch.zeros(32, 32, dtype=torch.long), 0)
    assert image.min() >= 0
    assert image.max() <= 1


def test_windows_cover_every_pixel() -> None:
    preprocessing = Preprocessing(Range(), 32, 24, 1)
    for height, width in ((24, 24), (20, 70), (25, 24), (100, 37)):
        covered = np.zeros((height, width), bool)
        for window in preprocessing.windows(height, width):
            covered[window.y : window.y + window.side, window.x : window.x + window.side] = True
        assert covered.all()


def test_beyond_the_border_there_is_black_and_nothing_to_learn() -> None:
    preprocessing = Preprocessing(Range(), 16, None, 1)
    image = preprocessing.input_of(np.ones((1, 8, 16), np.float16), Window(0, 0, 16))
    target = preprocessing.target_of(np.ones((8, 16), np.int16), Window(0, 0, 16))
    assert image[:, 8:].abs().max() == 0
    assert (target[8:] == IGNORE).all()
    assert (target[:8] == 1).all()


def test_rare_classes_weigh_more_but_not_without_bound() -> None:
    weights = balancing_weights(np.array([0.9, 0.1, 1e-6, 0.0]))
    np.testing.assert_allclose(weights, [1, 3, 50, 50], rtol=1e-4)


def test_shares_count_the_chosen_slices() -> None:
    shares = class_shares(choose_slices([cached_case(LABELS)], empty=0, seed=0))
    np.testing.assert_allclose(shares, [1 - 36 / 1600, 0, 36 / 1600])


def test_shares_have_an_entry_for_each_class_of_one_slice() -> None:
    case = cached_case(LABELS)
    assert class_shares([SliceReference(case, 1)]).tolist() == [1, 0, 0]
    assert class_shares([SliceReference(replace(case, counts=case.counts * 0), 0)]).tolist() == [0, 0, 0]


@pytest.mark.parametrize("label", [0, IGNORE])
def test_cases_without_foreground_are_nothing_to_train_on(label: int) -> None:
    case = cached_case(LABELS)
    bare = replace(case, counts=case.counts * [1 + label, 0, 0])
    with pytest.raises(DataError, match=r"expected labelled pixels of a class other than the background.* in case_0"):
        choose_slices([bare, bare], empty=1, seed=0)
    assert len(choose_slices([bare, case], empty=0, seed=0)) == 3


def test_crops_of_a_scene_are_centred_on_pixels_of_every_class() -> None:
    label = np.zeros((2100, 2100), np.int16)  # more pixels than are listed
    label[:1000, :300] = 1
    label[1777, 1234] = 2  # never drawn by chance: found by a look at all
    random = np.random.default_rng(0)
    assert [label[tuple(pixel_of(label, wanted, random))] for wanted in (1, 1, 2)] == [1, 1, 2]


@pytest.mark.parametrize(("size", "per_epoch"), [(2, 8), (2, 7), (4, 5)])
def test_processes_share_every_batch_of_the_epoch(size: int, per_epoch: int) -> None:
    whole = EpochSampler(10, per_epoch, seed=3)
    parts = [EpochSampler(10, per_epoch, 3, 4, World(rank, size)) for rank in range(size)]
    for sampler in (whole, *parts):
        sampler.set_epoch(2)
    shares = [list(part) for part in parts]
    assert {len(share) for share in shares} == {len(part) for part in parts}
    each = 4 // size
    batches = [[drawn for share in shares for drawn in share[i : i + each]] for i in range(0, len(shares[0]), each)]
    together = [drawn for batch in batches for drawn in batch]
    assert together[:per_epoch] == list(whole)
    assert all(seed < 0 for _, seed in together[per_epoch:])


def test_padding_counts_nowhere() -> None:
    assert (target_or_padding(torch.ones(2, 3), (0, -1)) == PADDING_TARGET).all()
    assert (target_or_padding(torch.ones(2, 3), (0, 5)) == 1).all()


@pytest.mark.parametrize("cases", [1, 2, 5])
def test_processes_validate_each_case_once_in_as_many_steps(cases: int) -> None:
    shares = [case_positions(cases, World(rank, 2)) for rank in range(2)]
    assert len(shares[0]) == len(shares[1])
    assert sorted(p for share in shares for p in share if p != PADDING_CASE) == list(range(cases))
    assert case_positions(cases, World()) == list(range(cases))

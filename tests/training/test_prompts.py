"""Prompts drawn from the truth point at the object; outline prompts teach the second pass."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from samtailor.labels import IGNORE
from samtailor.losses import ClassAwareLoss
from samtailor.models.class_aware import ClassAwareSam
from samtailor.models.zoo import Base, load_base
from samtailor.training import prompts
from samtailor.training.prompts import (
    JITTER,
    disturbed,
    draw_outline_prompts,
    draw_prompt,
    outlined,
    prompted_loss,
)
from tests.models.test_class_aware import with_sam_s_own_tokens


def test_points_lie_on_the_object_and_boxes_around_it() -> None:
    mask = torch.zeros(40, 40, dtype=torch.bool)
    mask[10:20, 5:9] = True
    random = torch.Generator().manual_seed(0)
    prompts = [draw_prompt(mask, random) for _ in range(40)]
    points = [p for p in prompts if p.points is not None]
    boxes = [p.boxes for p in prompts if p.boxes is not None]
    assert points
    assert boxes
    for prompt in points:
        assert prompt.points is not None
        x, y = prompt.points[0].long().T
        assert mask[y, x].all()
    moved = torch.stack([(box[0] - torch.tensor([5.0, 10.0, 9.0, 20.0])).abs() for box in boxes]).amax(0)
    assert (moved <= JITTER * torch.tensor([4.0, 10.0, 4.0, 10.0])).all()  # a side by the length across it
    assert (moved > 0.5 * JITTER * torch.tensor([4.0, 10.0, 4.0, 10.0])).all()


def test_the_single_mask_learns_to_follow_prompts(any_base: Base) -> None:
    random = torch.Generator().manual_seed(0)
    network = ClassAwareSam(load_base(any_base.name), 3)
    target = torch.zeros(64, 64, dtype=torch.int64)
    target[16:48, 8:40] = 2
    with torch.no_grad():
        features = network.encode((target == 2).float().expand(1, 3, -1, -1))
    optimizer = torch.optim.Adam(network.mask_decoder.parameters(), lr=1e-3)
    losses = []
    for _ in range(100):
        loss = prompted_loss(network, features, target, 3, random)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_nothing_is_learned_where_nothing_is_labelled(tiny_base: Base) -> None:
    network = ClassAwareSam(load_base(tiny_base.name), 3)
    features = network.encode(torch.rand(1, 3, 32, 32))
    loss = prompted_loss(network, features, torch.full((32, 32), -1), 3, torch.Generator())
    assert loss.item() == 0.0
    loss.backward()


def test_the_loss_is_cross_entropy_plus_dice_of_what_is_labelled(
    tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = ClassAwareSam(load_base(tiny_base.name), 3)
    target = torch.zeros(32, 32, dtype=torch.int64)
    target[4:20, 6:30] = 2
    target[:, 28:] = IGNORE
    score = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(network, "decode_prompted", lambda features, prompts: score[None])
    features = (torch.zeros(1, 8, 8, 8),)
    loss = prompted_loss(network, features, target, 3, torch.Generator())
    known = target != IGNORE
    chance, truth = score[known].sigmoid(), (target[known] == 2).float()
    cross_entropy = -(truth * chance.log() + (1 - truth) * (1 - chance).log()).mean()
    dice = 1 - 2 * (chance * truth).sum() / (chance.sum() + truth.sum())
    assert loss.item() == pytest.approx((cross_entropy + dice).item(), rel=1e-5)


def test_the_second_pass_learns_to_draw_objects_again(any_base: Base) -> None:
    random = torch.Generator().manual_seed(0)
    network = with_sam_s_own_tokens(load_base(any_base.name))
    target = torch.zeros(1, 64, 64, dtype=torch.int64)
    target[:, 16:48, 8:40] = 2
    with torch.no_grad():
        features = network.encode((target == 2).float().expand(1, 3, -1, -1))
        logits = network.decode(features)
    loss_of = ClassAwareLoss()
    optimizer = torch.optim.Adam(network.mask_decoder.parameters(), lr=1e-3)
    losses = []
    for _ in range(300):
        loss = loss_of(outlined(network, features, logits, target, random), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.75 * sum(losses[:10])


def test_a_poor_label_gives_way_to_a_disturbed_truth(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    network = ClassAwareSam(load_base(tiny_base.name), 3)
    labels: list[np.ndarray] = []
    monkeypatch.setattr(prompts, "parts_by_size", lambda label, *_: labels.append(label) or [])
    target = torch.zeros(2, 64, 64, dtype=torch.int64)
    target[:, 16:48, 8:40] = 2
    scores = 9.0 * F.one_hot(target, 3).permute(0, 3, 1, 2)
    scores[0, 1] = 20.0  # the first image's label is wrong, the second's right
    outlined(network, network.encode(torch.rand(2, 3, 64, 64)), scores, target, torch.Generator().manual_seed(1))
    assert set(np.unique(labels[0])) == {0, 2}
    assert 0.02 < np.mean(labels[0] != target[0].numpy()) < 0.3
    assert np.array_equal(labels[1], target[1].numpy())


def test_disturbing_bends_outlines_and_depends_on_the_seed_alone() -> None:
    label = torch.zeros(64, 64, dtype=torch.int64)
    label[16:48, 8:40] = 2
    first, again, other = (disturbed(label, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert set(first.unique().tolist()) == {0, 2}
    assert 0 < (first != label).float().mean() < 0.2


def test_prompts_of_all_kinds_are_drawn() -> None:
    random = torch.Generator().manual_seed(0)
    drawn = [draw_outline_prompts(random) for _ in range(200)]
    assert {one.points for one in drawn} == {0, 4, 8, 16, 32}
    assert {(one.points > 0, one.box, one.mask) for one in drawn} == set(product((False, True), repeat=3)) - {
        (False, False, False)
    }
    assert all(one.box or one.points or one.mask for one in drawn)

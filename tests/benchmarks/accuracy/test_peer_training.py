"""Peers learn, end in time, and are what was saved."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.accuracy import peer_training
from benchmarks.accuracy.peer_training import Fitted, fit, supervised
from benchmarks.accuracy.peers import DYNUNET_HALF, SEGFORMER, UNET, Peer
from samtailor.data.cache import CachedCase
from samtailor.losses import ClassAwareLoss
from tests import generate


def cases(number: int) -> list[CachedCase]:
    """Pictures (32 x 40) with a box of each of two classes."""
    found = []
    for index in range(number):
        pixels, ids = generate.picture((32, 40), index)
        label = ids[None].astype(np.int16)
        counts = np.bincount(ids.reshape(-1), minlength=3)[None]
        image = (pixels / 255).transpose(2, 0, 1)[None].astype(np.float16)
        found.append(CachedCase(f"case_{index}", "", image, label, None, counts))
    return found


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock by which each step takes a second, however busy the machine is."""
    monkeypatch.setattr(peer_training, "time", SimpleNamespace(monotonic=count(start=100).__next__))


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize(("peer", "seconds"), [(DYNUNET_HALF, 80), (UNET, 60), (SEGFORMER, 60)])
def test_a_peer_learns_and_is_saved(peer: Peer, seconds: int, tmp_path: Path) -> None:
    *train, unseen = cases(9)
    fitted, facts = fit(peer, train, 3, "none", 0, 100 + seconds, "cpu")
    assert facts["steps"] == seconds - 2  # one second to save, and no step that would end after it
    assert facts["samples"] == peer.batch * facts["steps"]
    assert facts["loss"][1] < 0.7 * facts["loss"][0]
    label = fitted.label(unseen.image)
    assert unseen.label is not None
    assert (label == unseen.label).mean() > 0.9
    assert (label == unseen.label)[unseen.label > 0].mean() > 0.5
    fitted.save(tmp_path / "weights.pt")
    again = Fitted.load(tmp_path / "weights.pt", peer, "cpu")
    assert np.array_equal(again.label(unseen.image), label)


def test_a_deadline_is_kept() -> None:
    begin = time.monotonic()
    fit(DYNUNET_HALF, cases(2), 3, "none", 0, begin + 4, "cpu")
    assert 1.5 < time.monotonic() - begin < 4


@pytest.mark.usefixtures("steps")
def test_the_rate_goes_by_the_time_that_has_passed() -> None:
    shares: list[float] = []

    def rate(share: float) -> float:
        shares.append(share)
        return 1 - share

    fit(replace(DYNUNET_HALF, rate=rate), cases(2), 3, "none", 0, 110, "cpu")
    assert shares == pytest.approx([step / 10 for step in range(8)])


def test_the_same_seed_begins_with_the_same_loss() -> None:
    losses = [fit(DYNUNET_HALF, cases(2), 3, "none", seed, time.monotonic(), "cpu")[1] for seed in (0, 0, 1)]
    assert [facts["steps"] for facts in losses] == [1, 1, 1]
    assert losses[0]["loss"] == losses[1]["loss"] != losses[2]["loss"]


def test_coarser_stages_weigh_half_as_much() -> None:
    loss_of = ClassAwareLoss(1.0, 1.0)
    logits, target = torch.randn(2, 3, 4, 8, 8), torch.randint(0, 4, (2, 8, 8))
    one, two, three = (loss_of(logits[:, stage], target) for stage in range(3))
    torch.testing.assert_close(supervised(loss_of, logits, target), (4 * one + 2 * two + three) / 7)
    torch.testing.assert_close(supervised(loss_of, logits[:, 0], target), one)


def test_windows_cover_what_is_larger_than_a_patch() -> None:
    class Threshold(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(1.0))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert images.shape[2:] == (16, 16)
            return torch.cat([torch.zeros_like(images), self.weight * images], dim=1)

    image = np.random.default_rng(0).random((2, 1, 40, 12)).astype(np.float16)
    mean, std = torch.full((1, 1, 1), 0.5), torch.full((1, 1, 1), 0.2)
    label = Fitted(Threshold(), (16, 16), mean, std, 2).label(image)
    assert np.array_equal(label, image[:, 0] > 0.5)

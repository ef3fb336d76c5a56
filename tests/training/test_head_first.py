"""The head first, on embeddings that are computed once, then the encoder: one run, one schedule, one resume."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from samtailor.errors import ConfigError
from samtailor.models.zoo import Base
from samtailor.training.samples import EpochSampler
from samtailor.training.settings import OptimConfig
from samtailor.training.task import SegmentationTask
from samtailor.training.train import train
from tests.training.configs import changed
from tests.training.test_train import config_of, rows_of

RECIPES: list[dict[str, Any]] = [
    {"recipe": "lora"},
    {"recipe": "adapter", "depth": True},
    {"recipe": "full"},
    {"recipe": "lora", "prompts": "outline"},
]


def is_encoder(name: str) -> bool:
    return name.startswith("image_encoder.")


@pytest.mark.parametrize("settings", RECIPES, ids=str)
def test_the_encoder_rests_while_the_head_is_trained_and_then_learns(
    settings: dict[str, Any], any_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[dict[str, Tensor]] = []
    begin = SegmentationTask.on_train_epoch_start

    def remember(task: SegmentationTask) -> None:
        begin(task)
        states.append({name: value.clone() for name, value in task.model.trained_state().items()})

    monkeypatch.setattr(SegmentationTask, "on_train_epoch_start", remember)
    monkeypatch.setenv("SAMTAILOR_HOME", str(tmp_path / "home"))  # no other recipe's embeddings are found
    config = config_of(nnunet_folder, tmp_path / "run", epochs=3)
    config = changed(config, base=any_base.name, head_epochs=2, **settings)
    run = train(**vars(changed(config, sampling=type(config.sampling)(64, None, per_epoch=4))))
    moved = [
        {name for name in before if not torch.equal(before[name], after[name])} for before, after in pairwise(states)
    ]
    assert all(names and not any(map(is_encoder, names)) for names in moved)
    last = torch.load(run.last_checkpoint, weights_only=True)["state_dict"]
    assert any(is_encoder(name) and not torch.equal(states[2][name], last[name]) for name in last)
    assert len(rows_of(run)) == 3


def test_what_is_kept_is_what_the_network_gives_at_the_start(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    step = SegmentationTask.training_step

    def compare(task: SegmentationTask, batch: Any, index: int) -> Tensor:
        (embedding,), _ = batch
        images = [
            task.model.preprocessing.input_of(case.image[piece.slice], piece.window)
            for case, piece, _, _ in task.trainer.train_dataloader.dataset.second.rows
        ]
        fresh = task.model.network.image_encoder(task.model.normalised(torch.stack(images))).last_hidden_state
        distance = (fresh[None] - embedding[:, None]).abs().flatten(2).amax(dim=2)
        seen.append(distance.amin(dim=1).max().detach())
        return step(task, batch, index)

    config = changed(config_of(nnunet_folder, tmp_path / "run"), head_epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", compare)
        patch.setattr(SegmentationTask, "on_train_epoch_end", lambda task: patch.undo(), raising=False)
        train(**vars(config))
    assert seen
    assert max(seen) < 1e-2  # half precision


def test_no_augmented_sample_is_drawn_while_the_encoder_rests() -> None:
    sampler = EpochSampler(10, 6, seed=3, first=(2, 4))
    drawn = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        drawn.append([index for index, _ in sampler])
        assert len(drawn[-1]) == len(sampler) == 6
    assert set(drawn[0]) | set(drawn[1]) == {10, 11, 12, 13}
    assert set(drawn[2]) < set(range(10))
    plain = EpochSampler(10, 6, seed=3)
    plain.set_epoch(2)
    assert [index for index, _ in plain] == drawn[2]


def test_the_rate_stays_at_its_peak_and_falls_with_the_encoder_s_epochs(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    config = config_of(nnunet_folder, tmp_path / "run", epochs=4)
    config = changed(config, head_epochs=2, optim=OptimConfig(lr=1e-3, warmup=0, power=1.0))
    run = train(**vars(changed(config, sampling=type(config.sampling)(32, None, per_epoch=8))))  # two steps an epoch
    # The rate of the step that would follow the epoch.
    assert [row["lr"] for row in run.history()] == pytest.approx([1e-3, 1e-3, 5e-4, 0.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "head-only"}, "head_epochs: expected a recipe that adapts the encoder, found head-only"),
        ({"epochs": 2, "head_epochs": 2}, "head_epochs: expected fewer than the 2 epochs, found 2; .* --recipe head-o"),
        ({"head_epochs": -1}, "head_epochs: expected a whole number from 0"),
    ],
)
def test_a_beginning_that_cannot_be_is_refused(
    settings: dict[str, Any], message: str, tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(**vars(changed(config_of(nnunet_folder, tmp_path / "run"), **{"head_epochs": 1, **settings})))
    assert not (tmp_path / "run").exists()

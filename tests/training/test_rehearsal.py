"""A training that was rehearsed is the training that it would have been."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

import samtailor.training.progress_line as progress_line
from samtailor.models.zoo import Base
from samtailor.training.clock import Pace
from samtailor.training.rehearsal import rehearse
from samtailor.training.settings import OptimConfig
from samtailor.training.task import SegmentationTask
from samtailor.training.train import train
from tests.training.configs import changed
from tests.training.test_train import config_of, rows_of

SETTINGS: list[dict[str, Any]] = [
    {"prompt_fraction": 0.5, "workers": 1, "optim": OptimConfig(lr=1e-3, accumulate=2, ema=0.9)},
    {"recipe": "full", "head_epochs": 1},
    {"recipe": "head-only", "prompts": "outline"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_rehearsal_changes_nothing(
    settings: dict[str, Any], tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(config_of(nnunet_folder, tmp_path / "with", epochs=2), **settings)

    def watched(trainer: lightning.Trainer, task: SegmentationTask, samples: Any) -> list[Pace]:
        modes = {name: module.training for name, module in task.named_modules()}
        weights = {name: value.clone() for name, value in task.model.state_dict().items()}
        states = torch.get_rng_state(), random.getstate()
        rests = task.model.network.encoder_rests
        paces = rehearse(trainer, task, samples)
        assert {name: module.training for name, module in task.named_modules()} == modes
        assert all(torch.equal(value, weights[name]) for name, value in task.model.state_dict().items())
        assert torch.equal(torch.get_rng_state(), states[0])
        assert random.getstate() == states[1]
        assert task.model.network.encoder_rests == rests
        assert all(parameter.grad is None for parameter in task.parameters())
        assert len(paces) == len(config.phases())
        assert all(pace.step > 0 and pace.validation > 0 for pace in paces)
        return paces

    monkeypatch.setattr(progress_line, "rehearse", watched)
    rehearsed = train(**vars(config))
    monkeypatch.setattr(progress_line, "rehearse", lambda *_: [])
    plain = train(**vars(changed(config, out=str(tmp_path / "without"))))
    assert rows_of(rehearsed) == rows_of(plain)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (3, 1), (4, 2), (7, 3), (40, 4)])
def test_a_short_training_is_rehearsed_in_fewer_steps(
    epochs: int, steps: int, tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = SegmentationTask.loss_of
    computed: list[int] = []

    class RehearsedError(Exception):
        pass

    def counted(*args: Any) -> Any:
        computed.append(1)
        return compute(*args)

    def watched(*args: Any) -> list[Pace]:
        rehearse(*args)
        raise RehearsedError

    monkeypatch.setattr(SegmentationTask, "loss_of", counted)
    monkeypatch.setattr(progress_line, "rehearse", watched)
    with pytest.raises(RehearsedError):
        train(**vars(config_of(nnunet_folder, tmp_path / "run", epochs=epochs)))  # of three steps each
    assert len(computed) == steps


def test_the_pace_is_that_of_the_network(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute, predict = SegmentationTask.loss_of, SegmentationTask.predict
    found: list[Pace] = []

    def slow_loss(task: SegmentationTask, *args: Any) -> Any:
        time.sleep(0.2)
        return compute(task, *args)

    def slow_prediction(task: SegmentationTask, case: Any, embeddings: Any) -> Any:
        time.sleep(0.05 * len(case.image))
        return predict(task, case, embeddings)

    def watched(*args: Any) -> list[Pace]:
        found.extend(rehearse(*args))
        return found

    monkeypatch.setattr(SegmentationTask, "loss_of", slow_loss)
    monkeypatch.setattr(SegmentationTask, "predict", slow_prediction)
    monkeypatch.setattr(progress_line, "rehearse", watched)
    train(**vars(config_of(nnunet_folder, tmp_path / "run", epochs=1)))
    (pace,) = found
    assert 0.2 < pace.step < 2
    assert 6 * 0.05 < pace.validation < 3  # six slices

"""The average of the weights: by the published rule, what is validated and kept, and nothing besides the trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from samtailor.models.segmenter_model import load_model
from samtailor.models.zoo import Base
from samtailor.training.averaging import WeightAverage
from samtailor.training.settings import OptimConfig
from samtailor.training.task import SegmentationTask
from samtailor.training.train import train
from tests.training.configs import changed
from tests.training.test_train import config_of, rows_of

Weights = dict[str, Tensor]


def copied(weights: Weights) -> Weights:
    return {name: value.clone() for name, value in weights.items()}


def expected_of(steps: list[Weights], ema: float) -> Weights:
    """The averages after all steps, of the weights before the first and after each."""
    average = copied(steps[0])
    for step, weights in enumerate(steps[1:]):
        decay = min(ema, (1 + step) / (10 + step))
        average = {name: decay * average[name] + (1 - decay) * weights[name] for name in average}
    return average


@pytest.mark.parametrize("settings", [{}, {"head_epochs": 1}, {"recipe": "full", "precision": "bf16"}], ids=str)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_average_is_validated_and_kept_and_the_weights_are_trained(
    settings: dict[str, Any],
    accumulate: int,
    tiny_base: Base,
    nnunet_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ema, steps, validated = 0.3, [], []
    moved = WeightAverage.on_train_batch_end
    validate = SegmentationTask.validation_step

    def remember(average: WeightAverage, trainer: Any, task: Any, *rest: Any) -> None:
        moved(average, trainer, task, *rest)
        if trainer.global_step == len(steps):
            steps.append(copied(task.model.trained_state()))

    def look(task: SegmentationTask, index: int) -> None:
        validated.append(copied(task.model.trained_state()))
        validate(task, index)

    begin = SegmentationTask.on_train_epoch_start
    monkeypatch.setattr(
        SegmentationTask,
        "on_train_epoch_start",
        lambda task: (begin(task), steps or steps.append(copied(task.model.trained_state()))),
    )
    monkeypatch.setattr(WeightAverage, "on_train_batch_end", remember)
    monkeypatch.setattr(SegmentationTask, "validation_step", look)
    optim = OptimConfig(lr=1e-2, ema=ema, accumulate=accumulate)
    config = changed(config_of(nnunet_folder, tmp_path / "run", epochs=2), batch_size=2, optim=optim, **settings)
    run = train(**vars(config))
    end = torch.load(run.last_checkpoint, weights_only=True)
    average = expected_of(steps, ema)
    assert len(steps) >= 5
    (kept,) = (state["averages"] for state in end["callbacks"].values() if "averages" in state)
    for name, value in average.items():
        torch.testing.assert_close(kept[name], value)
        torch.testing.assert_close(validated[-1][name], value)
        torch.testing.assert_close(end["state_dict"][name], steps[-1][name])
    assert any(not torch.allclose(average[name], steps[-1][name], atol=1e-4) for name in average)
    best = torch.load(run.best_checkpoint, weights_only=True)
    (of_best,) = (state["averages"] for state in best["callbacks"].values() if "averages" in state)
    segmenter = load_model(run.directory).trained_state()
    assert segmenter.keys() == of_best.keys() == kept.keys()
    assert all(torch.equal(segmenter[name], of_best[name]) for name in segmenter)


def test_averaging_does_not_change_the_training(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    config = config_of(nnunet_folder, tmp_path / "plain")
    plain = train(**vars(config))
    averaged = train(**vars(changed(config, out=str(tmp_path / "average"), optim=OptimConfig(lr=1e-3, ema=0.99))))
    assert [row["loss"] for row in rows_of(plain)] == [row["loss"] for row in rows_of(averaged)]


def test_a_short_training_is_not_held_at_its_start() -> None:
    """A weight that moves by one each step: the average of a long decay follows within a few steps."""
    assert expected_of([{"w": torch.tensor(float(i))} for i in range(21)], 0.999)["w"] > 14

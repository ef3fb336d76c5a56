"""A training whose numbers are no numbers any more ends at once, and leaves what was good."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

import samtailor
from samtailor.cli import main
from samtailor.errors import NotFiniteError
from samtailor.models.segmenter_model import load_model
from samtailor.models.zoo import Base
from samtailor.runs import Run
from samtailor.training.task import SegmentationTask
from samtailor.training.train import train
from tests.training.configs import changed
from tests.training.test_task import task_of
from tests.training.test_train import config_of

STEP = SegmentationTask.training_step
STEPS = 3  # in an epoch


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("settings", [{}, {"recipe": "head-only"}, {"validate_every": 2}], ids=str)
@pytest.mark.parametrize("last", [False, True], ids=["within an epoch", "its last step"])
def test_the_first_step_without_a_number_ends_the_training(
    what: str,
    settings: dict[str, Any],
    last: bool,
    tiny_base: Base,
    nnunet_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = 2 * STEPS if last else 2 * STEPS - 1
    taken: list[int] = []

    def step(task: SegmentationTask, batch: Any, index: int) -> Tensor:
        taken.append(index)
        if len(taken) == bad and what == "loss":
            monkeypatch.setattr(task.loss, "ce", float("nan"))
        loss = STEP(task, batch, index)
        if len(taken) == bad and what == "gradient":
            loss.register_hook(lambda gradient: gradient * float("inf"))
        return loss

    monkeypatch.setattr(SegmentationTask, "training_step", step)
    config = changed(config_of(nnunet_folder, tmp_path / "run", epochs=3), **settings)
    with pytest.raises(NotFiniteError) as error:
        train(**vars(config))
    text = str(error.value)
    assert f"expected a finite {what}, found " in text
    assert f"in step {bad} (epoch 2, peak learning rate 0.001)" in text
    assert "is that of epoch 1. Train again into another --out with a smaller --optim.lr" in text
    assert len(taken) == (bad if what == "loss" or last else bad + 1)
    run = Run(tmp_path / "run")
    assert [row["epoch"] for row in run.history()] == [1]
    assert not run.is_finished()
    assert torch.load(run.last_checkpoint, weights_only=True)["epoch"] == 0
    assert all(value.isfinite().all() for value in load_model(run.directory).trained_state().values())


def test_the_command_line_says_so_in_one_line(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = f"train {nnunet_folder} --out {run} --base tiny-sam --sampling.image_size 32 --device cpu"
    assert main([*words.split(), "--epochs", "2", "--optim.lr", "1e30"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert line.startswith(f"samtailor train: error: {run}: expected a finite")
    assert "no epoch had ended, so there is no segmenter" in line
    assert Run(run).history() == []
    with pytest.raises(samtailor.SamTailorError):
        load_model(run)


def test_a_last_step_that_ruins_the_network_is_seen_in_validation(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ruin(task: SegmentationTask) -> None:
        with torch.no_grad():
            task.model.network.mask_decoder.mask_tokens.weight.fill_(torch.inf)

    monkeypatch.setattr(SegmentationTask, "on_validation_start", ruin)
    with pytest.raises(NotFiniteError, match=r"expected finite scores, found NaN .* no epoch had ended"):
        train(**vars(config_of(nnunet_folder, tmp_path / "run", epochs=1)))
    assert not (tmp_path / "run" / "segmenter").exists()


@pytest.mark.parametrize(("precision", "ends"), [("32-true", True), ("bf16-mixed", True), ("16-mixed", False)])
def test_infinite_gradients_of_half_precision_are_left_to_its_scaler(
    precision: str, ends: bool, tiny_base: Base
) -> None:
    task = task_of(tiny_base, "32")
    task._trainer = cast(Any, SimpleNamespace(precision=precision, global_step=4, current_epoch=1))
    task._gradient_norm = torch.tensor(torch.inf)
    if not ends:
        task.require_finite(torch.tensor(1.0))
        return
    with pytest.raises(NotFiniteError, match=r"expected a finite gradient, found inf in step 4 .epoch 2"):
        task.require_finite(torch.tensor(1.0))

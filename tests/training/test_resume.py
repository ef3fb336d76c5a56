"""A run that was interrupted, wherever, ends as one that was not; a finished one is left as it is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from samtailor.errors import ConfigError
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import load_model
from samtailor.models.zoo import Base
from samtailor.reproduction.cells import Fit
from samtailor.reproduction.definition import Column
from samtailor.runs import Run
from samtailor.training.settings import AugmentConfig, LossConfig, OptimConfig, SamplingConfig, TrainConfig
from samtailor.training.task import SegmentationTask
from samtailor.training.train import resume, train
from tests.training.configs import changed
from tests.training.test_train import config_of, rows_of

STILL = AugmentConfig(flip="none", affine=0, intensity=0)
STEP = SegmentationTask.training_step

CONFIGURATIONS: list[dict[str, Any]] = [
    {"prompt_fraction": 0.5, "workers": 2},
    {"recipe": "head-only", "prompt_fraction": 0.5, "patience": 1},
    {"prompts": "outline", "refine": "outline"},
    {"recipe": "adapter", "depth": True, "workers": 1},
    {"recipe": "full", "precision": "bf16", "validate_every": 2},
    {"dora": True, "checkpointing": True, "batch_size": 2, "optim": OptimConfig(lr=1e-3, accumulate=4)},
    {"last_blocks": 1, "cache_frozen": True, "augment": STILL},
    {"layers": "all", "norms": True, "head_epochs": 1, "checkpointing": True},
    {"fine_features": True, "head_epochs": 1, "loss": LossConfig(coarse=0.5)},
    {"fine_features": True, "last_blocks": 1, "cache_frozen": True, "augment": STILL},
    {"head_epochs": 1, "prompt_fraction": 0.5, "workers": 1},
    {"head_epochs": 1, "optim": OptimConfig(lr=1e-2, ema=0.6, accumulate=2)},
    {"recipe": "adapter", "last_blocks": 1, "cache_frozen": True, "augment": STILL, "head_epochs": 2},
    {"recipe": "head-only", "denoise": "gaussian", "augment": AugmentConfig(corrupt="rician,blur", copies=1)},
    {"loss": LossConfig(class_weights="auto"), "sampling": SamplingConfig(32, 16, per_epoch=10, rare=0.5)},
    {"sampling": SamplingConfig(32, 16, per_epoch=[10, 14, 9]), "workers": 1},
]


def stop_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C in a later training step, once."""
    left = iter(range(steps))

    def step(task: SegmentationTask, batch: Any, index: int) -> Tensor:
        if next(left, None) is None:
            patch.setattr(SegmentationTask, "training_step", STEP)
            raise KeyboardInterrupt
        return STEP(task, batch, index)

    patch.setattr(SegmentationTask, "training_step", step)


@pytest.mark.parametrize("settings", CONFIGURATIONS, ids=str)
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    settings: dict[str, Any], tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(config_of(nnunet_folder, tmp_path / "whole", epochs=3), **settings)
    steps: list[int] = []
    monkeypatch.setattr(SegmentationTask, "training_step", lambda *args: steps.append(1) or STEP(*args))
    whole = train(**vars(config))
    in_an_epoch = len(steps) // len(whole.history())
    assert in_an_epoch >= 3
    part = changed(config, out=str(tmp_path / "part"))
    stop_after(in_an_epoch + 2, monkeypatch)  # in the midst of the second epoch
    with pytest.raises(KeyboardInterrupt, match=r"continue with samtailor train --resume .*part"):
        train(**vars(part))
    assert [row["epoch"] for row in Run(Path(part.out)).history()] == [1]
    torch.manual_seed(99)  # whatever else draws random numbers
    resumed = resume(part.out)
    assert rows_of(resumed) == rows_of(whole)
    state, expected = (load_model(run.directory).trained_state() for run in (resumed, whole))
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    ends = [torch.load(run.last_checkpoint, weights_only=True) for run in (resumed, whole)]
    assert all(torch.equal(ends[0]["state_dict"][name], value) for name, value in ends[1]["state_dict"].items())


def test_a_finished_run_whose_epochs_have_lengths_of_their_own_gets_its_history_back(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    sampling = SamplingConfig(32, None, per_epoch=[8, 4])
    run = train(**vars(changed(config_of(nnunet_folder, tmp_path / "run", epochs=2), sampling=sampling)))
    before = rows_of(run)
    run.history_file.unlink()
    resume(run.directory)
    assert rows_of(run) == before


@pytest.mark.parametrize("is_history_lost", [False, True])
def test_a_run_that_patience_has_ended_trains_no_further(
    is_history_lost: bool,
    tiny_base: Base,
    nnunet_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Nothing is learned, so that no epoch is better than the first.
    config = changed(
        config_of(nnunet_folder, tmp_path / "run", epochs=9), patience=2, optim=OptimConfig(lr=1e-12), augment=STILL
    )
    run = train(**vars(config))
    before = rows_of(run)
    assert len(before) == 3
    assert run.is_finished()
    config, about = TrainConfig.from_plain(run.read_config(), "run"), run.read_dataset()
    cell = Fit(Column("lora-4"), config, about["splits"], LabelSpace.from_json(about["labels"]).names)
    assert cell.state() == "done"
    if is_history_lost:
        run.history_file.unlink()

    def never(*_: object) -> Tensor:
        raise AssertionError("trained again")

    monkeypatch.setattr(SegmentationTask, "training_step", never)
    with caplog.at_level("INFO", "samtailor"):
        resume(run.directory)
    assert rows_of(run) == before
    assert is_history_lost or f"{run.directory} is finished after 3 of at most 9 epochs" in caplog.text


def test_averages_that_a_checkpoint_does_not_have_are_not_made_up(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    run = train(**vars(config_of(nnunet_folder, tmp_path / "run", epochs=1)))
    written = run.read_config()
    run.write_config({**written, "epochs": 2, "optim": {**written["optim"], "ema": 0.9}})
    with pytest.raises(ConfigError, match=r"optim\.ema: expected a checkpoint with averages"):
        resume(run.directory)


def test_the_state_of_another_version_s_optimiser_is_refused(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    run = train(**vars(config_of(nnunet_folder, tmp_path / "run", epochs=1)))
    checkpoint = torch.load(run.last_checkpoint, weights_only=True)
    groups = checkpoint["optimizer_states"][0]["param_groups"]
    groups[0]["params"].append(groups[1]["params"].pop())
    torch.save(checkpoint, run.last_checkpoint)
    run.history_file.unlink()
    with pytest.raises(ConfigError, match="another version of samtailor wrote it"):
        resume(run.directory)


def test_a_run_on_weights_of_one_s_own_goes_on_from_any_folder(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(tiny_base.weights, tmp_path / "mine.pth")
    monkeypatch.chdir(tmp_path)
    run = train(**vars(changed(config_of(nnunet_folder, tmp_path / "run", epochs=1), weights="mine.pth")))
    monkeypatch.chdir("/")
    assert len(resume(run.directory, epochs=2).history()) == 2
    load_model(run.directory)
    relative = {**run.read_config(), "weights": "mine.pth"}  # as older versions wrote it
    run.write_config(relative)
    monkeypatch.chdir(tmp_path)
    assert len(resume(run.directory, epochs=3).history()) == 3

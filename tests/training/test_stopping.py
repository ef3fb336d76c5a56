"""A run that is stopped within an epoch goes on there, and ends as one that was not; so does one that was killed."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import samtailor.training.stopping as stopping
from samtailor.models.segmenter_model import load_model
from samtailor.models.zoo import Base
from samtailor.runs import Run
from samtailor.training.settings import LossConfig, OptimConfig, SamplingConfig, TrainConfig
from samtailor.training.stopping import Stopper
from samtailor.training.task import SegmentationTask
from samtailor.training.train import resume, train
from tests import generate
from tests.training.configs import changed
from tests.training.test_resume import STILL
from tests.training.test_train import config_of, rows_of

STEP, VALIDATION = SegmentationTask.training_step, SegmentationTask.validation_step

CONFIGURATIONS: list[dict[str, Any]] = [
    {"prompt_fraction": 0.5, "workers": 2},
    {"recipe": "head-only", "prompt_fraction": 0.5, "patience": 2},
    {"recipe": "full", "precision": "bf16", "validate_every": 2},
    {"batch_size": 2, "optim": OptimConfig(lr=1e-3, accumulate=2)},
    {"last_blocks": 1, "cache_frozen": True, "augment": STILL},
    {"head_epochs": 2, "workers": 1},
    {"head_epochs": 1, "optim": OptimConfig(lr=1e-2, ema=0.6)},
    {"loss": LossConfig(class_weights="auto"), "sampling": SamplingConfig(32, 16, per_epoch=10, rare=0.5)},
]


class Signals:
    """Sends signals to this process in the midst of chosen steps and validations, counted from 1."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.steps = self.cases = 0
        self.at_step: dict[int, int] = {}
        self.at_case: dict[int, int] = {}
        signals = self

        def step(task: SegmentationTask, batch: Any, index: int) -> Tensor:
            signals.steps += 1
            loss = STEP(task, batch, index)
            if signals.steps in signals.at_step:
                signal.raise_signal(signals.at_step.pop(signals.steps))
            return loss

        def case(task: SegmentationTask, index: int) -> None:
            signals.cases += 1
            VALIDATION(task, index)
            if signals.cases in signals.at_case:
                signal.raise_signal(signals.at_case.pop(signals.cases))

        patch.setattr(SegmentationTask, "training_step", step)
        patch.setattr(SegmentationTask, "validation_step", case)


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Signals:
    return Signals(monkeypatch)


def assert_same(found: Run, expected: Run) -> None:
    """Numbers, kept segmenter and last weights, bit for bit."""
    assert rows_of(found) == rows_of(expected)
    states = [load_model(run.directory).trained_state() for run in (found, expected)]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())
    ends = [torch.load(run.last_checkpoint, weights_only=True)["state_dict"] for run in (found, expected)]
    assert all(torch.equal(ends[0][name], value) for name, value in ends[1].items())


def interrupted(config: TrainConfig) -> Run:
    with pytest.raises(KeyboardInterrupt, match=r"continue with samtailor train --resume "):
        train(**vars(config))
    return Run(Path(config.out))


@pytest.mark.parametrize("settings", CONFIGURATIONS, ids=str)
def test_a_run_goes_on_within_the_epoch(
    settings: dict[str, Any], tiny_base: Base, nnunet_folder: Path, tmp_path: Path, signals: Signals
) -> None:
    config = changed(config_of(nnunet_folder, tmp_path / "whole", epochs=3), **settings)
    whole = train(**vars(config))
    in_an_epoch, signals.steps = signals.steps // 3, 0
    assert in_an_epoch >= 3
    place = 2 // config.optim.accumulate  # where gradients are accumulated, the next batch ends the step
    signals.at_step = {place: signal.SIGINT}  # in the first epoch, then in the second
    run = interrupted(changed(config, out=str(tmp_path / "part")))
    assert signals.steps == 2
    assert run.history() == []
    signals.at_step = {in_an_epoch + place: signal.SIGINT}
    with pytest.raises(KeyboardInterrupt):
        resume(run.directory)
    assert [row["epoch"] for row in run.history()] == [1]
    torch.manual_seed(99)  # whatever else draws random numbers
    assert_same(resume(run.directory), whole)
    assert signals.steps == 3 * in_an_epoch  # no step was made twice


@pytest.mark.parametrize(
    "settings",
    [{"prompt_fraction": 0.5, "workers": 1}, {"head_epochs": 1}, {"optim": OptimConfig(lr=1e-2, ema=0.6)}],
    ids=str,
)
def test_a_validation_that_is_stopped_begins_anew(
    settings: dict[str, Any], tiny_base: Base, tmp_path: Path, signals: Signals
) -> None:
    pictures = generate.image_folder(tmp_path / "pictures", cases=24, size=(32, 32))
    config = changed(config_of(pictures, tmp_path / "whole", epochs=2), **settings)
    whole = train(**vars(config))
    steps, cases = signals.steps, signals.cases // 2
    assert cases >= 2
    for number in (1, cases + 1):  # behind the first case, in the first and in the second epoch
        signals.steps, signals.cases, signals.at_case = 0, 0, {number: signal.SIGINT}
        run = interrupted(changed(config, out=str(tmp_path / f"part-{number}")))
        assert len(run.history()) == number // cases
        assert_same(resume(run.directory), whole)
        assert signals.steps == steps
        before, after = number // cases * cases, signals.cases - (number + 1)  # the one in which it stops has begun
        assert before + after == 2 * cases


def test_a_signal_in_an_epoch_s_last_step_stops_behind_the_epoch(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, signals: Signals
) -> None:
    config = changed(config_of(nnunet_folder, tmp_path / "whole", epochs=3), validate_every=3)
    whole = train(**vars(config))
    in_an_epoch, signals.steps = signals.steps // 3, 0
    signals.at_step = {in_an_epoch: signal.SIGINT}
    run = interrupted(changed(config, out=str(tmp_path / "part")))
    assert [row["epoch"] for row in run.history()] == [1]
    assert_same(resume(run.directory), whole)


def test_a_signal_too_late_for_a_checkpoint_stops_the_program_nevertheless(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, signals: Signals
) -> None:
    config = config_of(nnunet_folder, tmp_path / "run", epochs=1)
    signals.at_case = {1: signal.SIGINT}
    run = interrupted(config)
    assert [row["epoch"] for row in run.history()] == [1]
    assert run.is_finished()


def test_a_second_signal_stops_at_once(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = SegmentationTask.training_step

    def step(task: SegmentationTask, batch: Any, index: int) -> Tensor:
        loss = inner(task, batch, index)
        if signals.steps == 2:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the second signal waits")
        return loss

    monkeypatch.setattr(SegmentationTask, "training_step", step)
    signals.at_step = {2: signal.SIGINT}
    run = interrupted(config_of(nnunet_folder, tmp_path / "run"))
    assert not run.last_checkpoint.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_do_behind_a_checkpoint_what_they_did(
    number: signal.Signals, tiny_base: Base, nnunet_folder: Path, tmp_path: Path, signals: Signals
) -> None:
    got: list[int] = []

    def answer(number: int, frame: Any) -> None:
        got.append(number)
        raise KeyboardInterrupt

    before = signal.signal(number, answer)
    try:
        signals.at_step = {2: number}
        run = interrupted(config_of(nnunet_folder, tmp_path / "run"))
        assert signal.getsignal(number) is answer
    finally:
        signal.signal(number, before)
    assert got == [number]
    assert run.last_checkpoint.is_file()


def test_checkpoints_are_written_within_long_epochs(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(nnunet_folder, tmp_path / "whole", epochs=2)
    whole = train(**vars(config))
    in_an_epoch = signals.steps // 2
    monkeypatch.setattr(stopping, "EVERY", 0.0)
    signals.steps = 0
    inner = SegmentationTask.training_step

    def killed(task: SegmentationTask, batch: Any, index: int) -> Tensor:
        if signals.steps == in_an_epoch + 2:
            monkeypatch.setattr(SegmentationTask, "training_step", inner)
            raise RuntimeError("a power cut")
        return inner(task, batch, index)

    monkeypatch.setattr(SegmentationTask, "training_step", killed)
    with pytest.raises(RuntimeError, match="power cut"):
        train(**vars(changed(config, out=str(tmp_path / "part"))))
    signals.steps = 0
    assert_same(resume(tmp_path / "part"), whole)
    assert signals.steps == in_an_epoch - 2  # all but those that were made


def test_signals_are_left_alone_where_they_are_ignored_and_in_other_threads(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stopper(tmp_path / "c") as stopper:
            assert signal.SIGHUP not in stopper._handlers  # as nohup wants it
            assert signal.SIGINT in stopper._handlers
    finally:
        signal.signal(signal.SIGHUP, before)
    handlers: list[int] = []

    def elsewhere() -> None:
        with Stopper(tmp_path / "c") as stopper:
            handlers.append(len(stopper._handlers))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert handlers == [0]

"""A training ends when it was laid out to end, though the machine becomes slower, or faster."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

import samtailor.training.extension as extension
import samtailor.training.fit as fitting
import samtailor.training.planning as planning
from samtailor.models.zoo import Base
from samtailor.runs import CrossValidation, Run
from samtailor.training.clock import Clock, Deadline, Pace
from samtailor.training.extension import epochs_until
from samtailor.training.keeping_time import TimeKeeper
from samtailor.training.planning import Timetable, planned
from samtailor.training.samples import EpochSampler
from samtailor.training.settings import OptimConfig, SamplingConfig, TrainConfig
from samtailor.training.task import SegmentationTask
from samtailor.training.train import resume, train
from tests.training.configs import changed
from tests.training.test_planning import by_area
from tests.training.test_train import config_of, rows_of

MEASURED = 10.0
"""Seconds that a step took when the training was laid out."""
GIVEN = 500.0
"""Seconds that the training is given."""


class Machine:
    """Its clock stands still but for training steps and validations."""

    def __init__(self, patch: pytest.MonkeyPatch, seconds: list[float], interrupted: int | None = None) -> None:
        """Steps take so many seconds, each number for a tenth of the time, those of the head a tenth of it."""
        self.now = self.begin = time.monotonic()
        self.steps = 0
        train_step, validate = SegmentationTask.training_step, SegmentationTask.validation_step

        def step(task: SegmentationTask, batch: Any, index: int) -> Any:
            if self.steps == interrupted:
                raise KeyboardInterrupt
            place = int(10 * self.passed / GIVEN)
            share = 0.1 if task.model.network.encoder_rests else 1.0
            self.now += share * seconds[min(place, len(seconds) - 1)]
            self.steps += 1
            return train_step(task, batch, index)

        def validation(task: SegmentationTask, index: int) -> None:
            self.now += 1.0
            validate(task, index)

        patch.setattr(time, "monotonic", lambda: self.now)
        patch.setattr(SegmentationTask, "training_step", step)
        patch.setattr(SegmentationTask, "validation_step", validation)
        patch.setattr(planning, "planned", self._planned)

    @property
    def passed(self) -> float:
        return self.now - self.begin

    @staticmethod
    def _planned(config: TrainConfig, folder: Any, began: float, runs: int) -> Timetable:
        return planned(config, folder, began, by_area(4 * MEASURED), runs)


@pytest.fixture
def config(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> TrainConfig:
    """In half of the epochs the rate of a step depends on how many there are in its epoch."""
    optim = OptimConfig(lr=1e-3, warmup=0.5)
    return changed(
        config_of(nnunet_folder, tmp_path / "run"), recipe="lora", epochs=None, time=f"{GIVEN}s", optim=optim
    )


@pytest.mark.parametrize(
    "seconds",
    [[20.0], [4.0], [10.0, 10.0, 10.0, 25.0], [10.0, 25.0, 25.0, 6.0], [10.0] * 8 + [14.0]],
    ids=["slower", "faster", "slower later", "slower, then faster", "slower in the end"],
)
def test_a_training_ends_in_time_though_its_machine_changes(
    seconds: list[float], config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, seconds)
    run = train(**vars(config))
    assert 0.9 * GIVEN <= machine.passed <= GIVEN
    written = TrainConfig.from_plain(run.read_config(), "config.yaml")
    assert isinstance(lengths := written.sampling.per_epoch, list)
    assert len(lengths) == written.epochs == len(run.history())
    assert sum(lengths) == machine.steps * written.batch_size
    monkeypatch.undo()
    again = train(**vars(replace(written, out=str(tmp_path / "again"))))
    assert rows_of(again) == rows_of(run)


def test_folds_end_in_time_together_though_the_machine_is_slower_for_the_later_ones(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "samtailor")
    (Path(config.data) / "splits_final.json").unlink()  # whose one fold is what is trained without folds
    machine = Machine(monkeypatch, [*[MEASURED] * 5, 1.4 * MEASURED])
    kept_to: list[Deadline] = []

    def keeper(run: Run, sampler: EpochSampler, clock: Clock, end: float) -> TimeKeeper:
        kept_to.append(Deadline(end, clock.paces))
        return TimeKeeper(run, sampler, clock, end)

    monkeypatch.setattr(fitting, "TimeKeeper", keeper)
    folds = train(**vars(replace(changed(config, recipe="head-only"), folds=2)))
    assert isinstance(folds, CrossValidation)
    assert 0.9 * GIVEN <= machine.passed <= GIVEN
    first, second = (run.read_config()["sampling"]["per_epoch"] for run in folds.runs)
    assert sum(second) < first * len(second)
    assert [pace.step for pace in kept_to[1].paces] == [MEASURED]
    assert kept_to[1].paces == kept_to[0].paces
    assert caplog.text.count("Laid out to end in") == caplog.text.count("Laid out as the first, to end in ") == 1


@pytest.mark.parametrize("seconds", [20.0, 5.0])
def test_a_run_that_is_made_longer_ends_in_time(
    seconds: float, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(**vars(replace(config, time=None, epochs=2, sampling=replace(config.sampling, per_epoch=40))))
    begun = TrainConfig.from_plain(run.read_config(), "config.yaml")
    machine = Machine(monkeypatch, [seconds])
    monkeypatch.setattr(extension, "epochs_until", partial(epochs_until, measure=by_area(4 * MEASURED)))
    resume(run.directory, time=f"{GIVEN}s")
    assert 0.9 * GIVEN <= machine.passed <= GIVEN
    written = TrainConfig.from_plain(run.read_config(), "config.yaml")
    assert isinstance(lengths := written.sampling.per_epoch, list)
    assert len(lengths) == written.epochs == len(run.history())
    assert lengths[: begun.epoch_count] == [40] * begun.epoch_count
    assert sum(lengths[begun.epoch_count :]) == machine.steps * written.batch_size


@pytest.mark.parametrize(
    ("left", "samples"),
    [(985.0, 400), (1015.0, 400), (970.0, 4 * 96), (1035.0, 4 * 103), (100.0 + 450.0, 4 * 50)],
)
def test_a_small_change_changes_nothing(
    left: float, samples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first of ten epochs of 100 steps of a second each; nine validations to come take 100 seconds in all."""
    config = TrainConfig(data="", out="", epochs=10, sampling=SamplingConfig(per_epoch=400))
    sampler = EpochSampler(10, 400, seed=0, batch_size=4)
    clock = Clock(config, sampler.batches_in, [Pace(1.0, 100 / 9)])
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    keeper = TimeKeeper(Run(tmp_path / "run"), sampler, clock, 50.0 + left)
    keeper.on_train_epoch_end(cast(Any, SimpleNamespace(current_epoch=0)), Mock(SegmentationTask))
    assert [sampler.samples_in(epoch) for epoch in range(10)] == [400] + 9 * [samples]
    assert (samples == 400) == (not (tmp_path / "run").exists())


def test_a_machine_that_stands_still_ends_soon(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch that is left has a step: whatever was laid out is validated, and kept."""
    machine = Machine(monkeypatch, [2 * GIVEN])
    run = train(**vars(config))
    written = TrainConfig.from_plain(run.read_config(), "config.yaml")
    assert isinstance(lengths := written.sampling.per_epoch, list)
    assert lengths[1:] == [written.batch_size] * (written.epoch_count - 1)
    assert machine.steps == lengths[0] // written.batch_size + written.epoch_count - 1


def test_a_run_that_was_interrupted_goes_on_with_the_lengths_that_were_chosen(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Machine(patch, [20.0])
        whole = train(**vars(config))
    written = TrainConfig.from_plain(whole.read_config(), "config.yaml")
    lengths = written.sampling.per_epoch
    assert isinstance(lengths, list)
    later = next(epoch for epoch, length in enumerate(lengths) if length != lengths[0])
    part = replace(config, out=str(tmp_path / "part"))
    with monkeypatch.context() as patch:
        Machine(patch, [20.0], interrupted=sum(lengths[: later + 1]) // written.batch_size - 1)
        with pytest.raises(KeyboardInterrupt):
            train(**vars(part))
    begun = TrainConfig.from_plain(Run(tmp_path / "part").read_config(), "config.yaml")
    assert isinstance(begun.sampling.per_epoch, list)
    assert begun.sampling.per_epoch[: later + 1] == lengths[: later + 1]
    resumed = resume(part.out)
    assert rows_of(resumed)[: later + 1] == rows_of(whole)[: later + 1]
    again = train(**vars(replace(begun, out=str(tmp_path / "again"))))
    assert rows_of(again) == rows_of(resumed)

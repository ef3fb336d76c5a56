"""A run is made longer, or shorter: so many epochs, or as many as end in time, with the rates of that length."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import samtailor.training.extension as extension
from samtailor.cli import main
from samtailor.data.dataset import open_dataset
from samtailor.errors import ConfigError
from samtailor.evaluation.tuning.tune_bias import tune_bias
from samtailor.evaluation.tuning.tune_refinement import tune_refinement
from samtailor.files import read_json
from samtailor.models.segmenter_model import load_model, save_practice
from samtailor.models.zoo import Base
from samtailor.runs import Run
from samtailor.training.clock import Deadline, Pace
from samtailor.training.extension import epochs_until, extended
from samtailor.training.resolve import resolve
from samtailor.training.settings import OptimConfig, SamplingConfig, TrainConfig
from samtailor.training.task import SegmentationTask
from samtailor.training.train import resume, train
from tests.training.configs import changed
from tests.training.test_planning import by_area
from tests.training.test_resume import STILL, stop_after
from tests.training.test_train import config_of, plan_scores, rows_of

LINEAR = OptimConfig(lr=1e-3, warmup=0, power=1.0)
STEP = SegmentationTask.training_step


def short(data: Path, out: Path, **settings: Any) -> TrainConfig:
    """Two steps an epoch, whose rate falls linearly to zero."""
    config = changed(config_of(data, out, epochs=2), optim=LINEAR, **settings)
    return replace(config, sampling=SamplingConfig(32, None, per_epoch=8))


@pytest.mark.parametrize(("epochs", "lengths"), [(4, [8, 4, 12, 12]), (2, [8, 4])])
def test_further_epochs_are_as_long_as_the_last(
    epochs: int, lengths: list[int], tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    folder = open_dataset(nnunet_folder).with_default_split()
    config = short(nnunet_folder, tmp_path / "run")
    config = replace(config, epochs=3, sampling=SamplingConfig(32, None, per_epoch=[8, 4, 12]))
    assert extended(config, [], epochs, folder).sampling.per_epoch == lengths


def test_a_finished_run_goes_on_with_the_rates_of_its_new_length(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(**vars(short(nnunet_folder, tmp_path / "run")))
    before = rows_of(run)
    rates: list[float] = []

    def step(task: SegmentationTask, batch: Any, index: int) -> Tensor:
        rates.append(task.trainer.optimizers[0].param_groups[0]["lr"])
        return STEP(task, batch, index)

    monkeypatch.setattr(SegmentationTask, "training_step", step)
    assert main(["train", "--resume", str(run.directory), "--epochs", "4"]) == 0
    assert rates == pytest.approx([5e-4, 3.75e-4, 2.5e-4, 1.25e-4])
    assert [float(row["lr"]) for row in rows_of(run)] == pytest.approx([5e-4, 0, 2.5e-4, 0])
    assert rows_of(run)[:2] == before
    assert TrainConfig.from_plain(run.read_config(), "run").epochs == 4
    assert run.is_finished()
    rates.clear()
    resume(run.directory)
    assert not rates


@pytest.mark.parametrize("epochs", [2, 5])
def test_a_broken_run_may_be_made_longer_or_shorter(
    epochs: int, tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(**vars(changed(short(nnunet_folder, tmp_path / "run"), epochs=3)))
    run = resume(tmp_path / "run", epochs=epochs)
    assert len(rows_of(run)) == epochs
    assert float(rows_of(run)[-1]["lr"]) == 0


def test_patience_that_has_run_out_is_given_up(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(nnunet_folder, tmp_path / "run", epochs=9)
    run = train(**vars(changed(config, patience=1, optim=OptimConfig(lr=1e-12), augment=STILL)))
    assert len(rows_of(run)) == 2
    with caplog.at_level("INFO", "samtailor"):
        resume(run.directory, epochs=4)
    assert len(rows_of(run)) == 4
    assert "4 epochs in all, of which 2 are done. Patience has run out, and no longer ends it." in caplog.text
    assert run.read_config()["patience"] is None


def test_patience_that_has_not_run_out_is_kept(tiny_base: Base, nnunet_folder: Path) -> None:
    folder = open_dataset(nnunet_folder)
    config = resolve(changed(config_of(nnunet_folder, Path("run"), epochs=4), patience=2), folder)
    rows = [{"epoch": 1.0, "dsc": 0.5}, {"epoch": 2.0, "dsc": 0.4}]
    assert extended(config, rows, 6, folder) == replace(config, epochs=6)


def test_what_is_tuned_is_tuned_again(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(**vars(short(nnunet_folder, tmp_path / "run", tune_bias=True)))
    written = run.bias_file.stat().st_mtime_ns
    resume(run.directory)
    assert run.bias_file.stat().st_mtime_ns == written
    stop_after(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        resume(run.directory, epochs=3)
    assert not run.bias_file.exists()  # else a kill before the tuning would leave the segmenter without
    resume(run.directory)
    assert run.bias_file.is_file()


def test_what_was_tuned_by_hand_is_to_be_tuned_again(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(**vars(short(nnunet_folder, tmp_path / "run", tune_bias=False)))
    tune_bias(run.directory, nnunet_folder)
    assert run.bias_file.is_file()
    resume(run.directory, epochs=3)
    assert not run.bias_file.exists()
    assert f"run samtailor tune-bias {run.directory} {nnunet_folder} again" in caplog.text
    assert "refinement was tuned" not in caplog.text


def test_a_longer_run_is_tuned_from_the_steps_that_its_config_chooses(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    run = train(**vars(short(nnunet_folder, tmp_path / "run", tune_bias=True, tune_refinement=True)))
    assert run.refinement_file.is_file()
    save_practice(run.segmenter_directory, refinement=({"kind": "largest-component"},))  # whether it gained or not
    written = run.refinement_file.stat().st_mtime_ns
    resume(run.directory, epochs=3)  # else the bias would refuse steps that change the label
    assert run.refinement_file.stat().st_mtime_ns > written
    kept = load_model(run.directory).practice.refinement
    assert list(kept) == read_json(run.refinement_file, dict, "")["best" if kept else "before"]["steps"]


@pytest.mark.parametrize("is_tuned_again", [False, True])
def test_a_bias_that_is_left_to_tune_is_tuned_without_steps_tuned_by_hand(
    is_tuned_again: bool, tiny_base: Base, nnunet_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"tune_bias": True, "tune_refinement": is_tuned_again}
    run = train(**vars(short(nnunet_folder, tmp_path / "run", **settings)))
    tune_refinement(run.directory, nnunet_folder, ["largest-component"])
    save_practice(run.segmenter_directory, refinement=({"kind": "largest-component"},))  # whether it gained or not
    run.bias_file.unlink()
    resume(run.directory)
    assert run.bias_file.is_file()
    assert run.refinement_file.exists() == is_tuned_again
    told = f"run samtailor tune-refinement {run.directory} {nnunet_folder} again" in caplog.text
    assert told != is_tuned_again


def test_what_comes_after_the_best_epoch_is_trained_again(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_scores(monkeypatch, 0.6, 0.1, 0.1, 0.9)
    run = train(**vars(changed(short(nnunet_folder, tmp_path / "run"), epochs=3)))
    resume(run.directory, from_="best", epochs=2)
    assert [row["dsc"] for row in run.history()] == pytest.approx([0.6, 0.9])
    assert run.is_finished()


def test_of_a_lost_first_epoch_nothing_is_done(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(**vars(changed(short(nnunet_folder, tmp_path / "run"), epochs=1)))
    run.last_checkpoint.unlink()
    with caplog.at_level("INFO", "samtailor"):
        resume(run.directory, epochs=2)
    assert "2 epochs in all, of which 0 are done." in caplog.text
    assert len(rows_of(run)) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 2}, "epochs: expected more than the 2 that are done, found 2"),
        ({"epochs": 3, "time": "5m"}, "epochs: expected either --epochs or --time, found both"),
        ({"time": "soon"}, "time: expected hours, minutes or seconds"),
        ({"epochs": 0}, "epochs: expected a whole number from 1"),
    ],
)
def test_what_is_no_extension_is_refused(
    settings: dict[str, Any], message: str, tiny_base: Base, nnunet_folder: Path, tmp_path: Path
) -> None:
    run = train(**vars(short(nnunet_folder, tmp_path / "run")))
    before = run.config_file.read_text(), rows_of(run)
    with pytest.raises(ConfigError, match=message):
        resume(run.directory, **settings)
    assert (run.config_file.read_text(), rows_of(run)) == before


@pytest.mark.parametrize(
    ("done", "settings", "seconds", "expected"),
    [
        (2, {}, 100, 11),  # two steps of five seconds an epoch, in 95 seconds: nine epochs
        (0, {}, 100, 9),
        (2, {"validate_every": 4}, 100, 8),
        (0, {"head_epochs": 4}, 100, 13),  # those of the head take a tenth
        (2, {"head_epochs": 4}, 100, 13),
        (6, {"head_epochs": 4}, 100, 15),
    ],
)
def test_as_many_epochs_are_laid_out_as_end_in_time(
    done: int, settings: dict[str, Any], seconds: int, expected: int, tiny_base: Base, nnunet_folder: Path
) -> None:
    folder = open_dataset(nnunet_folder)
    config = changed(short(nnunet_folder, Path("run")), **{"epochs": 20, **settings})
    config = resolve(replace(config, sampling=SamplingConfig(64, None, per_epoch=8)), folder)
    began = time.monotonic()
    found, deadline = epochs_until(config, done, f"{seconds}s", began, folder, by_area(5.0))
    assert found == expected
    assert deadline.end == pytest.approx(began + 0.95 * seconds)
    assert [pace.step for pace in deadline.paces] == [0.5, 5.0][-len(config.phases()) :]


@pytest.mark.parametrize(("lengths", "expected"), [([40, 40, 8], 11), ([8, 8, 40], 3)])
def test_epochs_to_come_are_as_long_as_they_will_be(
    lengths: list[int], expected: int, tiny_base: Base, nnunet_folder: Path
) -> None:
    folder = open_dataset(nnunet_folder)
    config = changed(short(nnunet_folder, Path("run")), epochs=len(lengths))
    config = resolve(replace(config, sampling=SamplingConfig(64, None, per_epoch=lengths)), folder)
    assert epochs_until(config, 2, "100s", time.monotonic(), folder, by_area(5.0))[0] == expected


def test_too_short_a_time_is_refused(tiny_base: Base, nnunet_folder: Path) -> None:
    folder = open_dataset(nnunet_folder)
    config = resolve(changed(short(nnunet_folder, Path("run")), validate_every=2), folder)
    with pytest.raises(ConfigError, match=r"expected at least 5\d\.\d s, to the validation after epoch 2 .* 5\.0 s;"):
        epochs_until(config, 0, "5s", time.monotonic(), folder, by_area(50.0))
    with pytest.raises(ConfigError, match="time: expected memory"):
        epochs_until(config, 0, "5s", time.monotonic(), folder, lambda *_: None)


def test_a_run_is_resumed_for_some_time(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(**vars(short(nnunet_folder, tmp_path / "run")))
    asked: list[Any] = []

    def until(config: TrainConfig, done: int, duration: str, began: float, *_: Any) -> tuple[int, Deadline]:
        asked.append((config.epochs, done, duration))
        return 3, Deadline(began + 600, [Pace(1.0, 1.0)])

    monkeypatch.setattr(extension, "epochs_until", until)
    assert main(["resume", str(run.directory), "--time", "10m"]) == 0
    assert asked == [(2, 2, "10m")]
    assert len(Run(run.directory).history()) == 3

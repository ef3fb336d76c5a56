"""A cross-validation is a folder of ordinary runs, all trained alike; what is missing of it is trained, no more."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samtailor.cli import main
from samtailor.data.dataset import open_dataset
from samtailor.errors import ConfigError, FileError
from samtailor.models.zoo import Base
from samtailor.outputs import require_place
from samtailor.runs import CrossValidation, Run
from samtailor.settings import Selection
from samtailor.training import planning
from samtailor.training import train as training
from samtailor.training.clock import Pace
from samtailor.training.folds import SharedTime, settings_of
from samtailor.training.planning import Timetable, planned
from samtailor.training.settings import SamplingConfig, TrainConfig
from samtailor.training.train import resume, train
from tests import generate
from tests.training.test_planning import by_area


def config_of(data: Path, out: Path, folds: int | None = 2, fold: int | None = None) -> TrainConfig:
    return TrainConfig(
        data=data,
        out=out,
        base="tiny-sam",
        epochs=1,
        device="cpu",
        folds=folds,
        fold=fold,
        sampling=SamplingConfig(image_size=32),
    )


def validated(run: Run) -> list[str]:
    """Names of a run's validation cases."""
    names: list[str] = run.read_dataset()["splits"]["val"]
    return names


def losses(run: Run) -> list[float]:
    """Of each epoch."""
    return [row["loss"] for row in run.history()]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small pictures."""
    return generate.image_folder(tmp_path_factory.mktemp("pictures"), cases=4, size=(32, 32))


@pytest.fixture(scope="module")
def whole(tiny_base: Base, data: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    """A cross-validation of two folds, trained."""
    folds = train(**vars(config_of(data, tmp_path_factory.mktemp("whole") / "cv")))
    assert isinstance(folds, CrossValidation)
    return folds


@pytest.fixture
def broken(whole: CrossValidation, tmp_path: Path) -> CrossValidation:
    """The same, broken off before the second fold."""
    shutil.copytree(whole.directory, tmp_path / "cv")
    shutil.rmtree(tmp_path / "cv" / "fold-1")
    return CrossValidation(tmp_path / "cv")


def test_each_fold_is_an_ordinary_run_that_leaves_out_other_cases(
    whole: CrossValidation, data: Path, tmp_path: Path
) -> None:
    assert [run.directory.name for run in whole.trained] == ["fold-0", "fold-1"]
    assert sorted(name for run in whole.runs for name in validated(run)) == [f"tile_{i}" for i in range(4)]
    configs = [run.read_config() for run in whole.runs]
    own = [(config.pop("fold"), Path(config.pop("out")).name) for config in configs]
    assert own == [(0, "fold-0"), (1, "fold-1")]
    assert configs[0] == configs[1]
    assert whole.run(1).selection == Selection(1, folds=2)
    assert "samtailor predict" in str(whole)
    assert len(json.loads(json.dumps(whole.to_json()))["folds"]) == 2
    with pytest.raises(ConfigError, match="found a cross-validation"):
        require_place(whole.directory)

    alone = train(**vars(config_of(data, tmp_path / "alone", fold=1)))
    assert isinstance(alone, Run)
    assert validated(alone) == validated(whole.run(1))
    assert losses(alone) == losses(whole.run(1))


@pytest.mark.parametrize("again", [lambda config: resume(config.out), lambda config: train(**vars(config))])
def test_what_was_broken_off_goes_on_with_what_is_missing(
    again: Callable[[TrainConfig], Any], broken: CrossValidation, whole: CrossValidation, data: Path
) -> None:
    first = broken.run(0).last_checkpoint.stat()
    again(config_of(data, broken.directory))
    assert broken.run(0).last_checkpoint.stat() == first
    assert [losses(run) for run in broken.trained] == [losses(run) for run in whole.trained]


def test_an_interruption_tells_how_to_go_on(broken: CrossValidation, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt("continue with the fold")

    monkeypatch.setattr(training, "train_run", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"samtailor train --resume \S*/cv$"):
        resume(broken.directory)


def test_other_settings_do_not_go_on_with_it(broken: CrossValidation, data: Path) -> None:
    config = config_of(data, broken.directory)
    with pytest.raises(ConfigError, match=r"found epochs 2 \(it was 1\), folds 3 \(it was 2\)"):
        train(**vars(replace(config, epochs=2, folds=3)))
    with pytest.raises(ConfigError, match=r"found a cross-validation; name one .*fold-0"):
        resume(broken.directory, epochs=3)
    assert not broken.run(1).is_there


def test_folds_that_were_trained_one_by_one_are_one(whole: CrossValidation, tmp_path: Path) -> None:
    shutil.copytree(whole.run(0).directory, tmp_path / "fold-0")
    folds = CrossValidation(tmp_path)
    with pytest.raises(ConfigError, match=r"the 2 runs of a cross-validation, all trained; found fold-1 unfinished"):
        folds.require_trained()
    shutil.copytree(whole.run(1).directory, tmp_path / "fold-1")
    assert len(folds.require_trained()) == 2
    resume(tmp_path)
    run = folds.run(0)
    run.write_config({name: value for name, value in run.read_config().items() if name != "folds"})
    assert folds.count == 2


def test_nothing_is_written_of_folds_that_there_are_not(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(nnunet_folder), "--out", str(tmp_path / "cv"), "--base", tiny_base.name, "--device", "cpu"]
    assert main([*words, "--folds", "3", "--epochs", "1"]) == 2
    assert "expected 3 folds found 1" in " ".join(capsys.readouterr().out.split())
    generate.write_json(nnunet_folder / "splits_final.json", [{"train": ["case_0"], "val": ["case_1"]}] * 2)
    with pytest.raises(FileError, match="found 'case_1' in that of 0 and 1"):
        open_dataset(nnunet_folder, 1, folds=2)
    assert not (tmp_path / "cv").exists()


def test_a_folder_that_holds_something_else_is_left_alone(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="expected a new or empty directory"):
        train(**vars(config_of(data, tmp_path)))


def test_the_time_is_that_of_all_folds_and_laid_out_once(data: Path, tmp_path: Path) -> None:
    folds = CrossValidation(tmp_path / "cv")
    config = replace(config_of(data, tmp_path / "cv", folds=4), epochs=None, time="30m")
    assert settings_of(folds, config, 0).time == "30m"  # which they share
    assert settings_of(folds, replace(config, time=None), 0).time == "7200s"  # half an hour for each
    laid_out = replace(config_of(data, folds.run(0).directory, folds=4, fold=0), epochs=7)
    folds.run(0).write_config(laid_out.to_plain())
    later = settings_of(folds, config, 2)
    assert (later.time, later.epochs, later.fold, later.out) == (None, 7, 2, str(folds.run(2).directory))


def test_only_the_first_fold_is_laid_out(
    tiny_base: Base, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int | None, int]] = []

    def choose(config: TrainConfig, folder: Any, began: float, runs: int) -> Timetable:
        asked.append((config.fold, runs))
        return planned(config, folder, began, by_area(3.0), runs)

    monkeypatch.setattr(planning, "planned", choose)
    folds = train(**vars(replace(config_of(data, tmp_path / "cv"), epochs=None, time="12s")))
    assert isinstance(folds, CrossValidation)
    assert asked == [(0, 2)]
    assert [len(losses(run)) for run in folds.runs] == [folds.run(0).read_config()["epochs"]] * 2


def test_each_fold_is_kept_to_an_equal_part_of_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    shared = SharedTime.of("400s", 4)
    assert shared is not None
    shared.paces = [Pace(1.0, 2.0)]
    assert (shared.runs, shared.deadline(4).end, shared.deadline(4).paces) == (4, 1000 + 95, [Pace(1.0, 2.0)])
    now += 95  # the first was in time
    assert shared.deadline(3).end == now + 95
    now += 185  # the second was late by 90 s
    assert shared.deadline(2).end == now + 50
    now += 5  # the third stopped early, for want of patience: the last is as long as the first all the same
    assert shared.deadline(1).end == now + 95
    assert SharedTime.of(None, 4) is None

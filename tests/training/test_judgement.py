"""A training that learned nothing says so once, with what may help, and a training that learned does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samtailor.cli import main
from samtailor.errors import NotFiniteError
from samtailor.models.zoo import Base
from samtailor.runs import Run, RunWarning
from samtailor.training.judgement import Judged, stays_up
from samtailor.training.settings import LossConfig, OptimConfig, SamplingConfig, TrainConfig
from samtailor.training.train import resume, train
from tests.training.configs import changed
from tests.training.test_resume import STILL
from tests.training.test_train import config_of

NAMES = ("background", "liver", "target")
CONFIG = TrainConfig(
    data="data", out="run", epochs=9, optim=OptimConfig(lr=1e-3), sampling=SamplingConfig(image_size=64)
)


def rows_of(losses: list[float], *scores: tuple[float, float] | None) -> list[dict[str, float]]:
    """Epochs with these losses and the DSC of liver and target; None where there was no validation."""
    rows: list[dict[str, float]] = []
    for epoch, loss in enumerate(losses):
        row = {"epoch": epoch + 1, "loss": loss}
        if epoch < len(scores) and (score := scores[epoch]) is not None:
            row |= {"dsc": sum(score) / 2, "dsc/background": 0.9, "dsc/liver": score[0], "dsc/target": score[1]}
        rows.append(row)
    return rows


def judged(rows: list[dict[str, float]], **known: Any) -> RunWarning | None:
    shares, cases, truth = np.array([0.9, 0.0995, 0.0005]), np.array([30, 30, 30]), np.array([900, 90, 9])
    usual = {"config": CONFIG, "names": NAMES, "shares": shares, "cases": cases, "truth": truth, "steps": 900}
    given = {**usual, **known}
    return Judged(rows=rows, **given).warning()


def seen_at(image_size: int, field: int | None = None) -> TrainConfig:
    return changed(CONFIG, sampling=SamplingConfig(image_size=image_size, field=field))


FALLING = [0.9, 0.7, 0.5]


def test_a_training_that_learned_is_not_warned_of() -> None:
    assert judged(rows_of(FALLING, (0.2, 0.1), (0.5, 0.1), (0.8, 0.3))) is None
    assert judged(rows_of(FALLING)) is None  # nothing was validated
    assert judged([]) is None


def test_a_background_that_is_found_is_not_something() -> None:
    rows = rows_of(FALLING, (0.0, 0.0), (0.002, 0.0), None)
    for row in rows[:2]:
        row["dsc"] = 0.3  # of land cover, where the background counts
    found = judged(rows)
    assert found is not None
    assert "nothing is found in the validation cases: best mean DSC 0.0010" in found.found


def test_one_that_finds_nothing_is_with_the_flags_that_may_help() -> None:
    found = judged(rows_of(FALLING, (0.0, 0.0), (0.002, 0.0), None), steps=30)
    assert found is not None
    assert found.found == ("nothing is found in the validation cases: best mean DSC 0.0010",)
    assert len(found.causes) == len(found.fixes)
    text = str(found)
    for flag in (
        "resume run --epochs 100",
        "--time 1h",
        "--optim.lr 0.00025",
        "--sampling.image_size",
        "samtailor check data",
    ):
        assert flag in text
    assert "--epochs" not in str(judged(rows_of(FALLING, (0.0, 0.0)), steps=5000))


def test_a_class_that_the_kept_epoch_does_not_find_is_named() -> None:
    found = judged(rows_of(FALLING, (0.2, 0.0), (0.8, 0.0), (0.4, 0.1)))
    assert found is not None
    assert found.found == ("nowhere found in the validation cases (DSC 0): 'target'",)
    assert "0.050% of the pixels)\n    --loss.class_weights auto" in str(found)
    weighted = changed(CONFIG, loss=LossConfig(class_weights="auto"))
    assert "class_weights" not in str(judged(rows_of(FALLING, (0.8, 0.0)), config=weighted))
    assert judged(rows_of(FALLING, (0.2, 0.0), (0.8, 0.1), (0.4, 0.0))) is None  # the kept one finds it


def test_a_class_of_few_cases_may_need_more() -> None:
    rows = rows_of(FALLING, (0.8, 0.0))
    found = str(judged(rows, cases=np.array([30, 1, 4])))
    assert "classes that few training cases have: target in 4\n    label more cases that have them" in found
    assert "few training cases" not in str(judged(rows, cases=np.array([30, 1, 5])))  # liver is found


def test_a_class_of_few_pixels_may_need_larger_pictures_or_crops() -> None:
    rows = rows_of(FALLING, (0.0, 0.0))
    assert "few pixels in what the network sees, 64 x 64 pixels: target\n" in str(judged(rows, config=seen_at(64)))
    assert "few pixels" not in str(judged(rows, config=seen_at(512)))
    assert "few pixels" not in str(judged(rows, config=seen_at(64, field=64)))  # they are not shrunk
    assert "few pixels" in str(judged(rows, config=seen_at(64, field=128)))
    found = judged(rows_of(FALLING, (0.0, 0.3)), config=seen_at(64))
    assert "few pixels" not in str(found)  # liver is not found, and is large


def test_a_class_that_the_validation_cases_do_not_have_cannot_be_found() -> None:
    rows = rows_of(FALLING, (0.8, 0.0))
    assert judged(rows, truth=np.array([900, 90, 0])) is None
    found = judged(rows, shares=np.array([0.9, 0.1, 0.0]), cases=np.array([30, 30, 0]))
    assert found is not None
    assert "no training sample has a pixel of target\n    put cases that have some into the split train" in str(found)


@pytest.mark.parametrize(
    ("losses", "stays"),
    [
        ([0.9, 0.9, 0.9], True),
        ([0.9, 0.9, 0.895], True),
        ([0.9, 0.9, 0.8], False),
        ([0.9, 0.8], False),  # two epochs tell nothing
        ([0.9, 0.9], False),
        ([0.9, 0.9, 0.2, 0.9, 0.2, 0.9, 0.9, 0.9, 0.2], True),  # single epochs decide nothing
        ([0.2, 0.9, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.9], False),
    ],
)
def test_the_loss_falls_from_the_first_epochs_to_the_last(losses: list[float], stays: bool) -> None:
    assert (stays_up(CONFIG, rows_of(losses)) is not None) == stays
    found = judged(rows_of(losses, *[(0.5, 0.5)] * len(losses)))
    assert (found is not None) == stays
    assert not stays or "the loss did not fall" in str(found)


def test_the_loss_of_the_head_s_epochs_is_compared_with_itself() -> None:
    head_first = changed(CONFIG, head_epochs=3)
    assert stays_up(head_first, rows_of([0.4, 0.4, 0.4, 0.9, 0.8, 0.7])) is None
    assert stays_up(head_first, rows_of([0.9, 0.8, 0.7, 0.9, 0.9, 0.9])) is None
    assert stays_up(head_first, rows_of([0.9, 0.9, 0.9, 0.4, 0.4, 0.4])) is not None


def test_validations_that_became_better_say_that_something_is_learned() -> None:
    assert stays_up(CONFIG, rows_of([0.9] * 3, (0.2, 0.2), (0.3, 0.3))) is None
    assert stays_up(CONFIG, rows_of([0.9] * 3, (0.2, 0.2), (0.21, 0.21))) is not None


def test_what_was_not_learned_is_told_at_the_end_and_can_be_read_later(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = changed(config_of(nnunet_folder, tmp_path / "run", epochs=3), optim=OptimConfig(lr=1e-12), augment=STILL)
    run = train(**vars(config))
    assert (warning := run.warning) is not None
    (told,) = [record.message for record in caplog.records if "did not learn" in record.message]
    assert told == str(warning)
    assert "the loss did not fall" in told
    again = Run(run.directory)
    assert again.warning == warning
    assert again.to_json()["warning"]["found"] == list(warning.found)
    assert "next" not in str(again)
    assert "the loss did not fall" in str(again)
    caplog.clear()
    resume(run.directory)  # finished: nothing is done
    assert "did not learn" not in caplog.text
    moved = run.directory.rename(tmp_path / "moved")
    resume(moved, epochs=4)
    assert f"samtailor resume {moved} --epochs" in str(Run(moved).warning)
    again = Run(moved)
    again.write_warning(None)
    assert Run(moved).warning is None
    assert "next              samtailor evaluate" in str(again)


def test_the_command_line_ends_well_and_names_no_next_step(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train {nnunet_folder} --out {tmp_path / 'run'} --base tiny-sam --sampling.image_size 32 --device cpu"
    assert main([*words.split(), "--epochs", "3", "--optim.lr", "1e-12"]) == 0
    out = capsys.readouterr().out
    assert out.count("Warning: this training did not learn") == 1
    assert "samtailor evaluate" not in out


def test_a_training_that_diverged_leaves_word_of_it(tiny_base: Base, nnunet_folder: Path, tmp_path: Path) -> None:
    config = changed(config_of(nnunet_folder, tmp_path / "run"), optim=OptimConfig(lr=1e30))
    with pytest.raises(NotFiniteError):
        train(**vars(config))
    warning = Run(tmp_path / "run").warning
    assert warning is not None
    assert "expected a finite" in warning.found[0]
    assert "--optim.lr" in warning.fixes[0]

"""A training says when it will end before it begins, and then where it is, on a terminal and in a file."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import pytest
from rich.console import Console

import samtailor.progress as progress
import samtailor.training.progress_line as progress_line
from samtailor.errors import ConfigError
from samtailor.models.zoo import Base
from samtailor.training.clock import Pace
from samtailor.training.settings import OptimConfig
from samtailor.training.train import train
from tests.training.configs import changed
from tests.training.test_train import config_of

LINE = re.compile(r"epoch [12]/2, (step [1-3]/3|validating), \d+%, loss \d\.\d{3}(, DSC \d\.\d{3})?, \d+ s left")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "samtailor")
    return caplog


def lines(told: pytest.LogCaptureFixture, start: str) -> list[str]:
    return [record.getMessage() for record in told.records if record.getMessage().startswith(start)]


def test_the_end_is_told_before_the_first_step(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    train(**vars(config_of(nnunet_folder, tmp_path / "run")))
    (text,) = lines(told, "Expected to end")
    first, second = text.split("\n")
    assert re.fullmatch(r"Expected to end at .*\d\d:\d\d, in \d.*", first)
    assert re.fullmatch(r"  2 epochs of 3 steps \(.+ each\), a validation \(.+\) after each", second)
    assert not lines(told, "epoch ")  # a minute has not passed
    (line,) = lines(told, "Trained")
    assert line.startswith("Trained to the end of epoch 2 in ")


def test_a_long_training_is_told_what_would_shorten_it(
    tiny_base: Base,
    nnunet_folder: Path,
    tmp_path: Path,
    told: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress_line, "rehearse", lambda *_: [Pace(700.0, 0.0)])
    train(**vars(config_of(nnunet_folder, tmp_path / "run")))
    (text,) = lines(told, "Expected to end")
    first, second, third, last = text.split("\n")
    assert first.endswith("in 1 h 10 min")
    assert "2 epochs of 3 steps (12 min each)" in second
    assert "--time 30m" in third
    assert last.endswith(f"samtailor estimate --config {tmp_path / 'run' / 'config.yaml'}")


def test_a_file_has_a_line_every_minute(
    tiny_base: Base,
    nnunet_folder: Path,
    tmp_path: Path,
    told: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    train(**vars(config_of(nnunet_folder, tmp_path / "run")))
    found = lines(told, "epoch ")
    assert all(LINE.fullmatch(line) for line in found), found
    assert [line for line in found if "step 3/3" in line and line.startswith("epoch 1/2")]
    assert [line for line in found if "validating" in line]
    parts = [int(re.findall(r"(\d+)%", line)[0]) for line in found]
    assert parts[-1] == 100
    assert parts[0] < 50


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_has_one_line(
    width: int,
    tiny_base: Base,
    nnunet_folder: Path,
    tmp_path: Path,
    told: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(progress_line, "Console", lambda **_: console)
    monkeypatch.setattr(progress_line, "_OFTEN", 0.0)
    show = progress_line._OnTerminal.show

    def at_once(line: progress_line._OnTerminal, where: str, rest: str, fraction: float) -> None:
        show(line, where, rest, fraction)
        line._progress.refresh()

    monkeypatch.setattr(progress_line._OnTerminal, "show", at_once)  # not ten times a second, which is too seldom here
    train(**vars(changed(config_of(nnunet_folder, tmp_path / "run"), optim=OptimConfig(lr=1e-3, ema=0.9))))
    assert not lines(told, "epoch ")
    shown = [line for line in re.split(r"[\r\n]|\x1b\[[0-9;?]*[a-zA-Z]", screen.getvalue()) if "epoch" in line]
    assert shown
    assert all(len(line) <= width for line in shown)
    (*_, validating) = (line.strip() for line in shown if "validating" in line)
    assert re.match(r"epoch 2/2 validating ━+ 100% loss \d\.\d{3} DSC \d\.\d{3} 0 s left", validating)
    assert re.fullmatch(r"epoch 2/2 ━+ 100% loss \d\.\d{3} DSC \d\.\d{3}", shown[-1].strip())


def test_the_line_ends_at_the_end_however_seldom_it_changes(
    tiny_base: Base, nnunet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(progress_line, "Console", lambda **_: console)
    monkeypatch.setattr(progress_line, "_OFTEN", 1e9)
    train(**vars(config_of(nnunet_folder, tmp_path / "run")))
    assert "epoch 2/2" in screen.getvalue()
    assert "100%" in screen.getvalue()


@pytest.mark.parametrize("found", ["often", "-1", "inf", "nan", ""])
def test_a_number_of_seconds_that_is_none_is_refused(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMTAILOR_TELL_EVERY", found)
    with pytest.raises(ConfigError, match=f"SAMTAILOR_TELL_EVERY: expected seconds .* found '{found}'"):
        train(data="nowhere", out="nothing")

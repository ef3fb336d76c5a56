"""Progress is bars on a terminal and, where there is none, a line a minute on the error stream."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from samtailor.cli import main, screen
from samtailor.cli.screen import shown
from samtailor.distributed.world import World
from samtailor.progress import report, tracked


class Watch:
    """A clock that the test turns on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    found = Watch()
    monkeypatch.setattr(screen, "time", found)
    return found


def cases(watch: Watch, count: int, seconds: float) -> Iterator[int]:
    for case in tracked("cases", range(count)):
        watch.now += seconds
        yield case


def test_a_file_has_a_line_a_minute_and_one_at_the_end(watch: Watch, capsys: pytest.CaptureFixture[str]) -> None:
    with shown():
        assert list(cases(watch, 8, 25)) == list(range(8))
    assert capsys.readouterr() == (
        "",
        "cases: 3 of 8, 38%, 2 min left\ncases: 6 of 8, 75%, 50 s left\ncases: 8 of 8, in 3 min\n",
    )


def test_what_is_soon_done_has_no_line(watch: Watch, capsys: pytest.CaptureFixture[str]) -> None:
    with shown():
        for _ in range(3):  # each is work of its own, though of the same name
            list(cases(watch, 3, 15))
            report("cases", 3, 3)
    assert capsys.readouterr().err == ""


def test_what_is_done_inside_an_item_tells_how_long_the_rest_takes(
    watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown():
        for _ in tracked("cases", [0]):
            for done in range(4):
                watch.now += 60
                report("slices", done, 4)
    assert capsys.readouterr().err.splitlines() == [
        "cases: 0 of 1",
        "cases: 0 of 1, 25%, 6 min left",
        "cases: 0 of 1, 50%, 3 min left",
        "cases: 0 of 1, 75%, 1 min left",
        "cases: 1 of 1, in 4 min",
    ]


def test_what_was_there_when_it_began_is_not_taken_for_speed(watch: Watch, capsys: pytest.CaptureFixture[str]) -> None:
    with shown():
        report("weights.pth", 3 << 20, 5 << 20, "bytes")
        watch.now += 60
        report("weights.pth", 4 << 20, 5 << 20, "bytes")
        report("of unknown size", 1 << 20, 0, "bytes")
        watch.now += 60
        report("of unknown size", 2 << 20, 0, "bytes")
    assert capsys.readouterr().err.splitlines() == [
        "weights.pth: 4 MiB of 5 MiB, 80%, 1 min left",
        "of unknown size: 2 MiB",
    ]


def test_a_program_has_more_lines(
    watch: Watch, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMTAILOR_TELL_EVERY", "20")
    with shown():
        list(cases(watch, 2, 20))
    assert capsys.readouterr().err.splitlines() == ["cases: 1 of 2, 50%, 20 s left", "cases: 2 of 2, in 40.0 s"]
    monkeypatch.setenv("SAMTAILOR_TELL_EVERY", "often")
    assert main(["models"]) == 2
    assert "SAMTAILOR_TELL_EVERY: expected seconds between two lines" in capsys.readouterr().err


def test_only_the_first_of_several_processes_tells(
    watch: Watch, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "world", lambda: World(size=2, rank=1))
    with shown():
        list(cases(watch, 3, 60))
    assert capsys.readouterr().err == ""


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is written on a terminal."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(screen, "Console", lambda **_: console)
    return file


def test_a_terminal_has_bars(terminal: io.StringIO) -> None:
    with shown():
        assert list(tracked("cases", [1, 2])) == [1, 2]
    assert "cases ━" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


def test_bars_of_what_is_fetched_end_with_the_work(terminal: io.StringIO) -> None:
    with shown():
        for _ in tracked("cases", [1]):
            report("weights.pth", 10, 10, "bytes")
        before = terminal.getvalue()
        time.sleep(0.3)
        assert terminal.getvalue() == before


def test_work_of_the_same_name_has_a_bar_again(terminal: io.StringIO) -> None:
    with shown():
        list(tracked("cases", [1, 2]))
        report("cases", 2, 2)  # told again that it is done
        list(tracked("cases", []))
        list(tracked("cases", [1, 2, 3]))
    assert re.findall(r"(\d+)/(\d+)[^\n]*\n", terminal.getvalue()) == [("2", "2"), ("3", "3")]


def test_json_has_null_for_numbers_that_are_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    screen.show({"dsc": [0.5, float("nan"), float("-inf")], "world": World(), "file": Path("a")}, True)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert (found["dsc"], found["file"]) == ([0.5, None, None], "a")
    assert found["world"]["size"] == 1

"""What is printed is complete, fits the terminal, and is in colour only where there are colours."""

from __future__ import annotations

import pytest

from samtailor.reporting.table import Table
from samtailor.reporting.terminal import Block, Message, show, to_text

BLOCKS: list[Block] = [
    {"published": "a page " * 12, "terms": "its own"},
    Table(("case", "DSC"), (("[red]one[/red]", "0.5000"),), ("A note.",), "Scores of 2"),
    Message("error", "error  file.nii\n  found nothing"),
    "A sentence.",
]


def test_everything_is_there_as_it_is() -> None:
    text = to_text(BLOCKS, width=60)
    for words in (
        "Scores of 2",
        "[red]one[/red] │ 0.5000 │",
        "A note.",
        "error  file.nii\n  found nothing",
        "A sentence.",
    ):
        assert words in text
    assert "\x1b" not in text
    assert all(len(line) <= 60 for line in text.splitlines())


def test_facts_are_set_below_each_other() -> None:
    first, second, *_ = to_text(BLOCKS, width=60).splitlines()
    assert first.startswith("published  a page")
    assert second.startswith("           a page")


def test_a_terminal_without_colours_is_shown_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    show(BLOCKS)
    assert capsys.readouterr().out.rstrip("\n") == to_text(BLOCKS)


def test_a_terminal_with_colours_gets_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    show(BLOCKS)
    assert "\x1b[1;31merror  file.nii" in capsys.readouterr().out
    assert "\x1b" not in to_text(BLOCKS)

"""What is printed is complete, fits the terminal, and is in colour only where there are colours."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from samtailor.reporting.table import Table
from samtailor.reporting.terminal import Block, Message, show, to_plain, to_text

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


def test_what_is_no_terminal_gets_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    show(BLOCKS)
    assert capsys.readouterr().out == to_plain(BLOCKS) + "\n"
    lines = to_plain(BLOCKS).splitlines()
    assert lines[:2] == ["published   " + "a page " * 12, "terms   its own"]
    assert "| [red]one[/red] | 0.5000 |" in lines
    assert {"**Scores of 2**", "A note.", "A sentence."} <= set(lines)


CLASSES = ("background", "right adrenal gland", "mean without background", "大動脈")
WIDE = Table(
    ("class", *(f"score number {i}" for i in range(9)), "remark"),
    tuple((name, *(f"{i}.123 to {i}.456" for i in range(9)), "words that may be broken " * 3) for name in CLASSES),
    title="Scores",
)


@pytest.mark.parametrize(("width", "parts"), [(40, 10), (80, 4), (400, 1)])
def test_a_table_fits_the_terminal_and_breaks_no_number(width: int, parts: int) -> None:
    text = to_text([WIDE], width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert all(f"{i}.123 to {i}.456" in text for i in range(9))
    assert text.count("Scores") == 1
    assert text.count("┏") == text.count("大動脈") == parts  # each part says what its rows are


def test_an_interval_stays_with_what_it_is_of() -> None:
    header = ("class", *(title for metric in ("DSC", "NSD", "HD95") for title in (metric, "95 % interval")), "cases")
    table = Table(header, (("right kidney", *("0.9123", "0.912 to 0.934") * 3, "12"),))
    titles = [line for line in to_text([table], 60).splitlines() if line.startswith("┃ class")]
    assert [line.count("interval") for line in titles] == [1, 1, 1]
    assert [[name for name in ("DSC", "NSD", "HD95", "cases") if name in line] for line in titles] == [
        ["DSC"],
        ["NSD"],
        ["HD95", "cases"],
    ]


def test_a_name_longer_than_the_terminal_is_broken_rather_than_cut() -> None:
    text = to_text([Table(("case", "DSC"), (("x" * 100, "0.5"),))], 40)
    assert text.count("x") == 100
    assert all(len(line) <= 40 for line in text.splitlines())


def test_of_what_is_too_wide_texts_are_broken_at_words() -> None:
    lines = to_text([Table(("case", "remark", "DSC"), (("a", "one two three four five six", "0.5"),))], 34).splitlines()
    assert "│ a    │     one two three │ 0.5 │" in lines


def test_a_terminal_with_colours_gets_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    show(BLOCKS)
    assert "\x1b[1;31merror  file.nii" in capsys.readouterr().out
    assert "\x1b" not in to_text(BLOCKS)

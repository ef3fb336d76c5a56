"""The report is one page that needs nothing else."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from samtailor.reporting.page import Page, Picture, Section
from samtailor.reporting.table import Table

PNG = b"\x89PNG not really"
NASTY = "<script>alert('1')</script> & \"quotes\""


class Collector(HTMLParser):
    """Tags in order, their attributes, the text, and whether tags are closed in order."""

    VOID = ("meta", "img")

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(tmp_path: Path) -> tuple[str, Collector]:
    sections = (
        Section(
            "Results <1>",
            ("A paragraph.", Table(("case", "DSC"), ((NASTY, "0.9000"),), (f"Note: {NASTY}",), "A <title>")),
        ),
        Section("Pictures", (Picture("a.png", PNG, NASTY, "A caption & more"), NASTY)),
    )
    Page("SamTailor & phantom", "synthetic phantom", sections).write_html(tmp_path / "out" / "report.html")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    collector = Collector()
    collector.feed(html)
    return html, collector


def test_nothing_is_fetched_and_nothing_runs(page: tuple[str, Collector]) -> None:
    html, collector = page
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in collector.tags}
    assert all(value.startswith("data:") for _, attrs in collector.tags if (value := attrs.get("src")))


def test_everything_is_escaped(page: tuple[str, Collector]) -> None:
    html, collector = page
    assert "<script" not in html
    assert collector.text.count(NASTY) == 3
    assert next(attrs["alt"] for tag, attrs in collector.tags if tag == "img") == NASTY


def test_the_page_is_well_formed_and_fit_for_a_phone(page: tuple[str, Collector]) -> None:
    html, collector = page
    assert html.startswith("<!DOCTYPE html>")
    assert collector.open == []
    assert any(tag == "meta" and attrs.get("name") == "viewport" for tag, attrs in collector.tags)


def test_title_note_sections_tables_and_pictures_are_there(page: tuple[str, Collector]) -> None:
    html, collector = page
    for text in (
        "SamTailor & phantom",
        "synthetic phantom",
        "Results <1>",
        "A paragraph.",
        "0.9000",
        "A caption & more",
        "A <title>",
    ):
        assert text in collector.text
    assert base64.b64encode(PNG).decode() in html
    assert any(attrs.get("class") == "note" for _, attrs in collector.tags)


@pytest.mark.parametrize(("notes", "is_folded"), [(("Short.",), False), (("Long. " * 20, "Longer. " * 10), True)])
def test_long_notes_stand_behind_a_fold(notes: tuple[str, ...], is_folded: bool, tmp_path: Path) -> None:
    table = Table(("case", "DSC"), (("one", "0.9"),), notes)
    Page("Title", "Note", (Section("Results", (table,)),)).write_html(tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert ("<details>" in html) == is_folded
    assert all(note in html for note in notes)


def test_markdown_shows_the_same_with_pictures_beside_it(tmp_path: Path) -> None:
    content = ("A paragraph.", Table(("case", "DSC"), (("one", "0.9"),)), Picture("page/1.png", PNG, "Alt", "Caption"))
    Page("Title", "Two\nlines", (Section("Results", content),)).write_markdown(tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == (
        "# Title\n\n> Two\n> lines\n\n## Results\n\nA paragraph.\n\n"
        "| case | DSC |\n| ---- | --: |\n| one  | 0.9 |\n\n![Alt](page/1.png)\n\nCaption\n"
    )
    assert (tmp_path / "page" / "1.png").read_bytes() == PNG

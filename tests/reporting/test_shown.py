"""What verbs give back shows itself in terminals and notebooks."""

from __future__ import annotations

from dataclasses import dataclass

from samtailor.reporting.shown import Shown
from samtailor.reporting.table import Table
from samtailor.reporting.terminal import Block, Message
from tests.reporting.test_page import Collector

NASTY = "<script>alert(1)</script>"


@dataclass(frozen=True)
class Report(Shown):
    """One block of each kind."""

    text: str

    def blocks(self) -> list[Block]:
        table = Table(("class", "DSC"), (("liver", "0.9"), (self.text, "0.8")), ("A note.",), "A title")
        return ["A sentence.", {"page": self.text}, table, Message("error", "A finding.")]


def test_notebooks_show_all_that_terminals_do() -> None:
    report = Report("spleen")
    collector = Collector()
    collector.feed(report._repr_html_())
    assert collector.open == []
    for word in ("A sentence.", "page", "A title", "class", "DSC", "liver", "0.9", "spleen", "A note.", "A finding."):
        assert word in collector.text
        assert word in str(report)


def test_what_stands_in_the_data_is_text() -> None:
    html = Report(NASTY)._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 2

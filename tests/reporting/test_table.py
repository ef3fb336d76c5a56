"""A table of text in Markdown."""

from __future__ import annotations

import pytest

from samtailor.reporting.table import Table


def test_markdown_is_aligned_and_its_cells_hold_no_bars() -> None:
    table = Table(("name", "value"), (("a|b", "1"), ("long name", "0.25")), ("Read this.",), "Values")
    assert str(table) == (
        "**Values**\n\n"
        "| name      | value |\n| --------- | ----: |\n| a\\|b      |     1 |\n| long name |  0.25 |\n\nRead this.\n"
    )


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 cells"):
        Table(("name", "value"), (("only a name",),))

"""A table of text: Markdown for files, HTML by `samtailor.reporting.page`, drawn by `samtailor.reporting.terminal`."""

from __future__ import annotations

import math
from dataclasses import dataclass

UNDEFINED = "-"
"""What stands in a table where a number is not defined."""


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first column names the row, the others are set flush right.

    Attributes:
        header: Titles of the columns.
        rows: Cells, as many in each row as the header has.
        notes: What a reader must know to read it.
        title: Heading, if any.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    title: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"expected {len(self.header)} cells {self.header}, found {row}")

    def to_markdown(self) -> str:
        """Markdown with aligned columns, the notes below."""
        cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (self.header, *self.rows)]
        widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(self.header))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        title = [f"**{self.title}**", ""] if self.title else []
        lines = [
            f"| {' | '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])} |"
            for row in (cells[0], rule, *cells[1:])
        ]
        notes = [line for note in self.notes for line in ("", note)]
        return "\n".join([*title, *lines, *notes]) + "\n"

    def __str__(self) -> str:
        return self.to_markdown()


def decimal(value: float) -> str:
    """Four decimals, or `UNDEFINED`."""
    return UNDEFINED if math.isnan(value) else f"{value:.4f}"

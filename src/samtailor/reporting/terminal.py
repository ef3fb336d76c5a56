"""What a verb reports, on the terminal: tables, facts, findings and sentences, drawn by rich."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from samtailor.reporting.table import Table

if TYPE_CHECKING:
    from rich.console import RenderableType

Level = Literal["error", "warning", "good"]
_STYLES: dict[Level, str] = {"error": "bold red", "warning": "yellow", "good": "green"}


@dataclass(frozen=True)
class Message:
    """A text in the colour of what it means."""

    level: Level
    text: str


Block = str | Mapping[str, str] | Table | Message
"""A sentence, facts by what they are, a table, or a message."""


def show(blocks: Iterable[Block]) -> None:
    """Print blocks one below the other, in colour where the terminal has colours."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    with console.capture() as capture:  # rich itself would end the process where nobody reads its output
        console.print(*map(_drawn, blocks), sep="\n")
    print(capture.get(), end="")


def to_text(blocks: Iterable[Block], width: int | None = None) -> str:
    """What `show` prints, without colours; as wide as the terminal, and 80 columns where there is none."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=width, color_system=None, force_jupyter=False)
    with console.capture() as capture:
        console.print(*map(_drawn, blocks), sep="\n")
    return capture.get().rstrip("\n")


def _drawn(block: Block) -> RenderableType:
    """A block as rich draws it."""
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    match block:
        case Table():
            table = RichTable(title=Text(block.title, "table.title") if block.title else None)
            for place, name in enumerate(block.header):
                table.add_column(Text(name), justify="right" if place else "left")
            for row in block.rows:
                table.add_row(*map(Text, row))
            return Group(table, *map(Text, block.notes))
        case Message():
            return Text(block.text, _STYLES[block.level])
        case str():
            return Text(block)
        case _:
            facts = RichTable.grid(padding=(0, 2))
            for what, text in block.items():
                facts.add_row(Text(what, "bold"), Text(text))
            return facts

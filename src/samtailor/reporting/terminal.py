"""What a verb reports, on the terminal: tables, facts, findings and sentences, drawn by rich."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from samtailor.reporting.table import Table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Level = Literal["error", "warning", "good"]
_STYLES: dict[Level, str] = {"error": "bold red", "warning": "yellow", "good": "green"}


@dataclass(frozen=True)
class Message:
    """A text in the colour of what it means."""

    level: Level
    text: str


Block = str | Mapping[str, str] | Table | Message
"""A sentence, facts by what they are, a table, or a message."""


_UNBROKEN = 22  # what is no wider stands in one line: numbers, intervals, sizes


def show(blocks: Iterable[Block]) -> None:
    """Print blocks one below the other, drawn for a terminal in its colours; what is no terminal gets `to_plain`."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    print(_captured(console, blocks) if console.is_terminal else to_plain(blocks))


def to_text(blocks: Iterable[Block], width: int | None = None) -> str:
    """Blocks as a terminal shows them, without colours; as wide as the terminal, and 80 columns where there is none."""
    from rich.console import Console

    return _captured(
        Console(highlight=False, markup=False, width=width, color_system=None, force_jupyter=False), blocks
    )


def to_plain(blocks: Iterable[Block]) -> str:
    """Blocks for files and other programs: tables in Markdown, one row in one line."""
    return "\n".join(_in_markdown(block).rstrip("\n") + "\n" for block in blocks).rstrip("\n")


def _in_markdown(block: Block) -> str:
    match block:
        case Table():
            return block.to_markdown()
        case Message():
            return block.text
        case str():
            return block
        case _:
            return "\n".join(f"{what}   {text}" for what, text in block.items())


def _captured(console: Console, blocks: Iterable[Block]) -> str:
    """What a console would print; where nobody reads its output, rich would end the process by itself."""
    with console.capture() as capture:
        console.print(*(_drawn(block, console.width) for block in blocks), sep="\n")
    return capture.get().rstrip("\n")


def _drawn(block: Block, width: int) -> RenderableType:
    """A block as rich draws it."""
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    match block:
        case Table():
            return Group(*_table_parts(block, width), *map(Text, block.notes))
        case Message():
            return Text(block.text, _STYLES[block.level])
        case str():
            return Text(block)
        case _:
            facts = RichTable.grid(padding=(0, 2))
            for what, text in block.items():
                facts.add_row(Text(what, "bold"), Text(text))
            return facts


def _table_parts(table: Table, width: int) -> Iterator[RenderableType]:
    """A table as rich draws it; one that is too wide in parts, each with some of the columns behind the first."""
    from rich.table import Table as RichTable
    from rich.text import Text

    columns = list(zip(table.header, *table.rows, strict=True))
    title = Text(table.title, "table.title") if table.title else None
    for places in _fitting(table.header, [_least(column, width) for column in columns], width):
        widths = _widths([columns[place] for place in places], width)
        part = RichTable(title=title, title_justify="left")
        for place, wide in zip(places, widths, strict=True):
            part.add_column(
                Text(table.header[place]), justify="right" if place else "left", width=wide, overflow="fold"
            )
        for row in table.rows:
            part.add_row(*(Text(row[place]) for place in places))
        yield part
        title = None


def _fitting(titles: Sequence[str], least: Sequence[int], width: int) -> Iterator[list[int]]:
    """The columns of each part of a table, by their least widths: as many as fit, and the first in each.

    A column whose title others have too, such as an interval, tells something of the one before, and stays with it.
    """

    def fits(places: Sequence[int]) -> bool:
        return _whole([least[place] for place in places]) <= width

    together: list[list[int]] = []
    for place in range(1, len(titles)):
        if together and titles.count(titles[place]) > 1 and fits([0, *together[-1], place]):
            together[-1].append(place)
        else:
            together.append([place])
    part = [0]
    for places in together:
        if len(part) > 1 and not fits([*part, *places]):
            yield part
            part = [0]
        part += places
    yield part


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Widths of columns: those of their longest lines; if these are too wide, the widest are cut to the same limit."""
    most, least = [_longest(column, "\n") for column in columns], [_least(column, width) for column in columns]
    for limit in range(max(most), 0, -1):
        widths = [max(low, min(high, limit)) for low, high in zip(least, most, strict=True)]
        if _whole(widths) <= width:
            break
    return widths


def _whole(widths: Sequence[int]) -> int:
    """Width of a table with its borders."""
    return sum(widths) + 3 * len(widths) + 1


def _least(column: Sequence[str], width: int) -> int:
    """The narrowest that a column may become: nothing that is short is broken, and of what is long no word."""
    unbroken = _longest([cell for cell in column[1:] if _longest([cell], "\n") <= _UNBROKEN], "\n")
    return min(max(unbroken, _longest(column)), width // 2)


def _longest(texts: Iterable[str], separator: str | None = None) -> int:
    """Cells of a terminal that the longest word, or line, of texts takes."""
    from rich.cells import cell_len

    return max((cell_len(part) for text in texts for part in text.split(separator)), default=0)

"""Progress of long work: told where the work is done, shown by whoever wants to.

Work says `for case in tracked("cases", cases)` or `report("embeddings", done, total)`. Nothing is shown unless a
display listens (`shown_by`), as those of the command line do. Work inside a tracked item counts as a fraction of it, so
that one display shows one number, however deep the work is nested.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

from samtailor.errors import ConfigError

T = TypeVar("T")

Unit = Literal["items", "bytes"]


EVERY = 60.0
"""Seconds between two lines of progress where there is no terminal, and SAMTAILOR_TELL_EVERY is not set."""
_VARIABLE = "SAMTAILOR_TELL_EVERY"

Display = Callable[[str, float, int, Unit], None]
"""Shows what is being done, how many are done (the current one in part) of how many (0: nobody knows), of what."""


@dataclass(frozen=True, eq=False)
class _Item:
    """An item of tracked work that is being done."""

    what: str
    index: int
    count: int


_display: Display | None = None
_open: list[_Item] = []  # the items that are being done, each inside the one before


@contextmanager
def shown_by(display: Display) -> Iterator[None]:
    """Everything that is reported in the block goes to a display, whatever thread reports it."""
    global _display
    before, _display = _display, display
    try:
        yield
    finally:
        _display = before


def report(what: str, done: float, total: int, unit: Unit = "items") -> None:
    """Tell how far work is; inside a tracked item it counts as a fraction of that item.

    Args:
        what: What is being done.
        done: How many are done, the current one as a fraction.
        total: How many there are; 0 while nobody knows.
        unit: What is counted; bytes are shown for themselves.
    """
    if _display is None:
        return
    if unit == "items":
        for item in reversed(_open):
            what, done, total = item.what, item.index + (done / total if total else 0), item.count
    _display(what, done, total, unit)


def tracked(what: str, items: Sequence[T]) -> Iterator[T]:
    """The items in order, each reported when it begins, and the end of all.

    Args:
        what: What is being done.
        items: What it is done to.
    """
    for index, value in enumerate(items):
        report(what, index, len(items))
        item = _Item(what, index, len(items))
        _open.append(item)
        try:
            yield value
        finally:
            _open.remove(item)
    if items:
        report(what, len(items), len(items))


def told_every() -> float:
    """Seconds between two lines where there is no terminal: a program that shows them to somebody wants more.

    Raises:
        ConfigError: If the variable SAMTAILOR_TELL_EVERY is set, and is no such number.
    """
    if (found := os.environ.get(_VARIABLE)) is None:
        return EVERY
    with suppress(ValueError):
        if 0 <= (seconds := float(found)) < math.inf:
            return seconds
    raise ConfigError(f"{_VARIABLE}: expected seconds between two lines of progress, such as 10; found '{found}'")

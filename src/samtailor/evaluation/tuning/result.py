"""What every search on validation cases shows: a table, and what came of it."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from samtailor.reporting.shown import Shown
from samtailor.reporting.table import Table
from samtailor.reporting.terminal import Block, Message


class TuningResult(Shown):
    """What a search found; printed, it is its table and its verdict.

    Attributes:
        folder: Where the tables are written.
    """

    folder: Path

    @abstractmethod
    def table(self) -> Table:
        """What was tried, or found."""

    @abstractmethod
    def verdict(self) -> Message:
        """What came of it, in a sentence."""

    def blocks(self) -> list[Block]:
        """What the command line shows."""
        return [self.table(), self.verdict(), {"tables": str(self.folder)}]

    def to_markdown(self) -> str:
        """The table, and what came of it."""
        return f"{self.table().to_markdown()}\n{self.verdict().text}\n"

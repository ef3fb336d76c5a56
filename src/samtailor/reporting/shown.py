"""What a verb gives back shows itself: printed as on the terminal, in notebooks as HTML."""

from __future__ import annotations

from abc import ABC, abstractmethod

from samtailor.reporting.html import filled
from samtailor.reporting.terminal import Block, to_text


class Shown(ABC):
    """Something that is made of tables, facts and sentences."""

    @abstractmethod
    def blocks(self) -> list[Block]:
        """What is shown, in its order."""

    def __str__(self) -> str:
        return to_text(self.blocks())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return filled("blocks.html", blocks=self.blocks())

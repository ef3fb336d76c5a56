"""What a verb gives back shows itself: printed as on the terminal, in notebooks as HTML."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

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
        return as_html(self.blocks())


def as_html(blocks: Sequence[Block]) -> str:
    """Blocks one below the other, as a part of a page; whatever stands in the data is text there."""
    templates = PackageLoader("samtailor.reporting")
    html = Environment(loader=templates, autoescape=True, trim_blocks=True, undefined=StrictUndefined)
    return html.get_template("blocks.html").render(blocks=blocks)

"""A page of text, tables and pictures: one self-contained HTML file, or Markdown with the pictures beside it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from samtailor.files import atomic, write_text
from samtailor.reporting.html import filled, image
from samtailor.reporting.table import Table
from samtailor.settings import by_dotted_name
from samtailor.version import VERSION


@dataclass(frozen=True)
class Picture:
    """A picture of a page, with what it shows for those who do not see it, and a caption.

    Its name is that of its file beside a Markdown page, and may begin with a folder.
    """

    name: str
    png: bytes
    alt: str
    caption: str = ""

    def to_html(self) -> str:
        """An element that holds it."""
        return image(self.png, self.alt)

    def to_markdown(self) -> str:
        """Markdown that shows the file of its name."""
        return f"![{self.alt}]({self.name})\n\n{self.caption}".rstrip()


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, then paragraphs, tables and pictures in order."""

    heading: str
    content: tuple[str | Table | Picture, ...]


@dataclass(frozen=True)
class Page:
    """A page that can be mailed or opened anywhere; the note, not to be overlooked, stands out below the title."""

    title: str
    note: str
    sections: tuple[Section, ...]

    def write(self, path: Path) -> None:
        """Write the page as Markdown, with its pictures, and as HTML of the same name."""
        self.write_markdown(path)
        self.write_html(path.with_suffix(".html"))

    def write_html(self, path: Path) -> None:
        """Write one file that holds the pictures, runs nothing and fetches nothing."""
        write_text(path, filled("page.html", page=self) + "\n")

    def write_markdown(self, path: Path) -> None:
        """Write the page, and each picture to its name beside it."""
        blocks = [f"# {self.title}", "\n".join(f"> {line}" for line in self.note.split("\n"))]
        for section in self.sections:
            blocks.append(f"## {section.heading}")
            for item in section.content:
                blocks.append(item if isinstance(item, str) else item.to_markdown().rstrip("\n"))
                if isinstance(item, Picture):
                    with atomic(path.parent / item.name) as temporary:
                        temporary.write_bytes(item.png)
        write_text(path, "\n\n".join(blocks) + "\n")


def settings_table(settings: Mapping[str, Any], heading: str = "setting") -> Table:
    """One row per setting, with dotted names, as the command line takes them."""
    return Table((heading, "value"), tuple((name, str(value)) for name, value in by_dotted_name(settings)))


def machine_table() -> Table:
    """Kind of machine and versions, which times and numbers depend on."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    rows = [
        ("processor", f"{platform.machine()}, {os.cpu_count()} cores"),
        ("GPU", device),
        ("system", platform.system()),
        ("Python", platform.python_version()),
        ("samtailor", VERSION),
        *((name, version(name)) for name in ("torch", "lightning", "transformers", "peft", "monai")),
    ]
    return Table(("what", "which"), tuple(rows))

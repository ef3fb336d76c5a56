"""The page of an experiment as Markdown, for documentation: the sections of its HTML page, pictures as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from samtailor.files import atomic
from samtailor.reporting.page import Picture, Section
from samtailor.reporting.table import Table


def write_markdown(path: Path, title: str, note: str, sections: Sequence[Section]) -> None:
    """Write a page, and its pictures into the folder beside it that has its name.

    Args:
        path: The Markdown file.
        title: Heading of the page.
        note: What must not be overlooked.
        sections: Parts in order.
    """
    folder = path.with_suffix("")
    blocks = [f"# {title}", f"**{note}**"]
    count = 0
    for section in sections:
        blocks.append(f"## {section.heading}")
        for item in section.content:
            match item:
                case Table():
                    blocks.append(item.to_markdown().rstrip("\n"))
                case Picture():
                    count += 1
                    file = folder / f"{count}.png"
                    with atomic(file) as scratch:
                        scratch.write_bytes(item.png)
                    blocks.append(f"![{item.alt}]({folder.name}/{file.name})\n\n{item.caption}".rstrip())
                case _:
                    blocks.append(item)
    with atomic(path) as scratch:
        scratch.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")

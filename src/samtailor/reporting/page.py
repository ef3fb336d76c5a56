"""The report: one self-contained HTML page with tables and pictures, no scripts, nothing to fetch."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from samtailor.files import atomic
from samtailor.reporting.table import Table

_STYLE = """
:root { color-scheme: light dark; --text: #1d2329; --soft: #5b6570; --line: #d9dee3; --page: #fff; --band: #f5f7f9;
  --note: #fff6d9; --edge: #d9a400; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ec; --soft: #a3adb8; --line: #39424c; --page: #14181c;
  --band: #1c2228; --note: #332b10; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 70rem; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { margin: 0 0 1rem; font-size: 1.8rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 1.3rem; }
.note { padding: .75rem 1rem; border-left: 4px solid var(--edge); background: var(--note); font-weight: 600; }
p { max-width: 46rem; white-space: pre-line; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--soft); }
th:first-child { text-align: left; }
tbody th { font-weight: 500; }
tbody tr:nth-child(even) { background: var(--band); }
.small, figcaption { max-width: 60rem; color: var(--soft); font-size: .85rem; }
figure { margin: 1.5rem 0; }
img { display: block; max-width: 100%; height: auto; border-radius: 4px; background: #fff; }
"""


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Attributes:
        png: Content of a PNG file.
        alt: What it shows, for those who do not see it.
        caption: Text below it.
    """

    png: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        heading: Its heading.
        content: Paragraphs, tables and pictures in order.
    """

    heading: str
    content: tuple[str | Table | Picture, ...]


def write_report(path: Path, title: str, note: str, sections: Sequence[Section]) -> None:
    """Write a page that can be mailed or opened anywhere.

    Args:
        path: The HTML file.
        title: Heading of the page.
        note: What must not be overlooked, e.g. that the data is synthetic; stands out below the title.
        sections: Parts in order.
    """
    page = "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="note" role="note">{escape(note)}</p>',
            *(_section(section) for section in sections),
            "</body>",
            "</html>",
            "",
        ]
    )
    with atomic(path) as scratch:
        scratch.write_text(page, encoding="utf-8")


def _section(section: Section) -> str:
    """HTML of a section."""
    return "\n".join(
        [
            "<section>",
            f"<h2>{escape(section.heading)}</h2>",
            *(_block(item) for item in section.content),
            "</section>",
        ]
    )


def _block(item: str | Table | Picture) -> str:
    """HTML of a paragraph, table or picture."""
    match item:
        case Table():
            return _table(item)
        case Picture():
            return _picture(item)
        case _:
            return f"<p>{escape(item)}</p>"


def _table(table: Table) -> str:
    """HTML of a table and its notes; wide tables scroll within the page."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    rows = [
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in table.rows
    ]
    lines = [
        '<div class="wide"><table>',
        f"<thead><tr>{head}</tr></thead>",
        "<tbody>",
        *rows,
        "</tbody>",
        "</table></div>",
    ]
    return "\n".join([*lines, *(f'<p class="small">{escape(note)}</p>' for note in table.notes)])


def _picture(picture: Picture) -> str:
    """HTML of a picture with its bytes inside."""
    data = base64.b64encode(picture.png).decode("ascii")
    image = f'<img src="data:image/png;base64,{data}" alt="{escape(picture.alt)}">'
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f"<figure>{image}{caption}</figure>"

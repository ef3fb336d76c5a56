"""Templates of pages and of parts of pages, filled, and pictures that lie in them."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import Any


def filled(template: str, **values: Any) -> str:
    """A template of this package with values in it.

    Whatever stands in the data, it is text there; a misspelt name in a template must not pass as empty.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only who shows something pays for it

    templates = PackageLoader("samtailor.reporting")
    html = Environment(loader=templates, autoescape=True, trim_blocks=True, undefined=StrictUndefined)
    return html.get_template(template).render(values)


def image(png: bytes, alt: str) -> str:
    """An element that holds a picture, with what it shows for those who do not see it."""
    return f'<img src="data:image/png;base64,{b64encode(png).decode("ascii")}" alt="{escape(alt)}">'

"""What all figures share: how they are saved, the colours of the classes, the look of rows along a value axis.

Matplotlib's objects are used directly, without pyplot: nothing is shared between calls, no window is opened.
"""

from __future__ import annotations

import functools
import io
import logging
import math
import textwrap
import warnings
from pathlib import Path

from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font
from matplotlib.text import Text

from samtailor.errors import listed
from samtailor.files import as_unicode, atomic
from samtailor.labels import IGNORE, LabelSpace

_LONGEST = 60  # letters of a name
_LETTER = 0.096  # inches, on average and a little more, of bold ones of 11 points

LOG = logging.getLogger("samtailor")

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

_DPI = 160
_MOST_PIXELS = 30e6  # a figure with a row for each of a thousand classes is drawn coarser, not in gigabytes


def png(figure: Figure, dpi: int = _DPI) -> bytes:
    """Content of a PNG file of a figure, with fewer dots per inch than asked for if it were too large else."""
    content = io.BytesIO()
    FigureCanvasAgg(figure)
    dots = min(dpi, math.sqrt(_MOST_PIXELS / math.prod(figure.get_size_inches())))
    with rc_context({"text.parse_math": False}), warnings.catch_warnings():  # ticks may be made while it is drawn
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # said once, by `_families`
        _take_literally(figure)
        figure.savefig(content, format="png", dpi=dots)
    return content.getvalue()


def _take_literally(figure: Figure) -> None:
    """Names of classes and files are no formulas, whatever is in them, and want a font that has their letters."""
    texts = figure.findobj(Text)
    for text in texts:
        text.set_text(as_unicode(text.get_text()))
    letters = frozenset("".join(text.get_text() for text in texts)) - {"\n"}
    families = _families(frozenset(letter for letter in letters if not letter.isascii()))
    for text in texts:
        text.set_parse_math(False)
        if len(families) > 1:
            text.set_fontfamily(families)


def fitted(title: str, width: float) -> str:
    """A title in bold letters of 11 points, in lines that are no longer than a figure of so many inches is wide."""
    letters = max(10, int(width / _LETTER))
    return "\n".join(part for line in title.split("\n") for part in textwrap.wrap(line, letters) or [""])


def short(name: str) -> str:
    """A name beside an axis or in a legend: cut where it would leave no room; matplotlib hides what begins with _."""
    name = as_unicode(name)
    name = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
    return f" {name}" if name.startswith("_") else name


@functools.cache
def _families(letters: frozenset[str]) -> list[str]:
    """The usual font and those of this machine that have what it lacks; what none has is told, and drawn as a box."""
    usual = "DejaVu Sans"
    families, lacking = [usual], {ord(letter) for letter in letters}
    lacking -= get_font(font_manager.findfont(usual)).get_charmap().keys()
    fonts = [font for font in font_manager.fontManager.ttflist if not font.name.startswith("Last Resort")]  # has boxes
    for font in sorted(fonts, key=lambda font: font.fname) if lacking else ():
        if has := lacking & get_font(font.fname).get_charmap().keys():
            families.append(font.name)
            lacking -= has
    if lacking:
        LOG.warning(
            "No font of this machine has %s: drawn as boxes in figures; install one that has (for instance Noto Sans)",
            listed([repr(chr(letter)) for letter in sorted(lacking)]),
        )
    return families


def save_figure(figure: Figure, path: Path, dpi: int = _DPI) -> None:
    """Write a figure as a PNG file, complete or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(png(figure, dpi))


def class_colour(labels: LabelSpace, index: int) -> Colour:
    """Colour of a class; gray for `IGNORE`."""
    red, green, blue = labels.palette[index] if index != IGNORE else (128, 128, 128)
    return red / 255, green / 255, blue / 255


def style_rows(axes: Axes) -> None:
    """Rows along a value axis: vertical grid lines, no frame but the axis itself."""
    axes.grid(axis="x", color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)

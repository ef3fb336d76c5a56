"""What all figures share: how they are saved, the colours of the classes, the look of rows along a value axis.

Matplotlib's objects are used directly, without pyplot: nothing is shared between calls, no window is opened.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from samtailor.files import atomic
from samtailor.labels import IGNORE, LabelSpace

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

_DPI = 160
_MOST_PIXELS = 30e6  # a figure with a row for each of a thousand classes is drawn coarser, not in gigabytes


def png(figure: Figure, dpi: int = _DPI) -> bytes:
    """Content of a PNG file of a figure, with fewer dots per inch than asked for if it were too large else."""
    content = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(content, format="png", dpi=min(dpi, math.sqrt(_MOST_PIXELS / math.prod(figure.get_size_inches()))))
    return content.getvalue()


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

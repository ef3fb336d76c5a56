"""Heat maps: how probable each class is, over the slice of a case where it is most so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from samtailor.reporting.figures import fitted, short
from samtailor.reporting.overlay import gray_or_rgb
from samtailor.reporting.view import Slices, drawn_channels, step_of

_PANEL = 2.6  # inches, the longer side of a picture
_LEAST = 0.6  # inches, the shorter side of the room of one: that of a strip holds the name of the scale
_COLUMNS = 4
_COLOURS = "inferno"
_OPACITY = 0.8  # of the colours where a class is at least half certain; the image is seen where it is not


@dataclass(frozen=True)
class HeatMap:
    """One class in one slice.

    Attributes:
        name: Its heading.
        image: In [0, 1], the channels that are drawn, (1 or 3, H, W).
        probability: In [0, 1], (H, W).
    """

    name: str
    image: NDArray[Any]
    probability: NDArray[Any]


def heat_maps(
    image: Slices, probabilities: NDArray[Any], names: Sequence[str], spacing: tuple[float, float, float] | None
) -> Iterator[HeatMap]:
    """Of each class but the first the slice with the largest sum of its probabilities.

    Args:
        image: Slices in [0, 1], (S, C, H, W).
        probabilities: (K, S, H, W); may lie on disk.
        names: Of the K classes.
        spacing: Distance in mm of slices, rows, columns; None for pictures.
    """
    slices = probabilities.shape[1]
    sums = np.array([probabilities[:, index].sum(axis=(1, 2), dtype=np.float64) for index in range(slices)])
    step = step_of(probabilities.shape[2:])
    for k in range(1, len(names)):
        index = int(sums[:, k].argmax())
        drawn = image[index]
        drawn = drawn[drawn_channels(len(drawn), is_picture=spacing is None)]
        shown, probability = (np.array(plane[..., ::step, ::step]) for plane in (drawn, probabilities[k, index]))
        where = f", slice {index + 1} of {slices}" if slices > 1 else ""
        yield HeatMap(f"{short(names[k])}{where}", shown, probability)


def heat_map_figure(maps: Sequence[HeatMap], title: str, aspect: float = 1.0) -> Figure:
    """A panel for each class, and the scale that all share; `aspect` is the height of a pixel over its width."""
    height, width = maps[0].image.shape[1] * aspect, maps[0].image.shape[2]
    across, down = (np.array([width, height]) * _PANEL / max(width, height)).clip(min=_LEAST)
    columns = min(_COLUMNS, len(maps))
    rows = -(-len(maps) // columns)
    wide = max(4, columns * (across + 0.15) + 1.2)
    title = fitted(title, wide)
    above = 0.75 + 0.19 * title.count("\n")
    size = wide, rows * (down + 0.35) + above - 0.3
    figure = Figure(figsize=size)
    places = {"left": 0.1 / size[0], "right": 1 - 1.1 / size[0], "bottom": 0.1 / size[1], "top": 1 - above / size[1]}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw=places | {"wspace": 0.05, "hspace": 0.3 / down})
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, one in zip(grid.flat, maps, strict=False):
        axes.imshow(gray_or_rgb(one.image), aspect=aspect, interpolation="nearest")
        probability = one.probability.astype(np.float32).clip(0, 1)  # of pixels that hold nothing too
        opacity = (2 * probability).clip(0, 1) * _OPACITY
        axes.imshow(probability, _COLOURS, vmin=0, vmax=1, alpha=opacity, aspect=aspect, interpolation="nearest")
        axes.set_title(one.name, fontsize=9)
    scale = ScalarMappable(Normalize(0, 1), _COLOURS)
    bar = figure.add_axes((1 - 0.9 / size[0], 0.1 / size[1], 0.18 / size[0], 1 - (above + 0.1) / size[1]))
    figure.colorbar(scale, bar).set_label("probability", fontsize=9)
    figure.suptitle(title, fontsize=11, fontweight="bold", y=1 - 0.12 / size[1], va="top")
    return figure

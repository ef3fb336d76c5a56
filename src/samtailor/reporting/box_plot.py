"""Box plots: the spread of the cases' scores, every case a point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from samtailor.labels import LabelSpace
from samtailor.reporting.figures import Colour, class_colour, style_rows


def box_plot(values: NDArray[np.float64], labels: LabelSpace, metric: str, title: str = "") -> Figure:
    """Spread of the cases' scores for each class but the background, every case a point.

    Args:
        values: Scores of cases and classes, (N, K); NaN is left out.
        labels: Label space.
        metric: Name of the score, for the axis.
        title: Heading, if any.
    """
    count = len(labels) - 1
    row = float(np.clip(30 / count, 0.16, 0.34))  # inches; many classes stand closer
    longest = max(len(name) for name in labels.names[1:])
    figure = Figure(figsize=(6.4 + 0.075 * longest, 0.9 + row * (count + 1)), layout="constrained")
    axes = figure.add_subplot()
    jitter = np.random.default_rng(0).uniform(-0.22, 0.22, len(values))
    colours = [class_colour(labels, k) for k in range(1, count + 1)]
    draw_boxes(axes, values[:, 1:], labels.names[1:], jitter, colours, min(9, row * 45))
    axes.set(xlim=(-0.02, 1.02), ylim=(count + 0.6, 0.4), xlabel=metric)
    axes.set_title(title, fontsize=9)
    style_rows(axes)
    return figure


def draw_boxes(
    axes: Axes,
    values: NDArray[np.float64],
    names: Sequence[str],
    jitter: NDArray[np.float64],
    colours: Sequence[Colour],
    fontsize: float,
) -> None:
    """Horizontal boxes (quartiles, median, whiskers to 1.5 interquartile ranges) and their points, at 1, 2, ...

    Args:
        axes: Where they are drawn.
        values: A column for each box, (N, M); NaN is left out.
        names: Of the boxes, M.
        jitter: Of each point across its box, (N,).
        colours: Of the boxes and their points, M.
        fontsize: Of the names.
    """
    line = {"color": "0.25", "linewidth": 0.9}
    known = ~np.isnan(values)
    for k, colour in enumerate(colours):
        shown = known[:, k]
        if not shown.any():
            continue
        axes.boxplot(
            values[shown, k],
            positions=[k + 1],
            orientation="horizontal",
            widths=0.6,
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": (*colour, 0.35), "edgecolor": "0.25", "linewidth": 0.9},
            medianprops={"color": "black", "linewidth": 1.6, "zorder": 4},  # above the points
            whiskerprops=line,
            capprops=line,
        )
        style = {"s": np.clip(400 / shown.sum(), 5, 14), "color": [colour], "edgecolors": "0.2", "linewidths": 0.5}
        axes.scatter(values[shown, k], k + 1 + jitter[shown], zorder=3, clip_on=False, **style)
    ticks = [f"{name}  (n = {count})" for name, count in zip(names, known.sum(axis=0), strict=True)]
    axes.set_yticks(range(1, len(names) + 1), ticks, fontsize=fontsize)

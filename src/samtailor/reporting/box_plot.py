"""Box plots: the spread of the cases' scores, every case a point."""

from __future__ import annotations

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
    ticks = []
    for k in range(1, count + 1):
        known = ~np.isnan(values[:, k])
        ticks.append(f"{labels.names[k]}  (n = {known.sum()})")
        if known.any():
            draw_box(axes, values[known, k], k, jitter[known], class_colour(labels, k))
    axes.set_yticks(range(1, count + 1), ticks, fontsize=min(9, row * 45))
    axes.set(xlim=(-0.02, 1.02), ylim=(count + 0.6, 0.4), xlabel=metric)
    axes.set_title(title, fontsize=9)
    style_rows(axes)
    return figure


def draw_box(
    axes: Axes, values: NDArray[np.float64], position: int, jitter: NDArray[np.float64], colour: Colour
) -> None:
    """One horizontal box (quartiles, median, whiskers to 1.5 interquartile ranges) and its points.

    Args:
        axes: Where it is drawn.
        values: One for each case, (N,).
        position: On the y axis.
        jitter: Of each point across the box, (N,).
        colour: Of box and points.
    """
    axes.boxplot(
        values,
        positions=[position],
        orientation="horizontal",
        widths=0.6,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": (*colour, 0.35), "edgecolor": "0.25", "linewidth": 0.9},
        medianprops={"color": "black", "linewidth": 1.6, "zorder": 4},  # above the points
        whiskerprops={"color": "0.25", "linewidth": 0.9},
        capprops={"color": "0.25", "linewidth": 0.9},
    )
    size = np.clip(400 / len(values), 5, 14)
    axes.scatter(
        values, position + jitter, s=size, color=[colour], edgecolors="0.2", linewidths=0.5, zorder=3, clip_on=False
    )

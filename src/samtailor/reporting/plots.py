"""Plots of numbers: the cases' scores as boxes, of one result or several, the confusion matrix, a training's curves."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from samtailor.labels import LabelSpace
from samtailor.reporting.figures import Colour, class_colour, short, style_rows
from samtailor.runs import smoothed

_MOST_CLASSES = 30  # more curves cannot be told apart
_MOST_NUMBERED = 30  # classes: more numbers in a confusion matrix cannot be read
_LARGEST_SIDE = 20.0  # inches, of a confusion matrix
_SMALLEST_FONT = 3.0  # points
_NOTED_WIDTH = 8.0  # inches
_LINE = 0.16  # inches, a line of small text
_NAME = 0.2  # inches, from a curve's name to the next
_BRIGHTEST = 0.55  # luminance of lines on white
_BLACK: Colour = (0.0, 0.0, 0.0)  # of the mean
_BESIDE_BLACK: Colour = (0.5, 0.5, 0.5)  # of the background, where the mean is black
_LEADER: dict[str, Any] = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 2, "shrinkB": 0, "relpos": (0, 0.5)}
_DOTS: dict[str, Any] = {"marker": "o", "markersize": 2.5}  # one epoch alone makes no line


def box_plot(values: NDArray[np.float64], labels: LabelSpace, metric: str, title: str = "") -> Figure:
    """Spread of the cases' scores (N, K) for each class but the background, every case a point; NaN is left out."""
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

    A box for each column of the values (N, M), NaN left out; the jitter (N,) moves each point across its box.
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
    ticks = [f"{short(name)}  (n = {count})" for name, count in zip(names, known.sum(axis=0), strict=True)]
    axes.set_yticks(range(1, len(names) + 1), ticks, fontsize=fontsize)


def confusion_figure(matrix: NDArray[np.int64], labels: LabelSpace, title: str = "") -> Figure:
    """Share of the pixels of each true class (row) that are predicted as each class (column), in percent."""
    classes = len(labels)
    pixels = matrix.sum(axis=1, keepdims=True)
    shares = np.where(pixels > 0, 100 * matrix / np.maximum(pixels, 1), np.nan)
    is_large = classes > _MOST_NUMBERED  # colours alone, then names as small as the side allows
    side = max(2.6, 0.55 * classes) if not is_large else min(0.12 * classes, _LARGEST_SIDE)
    fontsize = 9 if not is_large else 50 * side / classes  # points: 72 to an inch
    names = tuple(map(short, labels.names)) if fontsize >= _SMALLEST_FONT else ()
    margin = fontsize / 120 * max(map(len, names), default=0)
    figure = Figure(figsize=(side + margin + 1.0, side + margin + 0.7 + 0.18 * title.count("\n")), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares) if not is_large else ():
        if not np.isnan(share):
            text = f"{share:.1f}" if share < 99.95 else "100"
            colour = "white" if share > 55 else "0.15"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=fontsize)
    axes.set_yticks(range(len(names)), names, fontsize=fontsize)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title or "% of each true class's pixels", fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def curves_figure(
    rows: Sequence[Mapping[str, float]], labels: LabelSpace, kept: float, has_background: bool = False
) -> Figure:
    """Training loss of each epoch, and DSC of each class and their mean where it was validated.

    Classes have their colours, darkened where a line on white would be lost, and their names at the ends of the lines.
    The dashed line is the smoothed mean, which is highest at the epoch that is kept (see `samtailor.runs.best_of`).

    Args:
        rows: History of a run.
        labels: The classes.
        kept: Epoch whose segmenter is kept.
        has_background: The background counts in the mean, and has a line like the others, grey beside the mean's black.
    """
    validated = [row for row in rows if "dsc" in row]
    drawn = range(0 if has_background else 1, len(labels)) if len(labels) - 1 <= _MOST_CLASSES else ()
    curves: dict[str, tuple[list[float], Colour, float]] = {}
    for k in drawn:
        name, colour = labels.names[k], _on_white(labels, k) if k else _BESIDE_BLACK
        curves[name] = [row.get(f"dsc/{name}", math.nan) for row in validated], colour, 1.1
    means = [row["dsc"] for row in validated]
    curves["mean"] = means, _BLACK, 2.2
    figure = Figure(figsize=(11, max(4.0, 0.9 + _NAME * len(curves))), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([row["epoch"] for row in rows], [row["loss"] for row in rows], color="0.2", **_DOTS)
    left.set(xlabel="epoch", ylabel="training loss", title="Loss")
    epochs = [row["epoch"] for row in validated]
    for scores, colour, width in curves.values():
        right.plot(epochs, scores, color=colour, linewidth=width, **_DOTS)
    right.plot(epochs, smoothed(means), color=_BLACK, linewidth=1.1, linestyle="--", label="mean, smoothed")
    right.set(xlabel="epoch", ylabel="DSC", ylim=(0, 1), title=f"Validation, whole cases; epoch {kept:.0f} is kept")
    right.axvline(kept, color="0.4", linewidth=1.2, linestyle=":")
    right.legend(loc="lower right", frameon=False, fontsize=8)  # curves rise, and end above it
    if validated:
        _name_ends(right, epochs[-1], {name: (scores[-1], colour) for name, (scores, colour, _) in curves.items()})
    for axes in (left, right):
        axes.grid(color="0.9", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0.5, len(rows) + 0.1)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _name_ends(axes: Axes, last: float, ends: Mapping[str, tuple[float, Colour]]) -> None:
    """Names of curves beside the axes, in the order of their ends in [0, 1] at the last epoch, as near as they fit."""
    known = sorted((0.0 if math.isnan(end) else end, name) for name, (end, _) in ends.items())
    steps = np.arange(len(known)) / max(len(known) - 1, 16)
    moved = isotonic_regression([end for end, _ in known] - steps).x  # nearest to the ends, and far enough apart
    places = np.clip(moved, 0, 1 - steps[-1]) + steps
    for place, (end, name) in zip(places.tolist(), known, strict=True):
        colour = ends[name][1]
        axes.annotate(
            f"{short(name)}  {end:.2f}" if not math.isnan(ends[name][0]) else f"{short(name)}  -",
            (last, end),
            (1.05, place),
            textcoords="axes fraction",
            color=colour,
            fontsize=8,
            fontweight="bold" if name == "mean" else "normal",
            va="center",
            annotation_clip=False,
            arrowprops=_LEADER | {"color": colour},
        )


def _on_white(labels: LabelSpace, index: int) -> Colour:
    """A class's colour, as dark as a line on white must be: at most 0.55 of its luminance (ITU-R BT.709)."""
    red, green, blue = class_colour(labels, index)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    share = min(1.0, _BRIGHTEST / max(luminance, 1e-6))
    return red * share, green * share, blue * share


def case_figure(values: Mapping[str, NDArray[np.float64]], label: str, notes: Sequence[str] = ()) -> Figure:
    """A box for each result over its cases (N,), NaN left out, the points of each case joined; notes stand above."""
    figure, axes = _under(notes, 1.1 + 0.6 * len(values))
    cases = np.column_stack(list(values.values()))
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(cases))
    positions = np.arange(1, len(values) + 1)
    for case, shift in zip(cases, jitter, strict=True):
        axes.plot(case, positions + shift, color="0.6", linewidth=0.7, zorder=2)
    draw_boxes(axes, cases, list(values), jitter, _colours(len(values)), 9)
    axes.set(ylim=(len(values) + 0.6, 0.4), xlabel=label)
    style_rows(axes)
    return figure


def class_figure(
    rows: Sequence[str],
    means: Mapping[str, NDArray[np.float64]],
    label: str,
    notes: Sequence[str] = (),
    is_share: bool = True,
) -> Figure:
    """A bar for each row and result with its interval; notes stand above.

    `means` has value, lower and upper end of each row, (R, 3), by the name of the result; `is_share`
    shows all of [0, 1].
    """
    bar = float(np.clip(0.2 - 0.01 * len(means), 0.1, 0.18))  # inches; many results have thin bars
    group = bar * len(means) + 0.14
    figure, axes = _under(notes, 1.2 + group * len(rows) + 0.2 * -(-len(means) // 3))
    for place, ((name, numbers), colour) in enumerate(zip(means.items(), _colours(len(means)), strict=True)):
        values, ends = numbers[:, 0], numbers[:, 1:]
        axes.barh(
            np.arange(len(rows)) + (place - (len(means) - 1) / 2) * bar / group,
            values,
            0.92 * bar / group,
            color=(*colour, 0.75),
            label=name,
            xerr=np.abs(ends.T - values),
            error_kw={"ecolor": "0.2", "elinewidth": 0.9, "capsize": 1.8, "capthick": 0.9},
        )
    axes.set_yticks(range(len(rows)), [short(row) for row in rows], fontsize=9)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=label, **({"xlim": (-0.02, 1.02)} if is_share else {}))
    style_rows(axes)
    figure.legend(loc="outside lower center", ncols=min(3, len(means)), frameon=False, fontsize=9)
    return figure


def severity_figure(curves: Mapping[str, Mapping[str, NDArray[np.float64]]], label: str) -> Figure:
    """Curves of a score over severities, a panel for each corruption, a curve for each result.

    `curves` has the score on clean images, and under severities 1, 2, ..., (1 + severities,), by the names of the
    corruption and of the result; a gap where it is NaN.
    """
    names = list(dict.fromkeys(name for panel in curves.values() for name in panel))
    columns = min(4, math.ceil(math.sqrt(len(curves))))
    rows = -(-len(curves) // columns)
    lines = -(-len(names) // 3)
    figure = Figure(figsize=(max(4.0, 2.4 * columns), 0.5 + 2.0 * rows + 0.2 * lines), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (corruption, panel) in zip(panels, curves.items(), strict=False):
        for (name, values), colour in zip(panel.items(), _colours(len(names)), strict=False):
            axes.plot(range(len(values)), values, color=colour, marker="o", markersize=3, linewidth=1.3, label=name)
        axes.set_title(corruption, fontsize=9)
        axes.set_xticks(range(len(values)), ["clean", *map(str, range(1, len(values)))], fontsize=7)
        axes.tick_params(axis="y", labelsize=7)
        axes.grid(color="0.88", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(curves) :]:
        axes.set_visible(False)
    for axes in panels[max(0, len(curves) - columns) : len(curves)]:  # the last of each column
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("severity", fontsize=8)
    figure.supylabel(label, fontsize=9)
    handles = panels[0].get_lines()
    figure.legend(
        handles, [short(name) for name in names], loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    return figure


def _colours(count: int) -> list[Colour]:
    """A colour for each result."""
    colours = colormaps["tab10" if count <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    return [colours[place % len(colours)] for place in range(count)]


def _under(notes: Sequence[str], height: float) -> tuple[Figure, Axes]:
    """A figure of a height in inches, with notes as wide as it is above."""
    lines = [line for note in notes for line in textwrap.wrap(note, width=115)]
    figure = Figure(figsize=(_NOTED_WIDTH, height + _LINE * len(lines)), layout="constrained")
    if lines:
        figure.suptitle("\n".join(lines), fontsize=8, x=0.01, ha="left")
    return figure, figure.add_subplot()

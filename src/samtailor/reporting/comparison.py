"""Figures of several results on the same cases: the cases of each result, and the classes side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from samtailor.reporting.figures import Colour, style_rows
from samtailor.reporting.plots import draw_boxes

_WIDTH = 8.0  # inches
_LINE = 0.16  # inches, a line of small text


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
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=label, **({"xlim": (-0.02, 1.02)} if is_share else {}))
    style_rows(axes)
    figure.legend(loc="outside lower center", ncols=min(3, len(means)), frameon=False, fontsize=9)
    return figure


def _colours(count: int) -> list[Colour]:
    """A colour for each result."""
    colours = colormaps["tab10" if count <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    return [colours[place % len(colours)] for place in range(count)]


def _under(notes: Sequence[str], height: float) -> tuple[Figure, Axes]:
    """A figure of a height in inches, with notes as wide as it is above."""
    lines = [line for note in notes for line in textwrap.wrap(note, width=115)]
    figure = Figure(figsize=(_WIDTH, height + _LINE * len(lines)), layout="constrained")
    if lines:
        figure.suptitle("\n".join(lines), fontsize=8, x=0.01, ha="left")
    return figure, figure.add_subplot()

"""Figures of a comparison: the cases' means of each result, and the classes side by side."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samtailor.evaluation.comparison.paired import LOWER_IS_BETTER, MEAN, Comparison, metric_title
from samtailor.reporting.figures import Colour, draw_box

_WIDTH = 8.0  # inches
_LINE = 0.16  # inches, a line of small text


def case_figure(comparison: Comparison) -> Figure:
    """A box for each result over its cases, the points of each case joined by a line."""
    results = comparison.results
    values = np.column_stack([result.case_means() for result in results])
    bounds = _upper_bounds(comparison)
    figure = Figure(figsize=(_WIDTH, 1.1 + 0.6 * len(results) + _LINE * len(bounds)), layout="constrained")
    axes = figure.add_subplot()
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(values))
    positions = range(1, len(results) + 1)
    for case, shift in zip(values, jitter, strict=True):
        axes.plot(case, np.array(positions) + shift, color="0.6", linewidth=0.7, zorder=2)
    names = []
    for position, result, column, colour in zip(positions, results, values.T, _colours(comparison), strict=True):
        known = ~np.isnan(column)
        names.append(f"{_named(comparison, result.name)}  (n = {known.sum()})")
        if known.any():
            draw_box(axes, column[known], position, jitter[known], colour)
    axes.set_yticks(positions, names, fontsize=9)
    axes.set_ylim(len(results) + 0.6, 0.4)
    what = MEAN if len(results[0].classes) > 1 else results[0].classes[0]
    _finish(axes, comparison, f"{metric_title(comparison.metric)} of each case, {what}")
    _head(figure, bounds)
    return figure


def class_figure(comparison: Comparison) -> Figure:
    """A bar for each class and result: mean over the cases with its 95 % interval."""
    results = comparison.results
    whats = list(comparison.means[results[0].name])
    bounds = _upper_bounds(comparison)
    bar = float(np.clip(0.2 - 0.01 * len(results), 0.1, 0.18))  # inches; many results have thin bars
    group = bar * len(results) + 0.14
    height = 1.2 + group * len(whats) + 0.2 * -(-len(results) // 3) + _LINE * len(bounds)
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    for place, (result, colour) in enumerate(zip(results, _colours(comparison), strict=True)):
        estimates = list(comparison.means[result.name].values())
        values = np.array([estimate.value for estimate in estimates])
        ends = np.array([estimate.interval or (estimate.value, estimate.value) for estimate in estimates])
        positions = np.arange(len(whats)) + (place - (len(results) - 1) / 2) * bar / group
        axes.barh(
            positions,
            values,
            0.92 * bar / group,
            color=(*colour, 0.75),
            label=_named(comparison, result.name),
            xerr=np.abs(ends.T - values),
            error_kw={"ecolor": "0.2", "elinewidth": 0.9, "capsize": 1.8, "capthick": 0.9},
        )
    axes.set_yticks(range(len(whats)), whats, fontsize=9)
    axes.set_ylim(len(whats) - 0.4, -0.6)
    if all(result.values[~np.isnan(result.values)].max(initial=0) <= 1 for result in results):
        axes.set_xlim(-0.02, 1.02)
    _finish(axes, comparison, f"{metric_title(comparison.metric)}, mean over the cases and 95 % interval")
    figure.legend(loc="outside lower center", ncols=min(3, len(results)), frameon=False, fontsize=9)
    _head(figure, bounds)
    return figure


def _colours(comparison: Comparison) -> list[Colour]:
    """A colour for each result."""
    few = len(comparison.results) <= 10
    colours = colormaps["tab10" if few else "tab20"].colors  # type: ignore[attr-defined]
    return [colours[place % len(colours)] for place in range(len(comparison.results))]


def _named(comparison: Comparison, name: str) -> str:
    """A name, with a mark if it is an upper bound."""
    return f"{name} †" if name in comparison.upper_bounds else name


def _upper_bounds(comparison: Comparison) -> list[str]:
    """Lines that say which results used the ground truth, and how."""
    sentences: dict[str, list[str]] = {}
    for name, sentence in comparison.upper_bounds.items():
        sentences.setdefault(sentence, []).append(name)
    return [
        line
        for sentence, names in sentences.items()
        for line in textwrap.wrap(f"† {', '.join(names)}: {sentence}", width=115)
    ]


def _head(figure: Figure, bounds: list[str]) -> None:
    """Set the lines about upper bounds above a figure."""
    if bounds:
        figure.suptitle("\n".join(bounds), fontsize=8, x=0.01, ha="left")


def _finish(axes: Axes, comparison: Comparison, label: str) -> None:
    """Grid and label of the value axis."""
    better = "lower is better" if comparison.metric in LOWER_IS_BETTER else "higher is better"
    axes.set_xlabel(f"{label} ({better})")
    axes.grid(axis="x", color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)

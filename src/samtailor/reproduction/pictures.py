"""Figures like the report's: image, truth and every column side by side, cases chosen by a stated rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from samtailor.data.cache import CachedCase, SliceCache
from samtailor.reporting.figures import png
from samtailor.reporting.overlay import Panel, overlay_row
from samtailor.reporting.page import Picture
from samtailor.reporting.view import representative_slice
from samtailor.reproduction.definition import UPPER_BOUND
from samtailor.reproduction.plan import Plan
from samtailor.reproduction.results import ColumnResult, dice
from samtailor.reproduction.scoring import read_saved, saved_file

RULE = (
    "Cases are chosen by a rule, not by hand: of the scored cases that every column has, the median and the best by "
    "mean DSC (without background) of {chooser}, and the first, in alphabetical order, with the most classes. Of a "
    "volume, the slice with the most classes and, of those, the most labelled pixels, among the slices that every "
    "zero-shot column was tried on. Colours are the same everywhere."
)


def chooser(results: Sequence[ColumnResult]) -> ColumnResult:
    """The column whose scores choose the cases: LoRA with rank 4, else the first fitted one, else the first."""
    return min(results, key=lambda result: (result.column.name != "lora-4", result.column.is_zero_shot))


def rows(plan: Plan, results: Sequence[ColumnResult]) -> Iterator[Picture]:
    """One picture for each chosen case."""
    cache = SliceCache(plan.dataset.labels, plan.preprocessing)
    folders = [result.cells[0].predictions(plan.split) for result in results]
    files = {
        file.name: file for file in plan.scored_cases if all(saved_file(folder, file).is_file() for folder in folders)
    }
    decides = chooser(results)
    number = 0
    for name, role in choose(decides.metrics[0], sorted(files), decides.column.title).items():
        planes = [read_saved(folder, files[name], plan.dataset) for folder in folders]
        if drawn := _row(plan, role, cache.load(files[name]), results, planes):
            number += 1
            figure, caption = drawn
            yield Picture(f"{plan.experiment.name}/{number}.png", png(figure), caption, caption)


def choose(metrics: Mapping[str, Any], names: Sequence[str], whose: str) -> dict[str, str]:
    """Cases to show and why, each once, by the `metrics.json` of the column that decides."""
    background = metrics["classes"][0]
    there = {  # DSC of the classes but the background that each case has
        name: [
            dice(scores)
            for label, scores in metrics["cases"][name].items()
            if label != background and scores["truth_voxels"]
        ]
        for name in names
        if name in metrics["cases"]
    }
    means = {name: float(np.mean(values)) for name, values in there.items() if values}
    order = sorted(means, key=lambda name: -means[name])
    chosen: dict[str, str] = {}
    if order:
        median, best = order[len(order) // 2], order[0]
        chosen[median] = f"Median case of {whose} by mean DSC ({means[median]:.4f})"
        chosen.setdefault(best, f"Best case of {whose} by mean DSC ({means[best]:.4f})")
    if there:
        most = max(there, key=lambda name: len(there[name]))  # the first of equals
        chosen.setdefault(most, f"First case with most classes ({len(there[most])})")
    return chosen


def _row(
    plan: Plan, role: str, case: CachedCase, results: Sequence[ColumnResult], planes: Sequence[NDArray[np.int16]]
) -> tuple[Figure, str] | None:
    """Figure and caption of one case; None if no slice was tried by every zero-shot column."""
    assert case.label is not None
    columns = list(zip(results, planes, strict=True))
    tried = [plane.any(axis=(1, 2)) for result, plane in columns if result.column.is_zero_shot]
    is_volume = len(case.label) > 1
    candidates = np.flatnonzero(np.all(tried, axis=0)) if tried and is_volume else np.arange(len(case.label))
    if not len(candidates):
        return None
    number = int(candidates[representative_slice(np.asarray(case.label[candidates]))])
    panels = [Panel("image"), Panel("truth", np.asarray(case.label[number]))]
    panels += [Panel(_name(result), plane[number]) for result, plane in columns]
    aspect = 1.0 if case.spacing is None else case.spacing[1] / case.spacing[2]
    where = f"{case.name}, slice {number + 1} of {len(case.label)}" if is_volume else case.name
    title = f"{role}: {where}"
    bounds = [result.column.title for result in results if result.column.is_zero_shot]
    caption = f"{title}. {' and '.join(bounds)}: {UPPER_BOUND}." if bounds else f"{title}."
    return overlay_row(np.asarray(case.image[number]), panels, plan.dataset.labels, title, aspect), caption


def _name(result: ColumnResult) -> str:
    """Heading of a panel; says of a zero-shot column that it is an upper bound."""
    title, base = result.column.title, result.base
    return f"{title} ({base})\n{UPPER_BOUND}" if result.column.is_zero_shot else f"{title}\n{base}"

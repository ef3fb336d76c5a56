"""Figures like the report's: image, truth and every column side by side, cases chosen by a stated rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from samtailor.data.cache import CachedCase, SliceCache
from samtailor.data.case import CaseFiles
from samtailor.reporting.figures import png
from samtailor.reporting.overlay import Panel, overlay_row
from samtailor.reporting.page import Picture
from samtailor.reporting.view import representative_slice
from samtailor.reproduction.columns import UPPER_BOUND
from samtailor.reproduction.plan import Plan
from samtailor.reproduction.results import ColumnResult, dice
from samtailor.reproduction.scoring import read_saved, saved_file

RULE = (
    "Cases are chosen by a rule, not by hand: of the scored cases that every column has, the median and the best by "
    "mean DSC (without background) of {chooser}, and the first, in alphabetical order, with the most classes. Of a "
    "volume, the slice with the most classes and, of those, the most labelled pixels, among the slices that every "
    "zero-shot column was tried on. Colours are the same everywhere."
)


@dataclass(frozen=True)
class Shown:
    """A column as it is shown.

    Attributes:
        result: The column.
        predictions: Folder with its label maps.
        metrics: Content of its `metrics.json`.
    """

    result: ColumnResult
    predictions: Path
    metrics: Mapping[str, Any]

    @property
    def is_upper_bound(self) -> bool:
        """Whether it uses the truth, and may have been tried on some slices only."""
        return self.result.column.is_zero_shot

    @property
    def name(self) -> str:
        """Heading of its panel; says of a zero-shot column that it is an upper bound."""
        if self.is_upper_bound:
            return f"{self.result.column.title} ({self.result.base})\n{UPPER_BOUND}"
        return f"{self.result.column.title}\n{self.result.base}"


def chooser(columns: Sequence[Shown]) -> Shown:
    """The column whose scores choose the cases: LoRA with rank 4, else the first fitted one, else the first."""
    by_name = {shown.result.column.name: shown for shown in columns}
    fitted = [shown for shown in columns if not shown.result.column.is_zero_shot]
    return by_name.get("lora-4") or (fitted or list(columns))[0]


def rows(plan: Plan, columns: Sequence[Shown]) -> Iterator[Picture]:
    """One picture for each chosen case.

    Args:
        plan: The experiment.
        columns: Scored columns, at least one.
    """
    cache = SliceCache(plan.dataset.labels, plan.preprocessing)
    files = {file.name: file for file in plan.scored_cases if _all_have(file, columns)}
    decides = chooser(columns)
    number = 0
    chosen = choose(decides.metrics, sorted(files), decides.result.column.title)
    for name, role in chosen.items():
        case = cache.load(files[name])
        planes = [read_saved(shown.predictions, files[name], plan.dataset) for shown in columns]
        drawn = _row(plan, role, case, columns, planes)
        if drawn is not None:
            number += 1
            figure, caption = drawn
            yield Picture(f"{plan.experiment.name}/{number}.png", png(figure), caption, caption)


def choose(metrics: Mapping[str, Any], names: Sequence[str], whose: str) -> dict[str, str]:
    """Cases to show and why, each once.

    Args:
        metrics: Content of the `metrics.json` that decides.
        names: Cases that can be shown, in alphabetical order.
        whose: Heading of the column that they belong to.
    """
    scores = {name: score for name in names if (score := _mean_dsc(metrics, name)) is not None}
    order = sorted(scores, key=lambda name: -scores[name])
    classes = {name: _classes(metrics, name) for name in names if name in metrics["cases"]}
    chosen: dict[str, str] = {}
    if order:
        median, best = order[len(order) // 2], order[0]
        chosen[median] = f"Median case of {whose} by mean DSC ({scores[median]:.4f})"
        chosen.setdefault(best, f"Best case of {whose} by mean DSC ({scores[best]:.4f})")
    if classes:
        most = max(classes, key=lambda name: classes[name])  # the first of equals
        chosen.setdefault(most, f"First case with most classes ({classes[most]})")
    return chosen


def _row(
    plan: Plan, role: str, case: CachedCase, columns: Sequence[Shown], planes: Sequence[NDArray[np.int16]]
) -> tuple[Figure, str] | None:
    """Figure and caption of one case; None if no slice was tried by every zero-shot column."""
    assert case.label is not None
    tried = [plane.any(axis=(1, 2)) for shown, plane in zip(columns, planes, strict=True) if shown.is_upper_bound]
    is_volume = len(case.label) > 1
    candidates = np.flatnonzero(np.all(tried, axis=0)) if tried and is_volume else np.arange(len(case.label))
    if not len(candidates):
        return None
    number = int(candidates[representative_slice(np.asarray(case.label[candidates]))])
    panels = [Panel("image"), Panel("truth", np.asarray(case.label[number]))]
    panels += [Panel(shown.name, plane[number]) for shown, plane in zip(columns, planes, strict=True)]
    aspect = 1.0 if case.spacing is None else case.spacing[1] / case.spacing[2]
    where = f"{case.name}, slice {number + 1} of {len(case.label)}" if is_volume else case.name
    title = f"{role}: {where}"
    bounds = [shown.result.column.title for shown in columns if shown.is_upper_bound]
    caption = f"{title}. {' and '.join(bounds)}: {UPPER_BOUND}." if bounds else f"{title}."
    return overlay_row(np.asarray(case.image[number]), panels, plan.dataset.labels, title, aspect), caption


def _all_have(file: CaseFiles, columns: Sequence[Shown]) -> bool:
    """Whether every column has a label map of a case."""
    return all(saved_file(shown.predictions, file).is_file() for shown in columns)


def _mean_dsc(metrics: Mapping[str, Any], name: str) -> float | None:
    """Mean DSC of a case over the classes but the background that it has; None if it has none."""
    case = metrics["cases"].get(name, {})
    present = [scores for label, scores in case.items() if label != metrics["classes"][0] and scores["truth_voxels"]]
    values = [dice(scores) for scores in present]
    return float(np.mean(values)) if values else None


def _classes(metrics: Mapping[str, Any], name: str) -> int:
    """Classes but the background that a case has."""
    case = metrics["cases"][name]
    return sum(bool(scores["truth_voxels"]) for label, scores in case.items() if label != metrics["classes"][0])

"""The page of an experiment: published numbers next to ours, margins, pictures, costs and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from samtailor.data.cache import CachedCase, SliceCache
from samtailor.models.counts import count_parameters
from samtailor.models.zoo import find_base
from samtailor.reporting.amounts import in_time
from samtailor.reporting.figures import png
from samtailor.reporting.overlay import Panel, overlay_row
from samtailor.reporting.page import Page, Picture, Section, machine_table, settings_table
from samtailor.reporting.table import UNDEFINED, Table
from samtailor.reporting.view import representative_slice
from samtailor.reproduction.cells import MAIN, Fit, ZeroShot
from samtailor.reproduction.definition import UPPER_BOUND
from samtailor.reproduction.plan import Plan
from samtailor.reproduction.results import ColumnResult, dice
from samtailor.reproduction.scoring import read_saved, saved_file
from samtailor.reproduction.tables import PublishedVsOurs, field_table, protocol_table

RULE = (
    "Cases are chosen by a rule, not by hand: of the scored cases that every column has, the median and the best by "
    "mean DSC (without background) of {chooser}, and the first, in alphabetical order, with the most classes. Of a "
    "volume, the slice with the most classes and, of those, the most labelled pixels, among the slices that every "
    "zero-shot column was tried on. Colours are the same everywhere."
)


def chooser(results: Sequence[ColumnResult]) -> ColumnResult:
    """The column whose scores choose the cases: LoRA with rank 4, else the first fitted one, else the first."""
    return min(results, key=lambda result: (result.column.name != "lora-4", result.column.is_zero_shot))


def pictures(plan: Plan, results: Sequence[ColumnResult]) -> Iterator[Picture]:
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


def write_page(plan: Plan, results: Sequence[ColumnResult]) -> Path:
    """Write NAME.md, its pictures and NAME.html into the directory of the plan; gives the Markdown file."""
    path = plan.out / f"{plan.experiment.name}.md"
    page = Page(heading(plan), caution(plan, results), tuple(_sections(plan, results)))
    page.write(path)
    return path


def heading(plan: Plan) -> str:
    """Heading of the page; names base and data where they are not the report's."""
    experiment = plan.experiment
    others = [f"with {plan.base}"] if plan.base != experiment.base else []
    others += [f"on {plan.source.title}"] if plan.source != experiment.own_data else []
    how = f" {' '.join(others)} (the report: {experiment.base} on {experiment.own_data.title})" if others else ""
    return f"{experiment.report} of the report, measured again{how}: {experiment.title}"


def caution(plan: Plan, results: Sequence[ColumnResult]) -> str:
    """What must not be overlooked."""
    experiment = plan.experiment
    sentences = []
    if plan.base != experiment.base:
        sentences.append(f"Made with the base {plan.base}, the report's is {experiment.base}.")
    if plan.source != experiment.own_data:
        sentences.append(
            f"The data is {plan.source.title} and not {experiment.own_data.title}: classes are matched by name, other "
            "patients are scored."
        )
    bounds = [f"{result.column.title} ({result.base})" for result in results if result.column.is_zero_shot]
    if bounds:
        sentences.append(
            f"{' and '.join(bounds)}: {UPPER_BOUND}; of all masks made without a prompt, the one with the highest Dice "
            "is taken for each class that is there."
        )
    if len(bounds) < len(results):
        sentences.append(about_seeds(plan))
    return " ".join([*sentences, *plan.missing_columns()])


def about_seeds(plan: Plan) -> str:
    """What the seeds tell, in a sentence."""
    seeds = ", ".join(map(str, plan.config.seeds))
    if len(plan.config.seeds) == 1:
        return f"One seed ({seeds}): no deviation can be given."
    return f"Mean ± standard deviation over the seeds {seeds}."


def _sections(plan: Plan, results: Sequence[ColumnResult]) -> Iterator[Section]:
    """Parts of the page in order; a figure begins with its pictures, a table with its numbers."""
    versus = PublishedVsOurs(plan.experiment, tuple(results))
    rule = RULE.format(chooser=chooser(results).column.title)
    drawn = tuple(pictures(plan, results))
    shown = Section("Pictures", (rule, *(drawn or ("No case can be shown by this rule.",))))
    numbers = [
        Section(f"DSC on split '{plan.split}' of {plan.source.title}", (versus.scores(),)),
        Section("Ours minus published", (versus.differences(),)),
        *versus.margins(),
    ]
    yield from (shown, *numbers) if plan.experiment.is_figure else (*numbers, shown)
    if fits := [result for result in results if not result.column.is_zero_shot]:
        yield _own_protocol(plan, fits)
    yield Section("What it took", (costs(plan), machine_table()))
    yield settings(plan)


def _own_protocol(plan: Plan, fits: Sequence[ColumnResult]) -> Section:
    """The fitted columns by the rules of the data set, and the published methods."""
    protocol = plan.dataset.protocol
    tables = [protocol_table(protocol, fits)]
    if plan.experiment.field and protocol == "irstd":
        split = " / ".join(str(len(plan.dataset.splits.get(name, ()))) for name in ("train", "val", "test"))
        tables.append(field_table(plan.experiment.field, fits, f"{split}, {plan.split} scored"))
    where = ", ".join(str(cell.evaluation(plan.split, protocol)) for cell in plan.fits)
    name = "The data set's own protocol" if protocol != MAIN else "By SamTailor's own protocol"
    return Section(f"{name}, '{protocol}'", (*tables, f"Every score of every case: {where}."))


def costs(plan: Plan) -> Table:
    """Parameters and wall time of each cell."""
    rows = []
    for cell in plan.all_cells():
        name = f"{cell.column.title}, {cell.config.base}"
        match cell:
            case Fit():
                count = count_parameters(find_base(cell.config.base), cell.config.recipe, len(plan.dataset.labels))
                numbers = (f"{count.total:,}", f"{count.trainable:,}", str(len(cell.run.history())))
                rows.append((f"{name}, seed {cell.config.seed}", *numbers, in_time(cell.seconds)))
            case ZeroShot():
                took = in_time(cell.seconds) if cell.seconds else UNDEFINED
                rows.append((f"{name}, {UPPER_BOUND}", UNDEFINED, "0", "0", took))
    note = (
        "Parameters: of base, class-aware head and recipe. Wall time: of the training with its validations, or of "
        f"segment everything; '{UNDEFINED}' where it was not recorded. Times of machines that do other work as well "
        "are upper bounds."
    )
    return Table(("cell", "parameters", "trained", "epochs", "wall time"), tuple(rows), (note,))


def settings(plan: Plan) -> Section:
    """The schedule, and where the cells are."""
    text = (
        f"Schedule: {plan.schedule.text}. What is not listed has its default; every cell holds all its settings in "
        f"config.yaml.\nCells: {plan.out}"
    )
    names = {column.name for column in plan.cells}
    tables = [
        settings_table(chosen, f"setting of the {whose}")
        for chosen, whose, cells in (
            (plan.schedule.train, "trainings", plan.fits),
            (
                {name: plan.schedule.fits[name] for name in plan.schedule.fits if name in names},
                "single fits",
                plan.fits,
            ),
            (plan.schedule.baseline, "zero-shot columns", plan.zero_shots),
        )
        if chosen and cells
    ]
    return Section("Settings", (text, *tables))

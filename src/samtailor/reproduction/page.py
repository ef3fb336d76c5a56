"""The page of an experiment: published numbers next to ours, margins, pictures, costs and settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from samtailor.metrics.protocols import ProtocolName
from samtailor.models.counts import count_parameters
from samtailor.models.zoo import find_base
from samtailor.reporting.page import Page, Section
from samtailor.reporting.provenance import machine_table, settings_table
from samtailor.reporting.table import UNDEFINED, Table
from samtailor.reproduction import pictures
from samtailor.reproduction.cells import MAIN, Fit, ZeroShot
from samtailor.reproduction.columns import UPPER_BOUND
from samtailor.reproduction.margins import margin_sections
from samtailor.reproduction.own_protocol import ProtocolResult, field_table, protocol_table
from samtailor.reproduction.plan import Plan
from samtailor.reproduction.published_vs_ours import PublishedVsOurs
from samtailor.reproduction.results import ColumnResult


@dataclass(frozen=True)
class Measured:
    """Everything that was measured of a plan.

    Attributes:
        plan: What was done.
        results: DSC of the columns by the rule of the comparison.
        protocol: The data set's own protocol.
        own: The fitted columns by it.
        shown: The columns as the pictures show them.
    """

    plan: Plan
    results: tuple[ColumnResult, ...]
    protocol: ProtocolName
    own: tuple[ProtocolResult, ...]
    shown: tuple[pictures.Shown, ...]


def write_page(measured: Measured) -> Path:
    """Write NAME.md, its pictures and NAME.html into the directory of the plan.

    Returns:
        The Markdown file.
    """
    plan = measured.plan
    path = plan.out / f"{plan.experiment.name}.md"
    page = Page(heading(plan), caution(measured), tuple(_sections(measured)))
    page.write_markdown(path)
    page.write_html(path.with_suffix(".html"))
    return path


def heading(plan: Plan) -> str:
    """Heading of the page; names base and data where they are not the report's."""
    experiment = plan.experiment
    others = [f"with {plan.base}"] if plan.base != experiment.base else []
    others += [f"on {plan.source.title}"] if plan.source != experiment.own_data else []
    how = f" {' '.join(others)} (the report: {experiment.base} on {experiment.own_data.title})" if others else ""
    return f"{experiment.report} of the report, measured again{how}: {experiment.title}"


def caution(measured: Measured) -> str:
    """What must not be overlooked."""
    plan = measured.plan
    experiment = plan.experiment
    sentences = []
    if plan.base != experiment.base:
        sentences.append(f"Made with the base {plan.base}, the report's is {experiment.base}.")
    if plan.source != experiment.own_data:
        sentences.append(
            f"The data is {plan.source.title} and not {experiment.own_data.title}: classes are matched by name, other "
            "patients are scored."
        )
    bounds = [result for result in measured.results if result.column.is_zero_shot]
    if bounds:
        names = " and ".join(f"{result.column.title} ({result.base})" for result in bounds)
        sentences.append(
            f"{names}: {UPPER_BOUND}; of all masks made without a prompt, the one with the highest Dice is taken for "
            "each class that is there."
        )
    if any(not result.column.is_zero_shot for result in measured.results):
        sentences.append(
            f"One seed ({plan.seeds[0]}): no deviation can be given."
            if len(plan.seeds) == 1
            else f"Mean ± standard deviation over the seeds {', '.join(map(str, plan.seeds))}."
        )
    sentences += [f"Without {column.title}: {reason}." for column, reason in plan.left_out.items()]
    return " ".join(sentences)


def _sections(measured: Measured) -> Iterator[Section]:
    """Parts of the page in order; a figure begins with its pictures, a table with its numbers."""
    versus = PublishedVsOurs(measured.plan.experiment, measured.results)
    rule = pictures.RULE.format(chooser=pictures.chooser(measured.shown).result.column.title)
    rows = list(pictures.rows(measured.plan, measured.shown))
    shown = Section("Pictures", (rule, *rows) if rows else (rule, "No case can be shown by this rule."))
    numbers = [
        Section(f"DSC on split '{measured.plan.split}' of {measured.plan.source.title}", (versus.scores(),)),
        Section("Ours minus published", (versus.differences(),)),
        *margin_sections(versus),
    ]
    yield from (shown, *numbers) if measured.plan.experiment.is_figure else (*numbers, shown)
    if measured.own:
        yield _own_protocol(measured)
    yield Section("What it took", (_costs(measured.plan), machine_table()))
    yield _settings(measured.plan)


def _own_protocol(measured: Measured) -> Section:
    """The fitted columns by the rules of the data set, and the published methods."""
    tables = [protocol_table(measured.protocol, measured.own)]
    plan = measured.plan
    if plan.experiment.field and measured.protocol == "irstd":
        split = " / ".join(str(len(plan.dataset.splits.get(name, ()))) for name in ("train", "val", "test"))
        tables.append(field_table(plan.experiment.field, measured.own, plan.base, f"{split}, {plan.split} scored"))
    where = ", ".join(str(cell.evaluation(plan.split, measured.protocol)) for cell in plan.fits)
    name = "The data set's own protocol" if measured.protocol != MAIN else "By SamTailor's own protocol"
    return Section(f"{name}, '{measured.protocol}'", (*tables, f"Every score of every case: {where}."))


def _costs(plan: Plan) -> Table:
    """Parameters and wall time of each cell."""
    rows = []
    for cell in plan.all_cells():
        base = find_base(cell.config.base)
        name = f"{cell.column.title}, {base.name}, seed {cell.seed}"
        match cell:
            case Fit():
                count = count_parameters(base, cell.config.recipe, len(plan.dataset.labels))
                numbers = (f"{count.total:,}", f"{count.trainable:,}", str(len(cell.run.history())))
                rows.append((name, *numbers, duration(cell.seconds)))
            case ZeroShot():
                took = duration(cell.seconds) if cell.seconds else UNDEFINED
                rows.append((f"{cell.column.title}, {base.name}, {UPPER_BOUND}", UNDEFINED, "0", "0", took))
    notes = (
        "Parameters: of base, class-aware head and recipe. Wall time: of the training with its validations, or of "
        f"segment everything; '{UNDEFINED}' where it was not recorded. Times of machines that do other work as well "
        "are upper bounds.",
    )
    return Table(("cell", "parameters", "trained", "epochs", "wall time"), tuple(rows), notes)


def _settings(plan: Plan) -> Section:
    """The schedule, and where the cells are."""
    train = settings_table(plan.schedule.train, "setting of the trainings")
    baseline = settings_table(plan.schedule.baseline, "setting of the zero-shot columns")
    text = (
        f"Schedule: {plan.schedule.text}. What is not listed has its default; every cell holds all its settings in "
        f"config.yaml.\nCells: {plan.out}"
    )
    used = {cell.column.is_zero_shot for cell in plan.all_cells()}
    tables = [
        table for table, is_zero_shot in ((train, False), (baseline, True)) if is_zero_shot in used and table.rows
    ]
    return Section("Settings", (text, *tables))


def duration(seconds: float) -> str:
    """Time in words: '41 s', '12 min', '3 h 20 min'."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"

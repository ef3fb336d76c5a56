"""Boundaries: a plain fit and one that takes outline prompts, with every step behind them, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import samtailor.kinds as kinds
from samtailor.data.cache import SliceCache
from samtailor.errors import ConfigError
from samtailor.evaluation.comparison.comparison import TEST_COLUMNS, Comparison, row_of
from samtailor.evaluation.comparison.results import ScoredResult, align, read_results
from samtailor.evaluation.comparison.statistics import Difference, PairedDifference, compare_pair, correct
from samtailor.evaluation.scores import number
from samtailor.files import write_json
from samtailor.labels import IGNORE
from samtailor.metrics.confusion import nan_mean
from samtailor.metrics.protocols import METRIC_NAMES
from samtailor.refinement import REFINE, STEPS, to_plain
from samtailor.refinement.outline import Outline
from samtailor.refinement.step import Step
from samtailor.reporting.figures import png
from samtailor.reporting.overlay import Panel, overlay_row
from samtailor.reporting.page import Page, Picture, Section, machine_table
from samtailor.reporting.table import UNDEFINED, Table
from samtailor.reproduction.cells import MAIN, Fit
from samtailor.reproduction.page import about_seeds, costs, settings
from samtailor.reproduction.plan import Plan
from samtailor.reproduction.refined import Refined, make_refined
from samtailor.reproduction.results import Number
from samtailor.reproduction.scoring import read_saved

_RESAMPLES, _SEED = 1000, 0

_TESTED = ("dsc", "nsd", "boundary_iou")
"""Scores whose differences are tested, where the data have them."""


@dataclass(frozen=True)
class Row:
    """A fit with steps behind it, measured, or missing.

    Attributes:
        fit: Name of the fit.
        refinement: What the steps are called.
        steps: The steps.
        seeds: What was made of each seed's fit; empty where something is missing.
    """

    fit: str
    refinement: str
    steps: tuple[Step, ...]
    seeds: tuple[Refined, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"{self.fit}, {self.refinement}"

    @cached_property
    def scores(self) -> list[dict[str, Any]]:
        """Content of the `metrics.json` of each seed."""
        return [found for one in self.seeds if (found := one.scores()) is not None]

    @property
    def metrics(self) -> list[str]:
        """Scores of a class and case that there are."""
        return list(self.scores[0]["mean_without_background"])

    def mean(self, metric: str) -> Number:
        """Mean over the classes without background, each averaged over the cases."""
        values = [content["mean_without_background"][metric] for content in self.scores]
        return Number.from_values(np.array(values, dtype=float))

    @property
    def seconds(self) -> Number:
        """Seconds per case."""
        return Number(float(np.mean([one.seconds_per_case() for one in self.seeds])))

    @property
    def machines(self) -> str:
        """What it was computed on."""
        found = {case["machine"] for one in self.seeds for case in one.cases().values()}
        return " and ".join(sorted(found))

    def values(self, metric: str) -> ScoredResult:
        """Scores of each case and class, averaged over the seeds."""
        files = [one.scores_file for one in self.seeds]
        first, *others, _ = read_results([*files, files[0]], metric, "", list(map(str, range(len(files) + 1))))
        values = nan_mean(np.stack([first.values, *(other.values for other in others)], axis=-1))
        return replace(first, name=self.name, values=values)


@dataclass(frozen=True)
class Boundaries:
    """What was measured.

    Attributes:
        plan: The experiment.
        rows: The table; the first is the reference.
        sweep: Outline prompts of every kind.
        missing: What could not be made, in sentences.
    """

    plan: Plan
    rows: tuple[Row, ...]
    sweep: tuple[Row, ...]
    missing: tuple[str, ...] = field(default=())

    @property
    def reference(self) -> Row:
        """The plain fit without any step."""
        return self.rows[0]

    @property
    def tested(self) -> list[str]:
        """Scores whose differences are tested."""
        return [metric for metric in _TESTED if metric in self.reference.metrics]

    def table(self) -> Table:
        """One row for each fit and refinement."""
        metrics = self.reference.metrics
        header = ("fit", "behind the network", *(METRIC_NAMES[metric] for metric in metrics), "s per case", "on")
        rows = [
            (row.fit, row.refinement, *(str(row.mean(m)) for m in metrics), f"{row.seconds:.2f}", row.machines)
            for row in self.rows
        ]
        note = (
            f"Whole cases, split '{self.plan.split}' of {self.plan.source.title}, protocol '{MAIN}'. Each class but "
            "the background averaged over the cases, then over the classes. Seconds: preprocessing, network and steps; "
            "of what differs only behind the network, the network's are those of one pass that all share."
        )
        trained = ", ".join(f"{fit.column.name} {fit.seconds:.0f} s (seed {fit.config.seed})" for fit in self.plan.fits)
        return Table(header, tuple(rows), (note, f"Wall time of the trainings, validations included: {trained}."))

    def steps(self) -> Table:
        """One row for each refinement: its steps with all their settings."""
        rows = {row.refinement: "; ".join(map(_in_words, row.steps)) or UNDEFINED for row in self.rows}
        return Table(("behind the network", "steps"), tuple(rows.items()))

    @cached_property
    def comparisons(self) -> dict[str, Comparison]:
        """Every other row against the reference, by score; one test for each."""
        return {metric: self._comparison(metric) for metric in self.tested}

    def _comparison(self, metric: str) -> Comparison:
        results = align([row.values(metric) for row in self.rows], common=False)
        pairs = [
            PairedDifference(results[0], other, compare_pair(results[0], other, metric, _RESAMPLES, _SEED)[:1])
            for other in results[1:]
        ]
        return Comparison(metric, tuple(results), correct(pairs), (), _RESAMPLES, _SEED)

    def tests(self, metric: str) -> Table:
        """One row for each other fit and refinement: its difference from the reference."""
        comparison, reference = self.comparisons[metric], self.reference.name
        rows = [row_of(replace(pair.tests[0], name=pair.result.name)) for pair in comparison.pairs]
        note = (
            f"Paired by case: the mean of the classes that count in it. {comparison.verdict()} Wilcoxon's signed-rank "
            f"test, Holm's correction over the rows; percentile bootstrap over cases ({_RESAMPLES} resamples, seed "
            f"{_SEED})."
        )
        return Table((f"mean {comparison.metric_title}", reference, "its own", *TEST_COLUMNS), tuple(rows), (note,))

    def sweeps(self) -> Iterator[Table]:
        """For each tested score a row for each number of points, a column for what else is given."""
        points = self.plan.schedule.sweep["points"]
        found = {_outline_of(row): row for row in self.sweep}
        for metric in self.tested:
            rows = [
                (str(n), *(str(row.mean(metric)) if (row := found.get((n, *p))) else UNDEFINED for p in _PARTS))
                for n in points
            ]
            fit = self.plan.schedule.sweep["fit"]
            base = next((row for row in self.rows if row.fit == fit and not row.steps), None)
            against = [] if base is None else [f"The same fit without a second pass: {base.mean(metric):.4f}."]
            yield Table((f"points; mean {METRIC_NAMES[metric]}", *_PARTS.values()), tuple(rows), (*against,))

    def to_json(self) -> dict[str, Any]:
        """Plain values; None where a number is not defined."""
        plan = self.plan
        by_metric = {
            metric: {pair.result.name: pair.tests[0] for pair in comparison.pairs}
            for metric, comparison in self.comparisons.items()
        }
        return {
            "data": plan.dataset.root.resolve().name,
            "split": plan.split,
            "base": plan.base,
            "schedule": plan.schedule.text,
            "fits": plan.trained,
            "rows": [
                self._plain(row)
                | {"against": {m: _plain_test(tests[row.name]) for m, tests in by_metric.items() if row.name in tests}}
                for row in self.rows
            ],
            "sweep": [self._plain(row) for row in self.sweep],
            "missing": list(self.missing),
        }

    @staticmethod
    def _plain(row: Row) -> dict[str, Any]:
        return {
            "fit": row.fit,
            "refinement": row.refinement,
            "steps": to_plain(row.steps),
            "scores": {metric: number(row.mean(metric).mean) for metric in row.metrics},
            "seconds_per_case": row.seconds.mean,
            "machine": row.machines,
        }


def _in_words(step: Step) -> str:
    """A step with its settings: 'crf iterations 5 ...'."""
    kind, *settings = kinds.to_json(step, STEPS).items()
    return " ".join([kind[1], *(f"{name.rstrip('_')} {value}" for name, value in settings)])


def _plain_test(test: Difference) -> dict[str, Any]:
    return {
        "difference": number(test.change.value),
        "interval": test.change.interval,
        "pairs": test.pairs,
        "p": number(test.p),
        "p_holm": number(test.corrected),
    }


_PARTS = {
    (True, True): "with box and mask",
    (True, False): "with box",
    (False, True): "with mask",
    (False, False): "points alone",
}
"""What outline prompts have beside points: box, mask."""


def _outline_of(row: Row) -> tuple[int, bool, bool]:
    (step,) = row.steps
    assert isinstance(step, Outline)
    return step.points, step.box, step.mask


def measure_boundaries(plan: Plan) -> Boundaries:
    """Predict and score what is missing behind the finished fits."""
    table, sweep = rows_of(plan)
    # Of equal steps there is one folder.
    wanted = {(one.fit.run.directory, one.steps): one for row in (*sweep, *table) for one in row.seeds}
    lacking = make_refined(plan, list(wanted.values()))

    def shared(row: Row) -> Row:
        return replace(row, seeds=tuple(wanted[one.fit.run.directory, one.steps] for one in row.seeds))

    table, sweep = ([shared(row) for row in rows if row.seeds] for rows in (table, sweep))
    reasons = {row.name: lacking[one] for row in (*table, *sweep) for one in row.seeds if one in lacking}
    missing = (f"Without {name}: {reason}." for name, reason in reasons.items())

    def measured(rows: Sequence[Row]) -> tuple[Row, ...]:
        return tuple(row for row in rows if row.name not in reasons)

    return Boundaries(plan, measured(table), measured(sweep), (*plan.missing_columns(), *missing))


def rows_of(plan: Plan) -> tuple[list[Row], list[Row]]:
    """Rows of the table and of the sweep, not measured yet."""
    experiment, fits = plan.experiment, {column.name: cells for column, cells in plan.cells.items()}

    def row(fit: str, name: str, steps: tuple[Step, ...]) -> Row:
        cells = [cell for cell in fits.get(fit, ()) if isinstance(cell, Fit)]
        seeds = (Refined(cell, steps, cell.evaluation(plan.split) / "refined" / name) for cell in cells)
        return Row(fit, name, steps, tuple(seeds))

    chosen = {name: REFINE.chosen(setting) for name, setting in plan.schedule.refinements.items()}
    table = [row(fit, name, chosen[name]) for fit, names in experiment.table.items() for name in names]
    sweep = [
        row(
            plan.schedule.sweep["fit"],
            f"outline-{points}{'-box' * box}{'-mask' * mask}",
            (Outline(points=points, box=box, mask=mask),),
        )
        for points in plan.schedule.sweep["points"]
        for box, mask in _PARTS
        if points or box or mask
    ]
    return table, sweep


def write_page(plan: Plan) -> Path:
    """Measure, and write NAME.json, NAME.md, its pictures and NAME.html; gives the Markdown file.

    Raises:
        ConfigError: If there is nothing to measure against; what was made of the other fits is kept.
    """
    found = measure_boundaries(plan)
    (fit, (refinement, *_)), *_ = plan.experiment.table.items()
    if not found.rows or found.reference.name != f"{fit}, {refinement}":
        raise ConfigError(
            f"{plan.out}: expected the fit {fit}, which everything is measured against, found the others alone, which "
            "are ready; the same command without --columns makes the page"
        )
    path = plan.out / f"{plan.experiment.name}.md"
    title = (
        f"{plan.experiment.report} of the report, measured: {plan.experiment.title}. {plan.base} on {plan.source.title}"
    )
    page = Page(title, "\n".join([about_seeds(plan), *found.missing]), tuple(_sections(found)))
    write_json(path.with_suffix(".json"), found.to_json())
    page.write(path)
    return path


def _sections(found: Boundaries) -> Iterator[Section]:
    yield Section("Behind the network", (found.table(),))
    if len(found.rows) > 1:
        yield Section("Against the plain fit with nothing behind it", tuple(map(found.tests, found.tested)))
    if found.sweep:
        text = "How many points along each outline are prompts, and whether its box and its rough mask are."
        yield Section(f"Outline prompts, fit '{found.plan.schedule.sweep['fit']}'", (text, *found.sweeps()))
    yield Section("Where it helps, where it harms", (PICTURED, *pictures(found)))
    yield Section("What it took", (costs(found.plan), machine_table()))
    chosen = settings(found.plan)
    yield replace(chosen, content=(*chosen.content, found.steps()))


PICTURED = (
    "Chosen by a rule: for each row the case whose mean DSC gains most over the plain fit with nothing behind it, and "
    "the one that loses most; of a volume the slice in which most pixels are put right, or wrong."
)


def pictures(found: Boundaries) -> Iterator[Picture]:
    """Of each row but the reference the cases with the largest gain and with the largest loss."""
    plan, reference = found.plan, found.reference
    before = reference.values("dsc")
    for row in found.rows[1:]:
        change = row.values("dsc").case_means() - before.case_means()
        for role, sign in (("gain", 1), ("loss", -1)):
            if np.isnan(change).all() or (best := np.nanmax(sign * change)) <= 0:
                continue
            case = before.cases[int(np.nanargmax(sign * change))]
            figure, caption = _drawn(
                plan, reference, row, case, sign, f"largest {role} of {row.name}: {sign * best:+.4f}"
            )
            name = f"{row.name.replace(', ', '-')}-{role}.png"
            yield Picture(f"{plan.experiment.name}/{name}", png(figure), caption, caption)


def _drawn(plan: Plan, reference: Row, row: Row, name: str, sign: int, role: str) -> tuple[Any, str]:
    """Figure and caption of one case: image, truth, the reference and the row."""
    file = next(file for file in plan.scored_cases if file.name == name)
    case = SliceCache(plan.dataset.labels, plan.preprocessing).load(file)
    assert case.label is not None
    planes = [read_saved(one.predictions, file, plan.dataset) for one in (reference.seeds[0], row.seeds[0])]
    right: list[NDArray[np.int64]] = [
        ((plane == case.label) & (case.label != IGNORE)).sum(axis=(1, 2)) for plane in planes
    ]
    index = int((sign * (right[1] - right[0])).argmax())
    panels = [Panel("image"), Panel("truth", np.asarray(case.label[index]))]
    panels += [Panel(one.name, plane[index]) for one, plane in zip((reference, row), planes, strict=True)]
    aspect = 1.0 if case.spacing is None else case.spacing[1] / case.spacing[2]
    where = f"{name}, slice {index + 1} of {len(case.label)}" if len(case.label) > 1 else name
    title = f"DSC, {role} ({where})"
    return overlay_row(np.asarray(case.image[index]), panels, plan.dataset.labels, title, aspect), f"{title}."

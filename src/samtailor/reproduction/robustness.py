"""Robustness: plain fits, fits that denoise, and fits on corrupted images, under all corruptions and severities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from samtailor.data.corruptions import corruption_names
from samtailor.errors import ConfigError
from samtailor.evaluation.robustness.results import Robustness
from samtailor.evaluation.robustness.study import Study, chosen
from samtailor.files import write_json, write_text
from samtailor.reporting.page import Page, Section, machine_table
from samtailor.reporting.table import Table, decimal
from samtailor.reproduction.page import about_seeds, costs, settings
from samtailor.reproduction.plan import Plan

REFERENCE = "plain"
"""The fit whose corruption error is 1."""

_SEED = 0  # of the damage, and of the choice of cases: the same for fits of all seeds


def measure_robustness(plan: Plan) -> Robustness:
    """Score the finished fits under every corruption and severity; what is known already is taken as it is.

    Of fits with several seeds the mean is taken.
    """
    damage, dataset = plan.schedule.damage, plan.dataset
    names = corruption_names(damage["corruptions"], "damage.corruptions", dataset.channels, dataset.name)
    if not names:
        raise ConfigError("damage.corruptions: expected at least one, found 'none'; take 'auto', or name some")
    files, slices = chosen(plan.scored_cases, damage.get("cases"), _SEED), damage.get("slices")
    study = Study(
        dataset.labels,
        files,
        "nnunet",
        names,
        _SEED,
        slices,
        batch_size=8,
        device=plan.config.device,
        precision="auto",
        refinement=None,
        across_devices=True,
    )
    runs = {cell.run.directory: cell.run.evaluation(f"{plan.split}-robustness") / "kept" for cell in plan.fits}
    curves = study.scores_of(runs)
    return Robustness(
        corruptions=names,
        dsc={
            column.title: np.mean([curves[cell.run.directory] for cell in cells], axis=0)
            for column, cells in plan.cells.items()
        },
        baseline=REFERENCE if any(column.name == REFERENCE for column in plan.cells) else None,
        data=dataset.root.resolve().name,
        split=plan.split,
        cases=tuple(file.name for file in files),
        out_of=len(plan.scored_cases),
        slices=slices,
        protocol=study.protocol,
        seed=_SEED,
    )


def write_page(plan: Plan) -> Path:
    """Measure, and write NAME.json, NAME.csv, NAME.md, its picture and NAME.html; gives the Markdown file."""
    found = measure_robustness(plan)
    experiment = plan.experiment
    path = plan.out / f"{experiment.name}.md"
    title = f"{experiment.report} of the report, measured: {experiment.title}. {plan.base} on {plan.source.title}"
    page = Page(title, "\n".join([about_seeds(plan), *plan.missing_columns()]), tuple(_sections(plan, found)))
    write_json(path.with_suffix(".json"), _plain(plan, found))
    write_text(path.with_suffix(".csv"), found.to_csv())
    page.write(path)
    return path


def _plain(plan: Plan, found: Robustness) -> dict[str, Any]:
    """Plain values; None where a number is not defined."""
    about = {"base": plan.base, "schedule": plan.schedule.text, "fits": plan.trained, "missing": plan.missing_columns()}
    return found.to_json() | about


def _sections(plan: Plan, found: Robustness) -> Iterator[Section]:
    first, *others = found.tables()
    picture = found.picture(
        f"{plan.experiment.name}/curves.png", "Curves of DSC over severity, one panel for each corruption"
    )
    yield Section("Fits under corruption", (first, by_corruption(found), picture))
    yield Section("Each fit by severity", tuple(others))
    yield Section("How to read this", found.method())
    yield Section("What it took", (costs(plan), machine_table()))
    yield settings(plan)


def by_corruption(found: Robustness) -> Table:
    """A row for each corruption: DSC of each fit, mean over the severities."""
    rows = [
        (name, *(decimal(float(dsc[place, 1:].mean())) for dsc in found.dsc.values()))
        for place, name in enumerate(found.corruptions)
    ]
    clean = ("clean images", *(decimal(found.clean(fit)) for fit in found.dsc))
    note = (
        "Mean DSC, each corruption averaged over its five severities. Fits on corrupted images have seen the same "
        "kinds of damage, drawn anew, on the training images: of other kinds this tells nothing."
    )
    return Table(("corruption", *found.dsc), (clean, *rows), (note,))

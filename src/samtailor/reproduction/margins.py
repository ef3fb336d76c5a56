"""Fitting against zero-shot: both on exactly the same pictures or slices, with the report's margin next to ours."""

from __future__ import annotations

import numpy as np

from samtailor.reporting.page import Section
from samtailor.reporting.table import Table
from samtailor.reproduction.columns import UPPER_BOUND
from samtailor.reproduction.published_vs_ours import PublishedVsOurs
from samtailor.reproduction.results import RULE, ColumnResult, Number, published_average

_MEANS = {True: "mean with background", False: "mean without background"}


def margin_sections(versus: PublishedVsOurs) -> list[Section]:
    """One section for each zero-shot column; none if nothing was fitted."""
    fits = [result for result in versus.results if not result.column.is_zero_shot]
    oracles = [result for result in versus.results if result.column.is_zero_shot]
    return [_section(versus, oracle, fits) for oracle in oracles] if fits else []


def _section(versus: PublishedVsOurs, oracle: ColumnResult, fits: list[ColumnResult]) -> Section:
    """The margins of all fits over one zero-shot column; what they mean is for the reader to say."""
    same = [fit.on(oracle.column) for fit in fits]
    name = f"{oracle.column.title} ({oracle.base})"
    heading = f"Fitting against {name}, {UPPER_BOUND}"
    header = [f"{name}, {UPPER_BOUND}"]
    for fit in fits:
        header += [fit.column.title, f"{fit.column.title} minus {oracle.column.title}"]
    columns = [oracle, *same]
    rows = [_row(versus.printed(label), [column.of_class(label) for column in columns]) for label in versus.names]
    for background, what in _MEANS.items():
        rows.append(_row(what, [column.average(background=background) for column in columns]))
    for background, what in _MEANS.items():
        published = [Number(_published(versus, column, background)) for column in columns]
        rows.append(_row(f"the report: {what}", published))
    sentences = []
    for fit in same:
        theirs = _published(versus, fit, True) - _published(versus, oracle, True)
        report = "not in the report" if np.isnan(theirs) else f"in the report {theirs:+.4f}"
        ours = fit.average().minus(oracle.average().mean)
        sentences.append(
            f"{fit.column.title} minus {name} ({UPPER_BOUND}), mean DSC with background: {ours.signed()}; {report}."
        )
    note = f"Both on the same {oracle.scored}. {RULE}"
    return Section(heading, ("\n".join(sentences), Table(("class", *header), tuple(rows), (note,))))


def _row(label: str, numbers: list[Number]) -> tuple[str, ...]:
    """Cells of the zero-shot column, and of each fit with its margin over it."""
    oracle, *fits = numbers
    return (label, str(oracle), *(cell for fit in fits for cell in (str(fit), fit.minus(oracle.mean).signed())))


def _published(versus: PublishedVsOurs, result: ColumnResult, background: bool) -> float:
    """The report's mean of a column."""
    return published_average(versus.published(result), background=background)

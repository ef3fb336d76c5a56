"""Tables of an experiment: ours next to the published numbers, fits against zero-shot, and by the data's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from samtailor.metrics.protocols import METRIC_NAMES, OVERALL_NAMES, PROTOCOLS, ProtocolName
from samtailor.reporting.page import Section
from samtailor.reporting.table import UNDEFINED, Table, decimal
from samtailor.reproduction.definition import AVERAGE, UPPER_BOUND, Experiment
from samtailor.reproduction.results import RULE, ColumnResult, Number, published_average

_BACKGROUND = ("with", "without")


class _Row(NamedTuple):
    """What a row is of: label, classes that count (all if None), and whether the background does."""

    label: str
    names: Sequence[str] | None = None
    background: bool = True

    def of(self, result: ColumnResult) -> Number:
        """What is measured of a column."""
        return result.average(self.names, self.background)


_MEANS = (_Row("mean with background"), _Row("mean without background", background=False))


@dataclass(frozen=True)
class PublishedVsOurs:
    """What was measured, and what the report says."""

    experiment: Experiment
    results: tuple[ColumnResult, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Classes of the data."""
        return self.results[0].names

    @property
    def shared(self) -> list[str]:
        """Classes that the report and the data have."""
        return [name for name in self._published_names if name in self.names]

    @property
    def is_same_classes(self) -> bool:
        """Whether report and data have the same classes."""
        return set(self._published_names) == set(self.names)

    @property
    def _published_names(self) -> list[str]:
        """Classes of the report."""
        return [name for name in next(iter(self.experiment.published.values())) if name != AVERAGE]

    def published(self, result: ColumnResult, row: _Row) -> float:
        """What the report says of a column in a row; NaN if it has no such column or class."""
        return published_average(self.experiment.published.get(result.column.name, {}), row.names, row.background)

    def scores(self) -> Table:
        """One row per class, the report's first: for each column the published number and ours."""
        header = ["class"]
        for result in self.results:
            header += [f"{result.column.title}, published", f"{result.heading}: ours"]
        rows = []
        for row in [*self._classes([*self._published_names, *self.names]), *_MEANS, *self._shared_means()]:
            numbers = [(decimal(self.published(result, row)), str(row.of(result))) for result in self.results]
            rows.append((row.label, *chain.from_iterable(numbers)))
        scored = ". ".join(f"{result.column.title}: {result.scored}" for result in self.results)
        notes = [f"{RULE} Scored: {scored}."]
        if not self.is_same_classes:
            notes.append(
                f"Classes are matched by name; '{UNDEFINED}' where the report or the data has no such class. The means "
                "over all classes are of different classes; those over the shared classes compare."
            )
        for result in self.results:
            if unseen := [name for name in self.names if np.isnan(result.average([name]).mean)]:
                notes.append(
                    f"{result.column.title}: no case has {', '.join(unseen)}; its means are of the other classes."
                )
        return Table(tuple(header), tuple(rows), tuple(notes))

    def differences(self) -> Table:
        """One row per class: ours minus published, of the columns that the report has."""
        results = [result for result in self.results if result.column.name in self.experiment.published]
        rows = [
            (row.label, *(f"{row.of(result).minus(self.published(result, row)):+.4f}" for result in results))
            for row in [*self._classes(self.shared), *_MEANS, *self._shared_means()]
        ]
        return Table(("class", *(result.heading for result in results)), tuple(rows))

    def margins(self) -> Iterator[Section]:
        """Fits against each zero-shot column, both on exactly the same pictures or slices; none if nothing is fitted.

        What the margins mean is for the reader to say.
        """
        fits = [result for result in self.results if not result.column.is_zero_shot]
        for oracle in self.results if fits else ():
            if oracle.column.is_zero_shot:
                yield self._margins(oracle, [fit.on(oracle.column) for fit in fits])

    def _margins(self, oracle: ColumnResult, fits: Sequence[ColumnResult]) -> Section:
        """The margins of all fits over one zero-shot column, with the report's next to ours."""
        name = f"{oracle.column.title} ({oracle.base})"
        header = ["class", f"{name}, {UPPER_BOUND}"]
        sentences = []
        for fit in fits:
            header += [fit.column.title, f"{fit.column.title} minus {oracle.column.title}"]
            ours = fit.average().minus(oracle.average().mean)
            theirs = self.published(fit, _MEANS[0]) - self.published(oracle, _MEANS[0])
            report = "not in the report" if np.isnan(theirs) else f"in the report {theirs:+.4f}"
            sentences.append(
                f"{fit.column.title} minus {name} ({UPPER_BOUND}), mean DSC with background: {ours:+.4f}; {report}."
            )
        columns = [oracle, *fits]
        rows = [(row.label, *_with_margins(map(row.of, columns))) for row in [*self._classes(self.names), *_MEANS]]
        for row in _MEANS:
            published = (Number(self.published(column, row)) for column in columns)
            rows.append((f"the report: {row.label}", *_with_margins(published)))
        note = f"Both on the same {oracle.scored}. {RULE}"
        heading = f"Fitting against {name}, {UPPER_BOUND}"
        return Section(heading, ("\n".join(sentences), Table(tuple(header), tuple(rows), (note,))))

    def _classes(self, names: Sequence[str]) -> list[_Row]:
        """A row of each class: our name, and the report's where it differs."""
        printed = {name: self.experiment.printed.get(name, name) for name in names}
        return [
            _Row(name if its.lower() == name.lower() else f"{name} ('{its}')", [name]) for name, its in printed.items()
        ]

    def _shared_means(self) -> list[_Row]:
        """Rows of the means over the shared classes, where report and data have others."""
        if self.is_same_classes:
            return []
        count = len(self.shared)
        return [
            _Row(f"mean of the {count} shared classes, with background", self.shared),
            _Row(f"mean of the {count - 1} shared classes, without background", self.shared, False),
        ]


def _with_margins(numbers: Iterable[Number]) -> list[str]:
    """Cells of the zero-shot column, and of each fit with its margin over it."""
    oracle, *fits = numbers
    return [str(oracle), *(cell for fit in fits for cell in (str(fit), f"{fit.minus(oracle.mean):+.4f}"))]


def protocol_table(protocol: ProtocolName, fits: Sequence[ColumnResult]) -> Table:
    """One row per score of the data set's own protocol, one column per fit."""
    rules = PROTOCOLS[protocol]
    there = fits[0].by_own_rules[0]
    rows = [(OVERALL_NAMES[name], "overall", str(name)) for name in rules.overall if name in there["overall"]]
    rows += [
        (f"mean {METRIC_NAMES[metric]} {what} background", f"mean_{what}_background", metric)
        for metric in rules.metrics
        if metric in there["mean_with_background"]
        for what in _BACKGROUND
    ]
    rows += [(f"pooled DSC {what} background", f"pooled_{what}_background", "dsc") for what in _BACKGROUND]
    cells = tuple((label, *(str(fit.by_own_rule(table, score)) for fit in fits)) for label, table, score in rows)
    header = (f"protocol '{protocol}'", *(fit.column.title for fit in fits))
    return Table(header, cells, (rules.description,))


def field_table(field: Sequence[Mapping[str, Any]], fits: Sequence[ColumnResult], split: str) -> Table:
    """Small infrared targets: published methods, then ours by the protocol irstd."""
    units = {"iou": 100, "niou": 100, "pd": 100, "fa": 1}
    rows = [
        (
            str(entry["method"]),
            *(f"{Number(entry.get(key, np.nan)):.2f}" for key in units),
            str(entry["split"]),
            str(entry["source"]),
        )
        for entry in field
    ]
    for fit in fits:
        cells = (f"{fit.by_own_rule('overall', key, unit):.2f}" for key, unit in units.items())
        rows.append((f"{fit.column.title}, {fit.base}", *cells, split, "this page"))
    note = "IoU: of the targets over the pixels of all images. Numbers on different splits do not compare."
    return Table(("method", "IoU %", "nIoU %", "Pd %", "Fa 1e-6", "split", "source"), tuple(rows), (note,))

"""Tables of an experiment: ours next to the published numbers, fits against zero-shot, and by the data's own rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samtailor.metrics.protocols import METRIC_NAMES, OVERALL_NAMES, PROTOCOLS, ProtocolName
from samtailor.reporting.page import Section
from samtailor.reporting.table import UNDEFINED, Table, decimal
from samtailor.reproduction.definition import AVERAGE, UPPER_BOUND, Experiment
from samtailor.reproduction.results import RULE, ColumnResult, Number, published_average

_BACKGROUND = {"with": True, "without": False}


@dataclass(frozen=True)
class PublishedVsOurs:
    """What was measured, and what the report says.

    Attributes:
        experiment: The table of the report.
        results: Measured columns.
    """

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

    def published(self, result: ColumnResult) -> Mapping[str, float]:
        """The report's numbers of a column; none if it has no such column."""
        return self.experiment.published.get(result.column.name, {})

    def scores(self) -> Table:
        """One row per class, the report's first: for each column the published number and ours."""
        header = ["class"]
        for result in self.results:
            header += [f"{result.column.title}, published", f"{result.heading}: ours"]
        rows = self._rows(
            dict.fromkeys([*self._published_names, *self.names]),
            self.results,
            lambda numbers: [cell for published, ours in numbers for cell in (decimal(published), str(ours))],
        )
        scored = ". ".join(f"{result.column.title}: {result.scored}" for result in self.results)
        notes = [f"{RULE} Scored: {scored}."]
        if not self.is_same_classes:
            notes.append(
                f"Classes are matched by name; '{UNDEFINED}' where the report or the data has no such class. The means "
                "over all classes are of different classes; those over the shared classes compare."
            )
        for result in self.results:
            if unseen := [name for name in self.names if np.isnan(result.of_class(name).mean)]:
                notes.append(
                    f"{result.column.title}: no case has {', '.join(unseen)}; its means are of the other classes."
                )
        return Table(tuple(header), tuple(rows), tuple(notes))

    def differences(self) -> Table:
        """One row per class: ours minus published, of the columns that the report has."""
        results = [result for result in self.results if self.published(result)]
        rows = self._rows(
            self.shared, results, lambda numbers: [f"{ours.minus(published):+.4f}" for published, ours in numbers]
        )
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
            theirs = published_average(self.published(fit)) - published_average(self.published(oracle))
            report = "not in the report" if np.isnan(theirs) else f"in the report {theirs:+.4f}"
            sentences.append(
                f"{fit.column.title} minus {name} ({UPPER_BOUND}), mean DSC with background: {ours:+.4f}; {report}."
            )
        columns = [oracle, *fits]
        rows = self._rows(self.names, columns, lambda numbers: _with_margins([ours for _, ours in numbers]), False)
        for what, background in _BACKGROUND.items():
            published = [Number(published_average(self.published(c), background=background)) for c in columns]
            rows.append((f"the report: mean {what} background", *_with_margins(published)))
        note = f"Both on the same {oracle.scored}. {RULE}"
        heading = f"Fitting against {name}, {UPPER_BOUND}"
        return Section(heading, ("\n".join(sentences), Table(tuple(header), tuple(rows), (note,))))

    def _printed(self, name: str) -> str:
        """Our name of a class, and the report's where it differs."""
        printed = self.experiment.printed.get(name)
        return f"{name} ('{printed}')" if printed and printed.lower() != name else name

    def _rows(
        self,
        names: Iterable[str],
        results: Sequence[ColumnResult],
        cells: Callable[[list[tuple[float, Number]]], list[str]],
        shared: bool = True,
    ) -> list[tuple[str, ...]]:
        """Rows of classes and of the means.

        Args:
            names: The classes.
            results: The columns.
            cells: Makes a row of what is published and what is ours of each result.
            shared: Whether there are means over the shared classes, where report and data have others.
        """
        # label, classes that count, whether the background does
        means: list[tuple[str, Sequence[str] | None, bool]] = [
            (f"mean {what} background", None, background) for what, background in _BACKGROUND.items()
        ]
        if shared and not self.is_same_classes:
            count = len(self.shared)
            means.append((f"mean of the {count} shared classes, with background", self.shared, True))
            means.append((f"mean of the {count - 1} shared classes, without background", self.shared, False))
        rows = [
            (self._printed(name), [(self.published(r).get(name, np.nan), r.of_class(name)) for r in results])
            for name in names
        ]
        for label, counted, background in means:
            published = [published_average(self.published(result), counted, background) for result in results]
            ours = [result.average(counted, background) for result in results]
            rows.append((label, list(zip(published, ours, strict=True))))
        return [(label, *cells(numbers)) for label, numbers in rows]


def _with_margins(numbers: Sequence[Number]) -> list[str]:
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
    """Small infrared targets: published methods, then ours.

    Args:
        field: Published numbers: method, iou and pd in %, niou, fa in a million pixels, split, source.
        fits: Ours by the protocol irstd.
        split: Our split, in words.
    """
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
        cells = (f"{fit.by_own_rule('overall', key).times(unit):.2f}" for key, unit in units.items())
        rows.append((f"{fit.column.title}, {fit.base}", *cells, split, "this page"))
    note = "IoU: of the targets over the pixels of all images. Numbers on different splits do not compare."
    return Table(("method", "IoU %", "nIoU %", "Pd %", "Fa 1e-6", "split", "source"), tuple(rows), (note,))

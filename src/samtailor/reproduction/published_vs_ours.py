"""Tables of an experiment: ours next to the published numbers, and the differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from samtailor.reporting.table import UNDEFINED, Table, decimal
from samtailor.reproduction.columns import UPPER_BOUND
from samtailor.reproduction.definition import AVERAGE, Experiment
from samtailor.reproduction.results import RULE, ColumnResult, Number, published_average


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
    def rows(self) -> list[str]:
        """Classes of the table: the report's in its order, then those that only the data has."""
        published = list(self._published_rows)
        return published + [name for name in self.names if name not in published]

    @property
    def shared(self) -> list[str]:
        """Classes that the report and the data have."""
        return [name for name in self._published_rows if name in self.names]

    @property
    def is_same_classes(self) -> bool:
        """Whether report and data have the same classes."""
        return set(self._published_rows) == set(self.names)

    @property
    def _published_rows(self) -> tuple[str, ...]:
        first = next(iter(self.experiment.published.values()))
        return tuple(name for name in first if name != AVERAGE)

    def published(self, result: ColumnResult) -> Mapping[str, float]:
        """The report's numbers of a column; none if it has no such column."""
        return self.experiment.published.get(result.column.name, {})

    def title(self, result: ColumnResult) -> str:
        """Heading of a column; says of a zero-shot one that it is an upper bound."""
        return f"{result.column.title}, {UPPER_BOUND}" if result.column.is_zero_shot else result.column.title

    def scores(self) -> Table:
        """One row per class: for each column the published number and ours."""
        rows = [
            (label, *(cell for published, ours in numbers for cell in (decimal(published), str(ours))))
            for label, numbers in self._numbers(self.rows, self.results)
        ]
        header = [
            heading
            for result in self.results
            for heading in (f"{result.column.title}, published", f"{self.title(result)}: ours")
        ]
        scored = ". ".join(f"{result.column.title}: {result.scored}" for result in self.results)
        notes = [f"{RULE} Scored: {scored}."]
        if not self.is_same_classes:
            notes.append(
                f"Classes are matched by name; '{UNDEFINED}' where the report or the data has no such class. The means "
                "over all classes are of different classes; those over the shared classes compare."
            )
        for result in self.results:
            unseen = [name for name in self.names if np.isnan(result.of_class(name).mean)]
            if unseen:
                notes.append(
                    f"{result.column.title}: no case has {', '.join(unseen)}; its means are of the other classes."
                )
        return Table(("class", *header), tuple(rows), tuple(notes))

    def differences(self) -> Table:
        """One row per class: ours minus published, of the columns that the report has."""
        results = [result for result in self.results if self.published(result)]
        rows = [
            (label, *(ours.minus(published).signed() for published, ours in numbers))
            for label, numbers in self._numbers(self.shared, results)
        ]
        return Table(("class", *(self.title(result) for result in results)), tuple(rows))

    def means(self) -> list[tuple[str, Sequence[str] | None, bool]]:
        """Rows with means: label, classes that count (all if None), whether the background does."""
        rows: list[tuple[str, Sequence[str] | None, bool]] = [
            ("mean with background", None, True),
            ("mean without background", None, False),
        ]
        if not self.is_same_classes:
            count = len(self.shared)
            rows.append((f"mean of the {count} shared classes, with background", self.shared, True))
            rows.append((f"mean of the {count - 1} shared classes, without background", self.shared, False))
        return rows

    def printed(self, name: str) -> str:
        """Our name of a class, and the report's where it differs."""
        printed = self.experiment.printed.get(name)
        return f"{name} ('{printed}')" if printed and printed.lower() != name else name

    def _numbers(
        self, names: Sequence[str], results: Sequence[ColumnResult]
    ) -> list[tuple[str, list[tuple[float, Number]]]]:
        """Rows of classes and of the means: what is published and what is ours of each result."""
        rows = [
            (self.printed(name), [(self.published(r).get(name, float("nan")), r.of_class(name)) for r in results])
            for name in names
        ]
        for label, counted, background in self.means():
            published = [published_average(self.published(result), counted, background) for result in results]
            ours = [result.average(counted, background) for result in results]
            rows.append((label, list(zip(published, ours, strict=True))))
        return rows

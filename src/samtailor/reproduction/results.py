"""Numbers of the columns: of each class and seed, averaged, and set against the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.metrics.confusion import nan_mean
from samtailor.reporting.table import UNDEFINED
from samtailor.reproduction.cells import Cell
from samtailor.reproduction.definition import AVERAGE, UPPER_BOUND, Column

RULE = (
    "DSC on the native grid, each class averaged over the cases that have it in the truth. A zero-shot column knows "
    "which classes are there, a fitted one does not: what a fit predicts of a class that a case does not have counts "
    "here only against the classes it takes the pixels from; the data set's own protocol counts it."
)


@dataclass(frozen=True)
class Number:
    """A measured number: mean and standard deviation over the seeds; NaN where they are not defined."""

    mean: float
    deviation: float = float("nan")

    @classmethod
    def from_values(cls, values: NDArray[np.float64]) -> Number:
        """Mean and standard deviation (of a sample) of one value per seed."""
        known = values[~np.isnan(values)]
        mean = float(known.mean()) if len(known) else float("nan")
        return cls(mean, float(known.std(ddof=1)) if len(known) > 1 else float("nan"))

    def __format__(self, spec: str) -> str:
        """Mean in a format such as '+.4f', with the deviation if there is one."""
        if np.isnan(self.mean):
            return UNDEFINED
        mean = format(self.mean, spec)
        return mean if np.isnan(self.deviation) else f"{mean} ± {self.deviation:{spec.lstrip('+')}}"

    def __str__(self) -> str:
        """Four decimals."""
        return f"{self:.4f}"

    def minus(self, other: float) -> Number:
        """The difference to a number without deviation."""
        return Number(self.mean - other, self.deviation)


@dataclass(frozen=True)
class ColumnResult:
    """What was measured of a column.

    Attributes:
        column: Which one.
        base: Base it was made with.
        cells: One for each seed; a zero-shot column has one.
        dsc: DSC of each seed and class, (N, K).
        names: The classes.
        scored: What was scored, in words.
        on_slices_of: For a fitted column, DSC of each seed and class, (N, K), on exactly the pictures or slices that a
            zero-shot column was tried on, by the name of that column.
        metrics: Content of `metrics.json` of each seed by the protocol of the comparison.
        by_own_rules: For a fitted column, the same by the data set's own protocol.
    """

    column: Column
    base: str
    cells: tuple[Cell, ...]
    dsc: NDArray[np.float64]
    names: tuple[str, ...]
    scored: str = ""
    on_slices_of: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    by_own_rules: Sequence[Mapping[str, Any]] = ()

    @property
    def heading(self) -> str:
        """Heading of the column; says of a zero-shot one that it is an upper bound."""
        return f"{self.column.title}, {UPPER_BOUND}" if self.column.is_zero_shot else self.column.title

    def on(self, zero_shot: Column) -> ColumnResult:
        """The fitted column on what a zero-shot column was tried on."""
        return replace(self, dsc=self.on_slices_of[zero_shot.name])

    def average(self, names: Sequence[str] | None = None, background: bool = True) -> Number:
        """Mean over classes, all or the named ones, with or without the first; undefined if none counts."""
        chosen = [k for k, name in enumerate(self.names) if (names is None or name in names) and (background or k > 0)]
        return Number.from_values(nan_mean(self.dsc[:, chosen]))

    def by_own_rule(self, table: str, score: str, unit: int = 1) -> Number:
        """Mean over the seeds of a number in `by_own_rules`, times a unit; undefined where it is not there."""
        values = [content.get(table, {}).get(score) for content in self.by_own_rules]
        return Number.from_values(unit * np.array(values, dtype=float))


def present_dsc(metrics: Mapping[str, Any]) -> NDArray[np.float64]:
    """DSC of each class, (K,), averaged over the cases that have it in the truth; NaN if none has.

    It is made of the voxels in a `metrics.json`, by whatever protocol that is.
    """
    scores = []
    for name in metrics["classes"]:
        values = [dice(case[name]) for case in metrics["cases"].values() if case[name]["truth_voxels"]]
        scores.append(float(np.mean(values)) if values else float("nan"))
    return np.array(scores)


def dice(scores: Mapping[str, Any]) -> float:
    """DSC of a class that a case has, from its voxels in a `metrics.json`."""
    return float(2 * scores["overlap_voxels"] / (scores["truth_voxels"] + scores["predicted_voxels"]))


def published_average(
    published: Mapping[str, float], names: Sequence[str] | None = None, background: bool = True
) -> float:
    """The report's mean over classes: as printed, or computed from its rows where fewer count; NaN without."""
    if names is None and background:
        return published.get(AVERAGE, float("nan"))
    rows = [
        value
        for name, value in published.items()
        if name != AVERAGE and (names is None or name in names) and (background or name != "background")
    ]
    return float(np.mean(rows)) if rows else float("nan")

"""Numbers of the columns: of each class and seed, averaged, and set against the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.evaluation.overall import nan_mean
from samtailor.reporting.table import UNDEFINED
from samtailor.reproduction.cells import Cell
from samtailor.reproduction.columns import Column
from samtailor.reproduction.definition import AVERAGE

RULE = (
    "DSC on the native grid, each class averaged over the cases that have it in the truth. A zero-shot column knows "
    "which classes are there, a fitted one does not: what a fit predicts of a class that a case does not have counts "
    "here only against the classes it takes the pixels from; the data set's own protocol counts it."
)


@dataclass(frozen=True)
class Number:
    """A measured number.

    Attributes:
        mean: Over the seeds; NaN if it is not defined.
        deviation: Standard deviation over the seeds; NaN with fewer than two.
    """

    mean: float
    deviation: float = float("nan")

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Number:
        """Mean and standard deviation (of a sample) of one value per seed."""
        known = values[~np.isnan(values)]
        if not len(known):
            return cls(float("nan"))
        return cls(float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else float("nan"))

    def __str__(self) -> str:
        """Four decimals, with the deviation if there is one."""
        if np.isnan(self.mean):
            return UNDEFINED
        return f"{self.mean:.4f}" if np.isnan(self.deviation) else f"{self.mean:.4f} ± {self.deviation:.4f}"

    def minus(self, other: float) -> Number:
        """The difference to a number without deviation."""
        return Number(self.mean - other, self.deviation)

    def signed(self) -> str:
        """The same with its sign."""
        text = str(self)
        return text if text == UNDEFINED or self.mean < 0 else f"+{text}"


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
    """

    column: Column
    base: str
    cells: tuple[Cell, ...]
    dsc: NDArray[np.float64]
    names: tuple[str, ...]
    scored: str = ""
    on_slices_of: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def on(self, zero_shot: Column) -> ColumnResult:
        """The fitted column on what a zero-shot column was tried on."""
        return replace(self, dsc=self.on_slices_of[zero_shot.name])

    def of_class(self, name: str) -> Number:
        """DSC of a class; undefined if the data has no such class."""
        return Number.of(self.dsc[:, self.names.index(name)]) if name in self.names else Number(float("nan"))

    def average(self, names: Sequence[str] | None = None, background: bool = True) -> Number:
        """Mean over classes.

        Args:
            names: Those that count; all if None.
            background: Whether the first class counts.
        """
        return Number.of(self.averages(names, background))

    def averages(self, names: Sequence[str] | None = None, background: bool = True) -> NDArray[np.float64]:
        """Mean over classes of each seed, (N,)."""
        chosen = [k for k, name in enumerate(self.names) if (names is None or name in names) and (background or k > 0)]
        return nan_mean(self.dsc[:, chosen])


def present_dsc(metrics: Mapping[str, Any]) -> NDArray[np.float64]:
    """DSC of each class, (K,), averaged over the cases that have the class in the truth; NaN if none has.

    Args:
        metrics: Content of a `metrics.json`, by whatever protocol: its voxels are counted.
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
    """The report's mean over classes: as printed, or computed from its rows where fewer count.

    Args:
        published: The report's numbers of a column; none if it has no such column.
        names: Classes that count; all if None.
        background: Whether the background counts.
    """
    if names is None and background:
        return published.get(AVERAGE, float("nan"))
    rows = [
        value
        for name, value in published.items()
        if name != AVERAGE and (names is None or name in names) and (background or name != "background")
    ]
    return float(np.mean(rows)) if rows else float("nan")

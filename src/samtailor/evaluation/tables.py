"""Tables of scores: Markdown for the screen and the docs, CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samtailor.evaluation.scores import AVERAGINGS, METRICS, Estimate, Interval, Scores
from samtailor.metrics.empty import EMPTY_RULES

UNDEFINED = "-"
"""What stands in a table where a number is not defined."""


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first column names the row, the others are set flush right.

    Attributes:
        header: Titles of the columns.
        rows: Cells, as many in each row as the header has.
        notes: What a reader must know to read it.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"expected {len(self.header)} cells {self.header}, found {row}")

    def to_markdown(self) -> str:
        """Markdown with aligned columns, the notes below."""
        cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (self.header, *self.rows)]
        widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(self.header))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines = [_line(row, widths) for row in (cells[0], rule, *cells[1:])]
        notes = [line for note in self.notes for line in ("", note)]
        return "\n".join([*lines, *notes]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One line of a Markdown table."""
    first = cells[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *rest])} |"


def class_table(scores: Scores) -> Table:
    """One row per class and the means: averaged over cases with intervals, pooled, and what was counted."""
    header = (
        "class",
        "DSC",
        "95 % interval",
        "IoU",
        "95 % interval",
        "pooled DSC",
        "pooled IoU",
        "cases",
        "voxels",
    )
    summaries = [scores.summary(metric, averaging) for averaging in AVERAGINGS for metric in METRICS]
    truth = scores.counts.truth
    rows = [
        _class_row(name, [summary.classes[k] for summary in summaries], truth[:, k])
        for k, name in enumerate(scores.labels.names)
    ]
    without = [summary.without_background for summary in summaries]
    overall = [summary.with_background for summary in summaries]
    rows.append(_class_row("mean without background", without, truth[:, 1:].sum(axis=1)))
    rows.append(_class_row("mean with background", overall, truth.sum(axis=1)))
    return Table(header, tuple(rows), notes(scores))


def _class_row(name: str, estimates: Sequence[Estimate], voxels: NDArray[np.int64]) -> tuple[str, ...]:
    """Row of a class: DSC and IoU averaged over cases and pooled, and its voxels in each case, (N,)."""
    dsc, iou, pooled_dsc, pooled_iou = estimates
    means = (decimal(dsc.value), interval(dsc.interval), decimal(iou.value), interval(iou.interval))
    pooled = (decimal(pooled_dsc.value), decimal(pooled_iou.value))
    return (name, *means, *pooled, str((voxels > 0).sum()), str(voxels.sum()))


def case_table(scores: Scores) -> Table:
    """One row per case: DSC of each class but the background, and their mean."""
    values = scores.per_case("dsc")
    rows = [
        (case.name, *(decimal(value) for value in values[n, 1:]), decimal(mean))
        for n, (case, mean) in enumerate(zip(scores.cases, scores.case_means("dsc"), strict=True))
    ]
    rule = f"DSC of whole cases. Rule '{scores.rule}': {EMPTY_RULES[scores.rule].description}"
    return Table(("case", *scores.labels.names[1:], "mean"), tuple(rows), (rule,))


def notes(scores: Scores) -> tuple[str, ...]:
    """The protocol in sentences."""
    count = len(scores.cases)
    bootstrap = (
        f"95 % intervals: percentile bootstrap over cases ({scores.resamples} resamples, seed {scores.seed}); "
        f"'{UNDEFINED}' where fewer than two cases count."
    )
    return (
        f"{count} {'case' if count == 1 else 'cases'}, whole cases on their native grid. "
        f"DSC, IoU: {AVERAGINGS['mean']}. Pooled: {AVERAGINGS['pooled']}. "
        "Cases, voxels: those that have the class in the truth.",
        f"Absent classes, rule '{scores.rule}': {EMPTY_RULES[scores.rule].description}",
        bootstrap,
    )


def to_csv(scores: Scores) -> str:
    """One line per case and class; an empty field where a score is not defined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("case", "class", "dsc", "iou", "truth_voxels", "predicted_voxels", "overlap_voxels"))
    dsc, iou = (scores.per_case(metric) for metric in METRICS)
    counts = scores.counts
    for n, case in enumerate(scores.cases):
        for k, name in enumerate(scores.labels.names):
            values = ("" if np.isnan(value) else f"{value:.6f}" for value in (dsc[n, k], iou[n, k]))
            writer.writerow((case.name, name, *values, counts.truth[n, k], counts.prediction[n, k], counts.tp[n, k]))
    return text.getvalue()


def decimal(value: float) -> str:
    """Four decimals, or `UNDEFINED`."""
    return UNDEFINED if np.isnan(value) else f"{value:.4f}"


def interval(ends: Interval | None) -> str:
    """Both ends with three decimals, or `UNDEFINED`."""
    return UNDEFINED if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"

"""Tables of scores, for the screen and the docs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from samtailor.evaluation.bootstrap import Interval, Statistic
from samtailor.evaluation.case_scores import AVERAGINGS, IGNORED_BACKGROUND, OVERALL_MEANS, CaseScores, Summary
from samtailor.metrics.empty import EMPTY_RULES
from samtailor.metrics.protocols import METRIC_NAMES, OVERALL_NAMES
from samtailor.reporting.table import UNDEFINED, Table, decimal


def class_table(scores: CaseScores) -> Table:
    """One row per class and the means: averaged over cases with intervals, pooled, and what was counted."""
    columns = [title for metric in scores.metrics for title in (METRIC_NAMES[metric], "95 % interval")]
    header = ("class", *columns, "pooled DSC", "pooled IoU", "cases", "voxels")
    averaged = [scores.summary(metric) for metric in scores.metrics]
    pooled = [scores.summary("dsc", "pooled"), scores.summary("iou", "pooled")]
    truth = scores.counts.truth

    def row(name: str, pick: Callable[[Summary], Statistic], voxels: NDArray[np.int64]) -> tuple[str, ...]:
        cells = [text for s in averaged for text in (decimal(pick(s).value), interval(pick(s).interval))]
        totals = (str((voxels > 0).sum()), str(voxels.sum()))
        return (name, *cells, *(decimal(pick(s).value) for s in pooled), *totals)

    rows = [row(name, lambda s, k=k: s.classes[k], truth[:, k]) for k, name in enumerate(scores.labels.names)]  # type: ignore[misc]
    rows.append(row("mean without background", lambda s: s.without_background, truth[:, 1:].sum(axis=1)))
    rows.append(row("mean with background", lambda s: s.with_background, truth.sum(axis=1)))
    return Table(header, tuple(rows), notes(scores))


def overall_table(scores: CaseScores) -> Table | None:
    """Scores of all cases together; None where the protocol has none."""
    estimates = [(OVERALL_NAMES[metric], scores.overall(metric)) for metric in scores.overall_metrics]
    rows = tuple((name, decimal(estimate.value), interval(estimate.interval)) for name, estimate in estimates)
    notes = (f"All cases together, protocol '{scores.protocol}'.", *_background(scores), *_bound(scores))
    return Table(("score", "value", "95 % interval"), rows, notes) if rows else None


def confusion_table(scores: CaseScores) -> Table | None:
    """Pixels of each true (row) and predicted (column) class; None where the protocol does not count them."""
    if scores.confusion is None:
        return None
    matrix = zip(scores.labels.names, scores.confusion.tolist(), strict=True)
    rows = tuple((name, *map(str, pixels)) for name, pixels in matrix)
    note = "Pixels of each true class (row) by predicted class (column)."
    return Table(("true \\ predicted", *scores.labels.names), rows, (note, *_bound(scores)))


def to_markdown(scores: CaseScores) -> str:
    """All tables of all cases: what is on the screen and in `metrics.md`."""
    tables = (overall_table(scores), class_table(scores), confusion_table(scores))
    return "\n".join(table.to_markdown() for table in tables if table is not None)


def case_table(scores: CaseScores) -> Table:
    """One row per case: the main score of each class but the background, and their mean."""
    main = scores.metrics[0]
    values = scores.per_case(main)
    rows = [
        (case.name, *(decimal(value) for value in values[n, 1:]), decimal(mean))
        for n, (case, mean) in enumerate(zip(scores.cases, scores.case_means(main), strict=True))
    ]
    note = f"{METRIC_NAMES[main]} of whole cases. {_protocol(scores)}"
    return Table(("case", *scores.labels.names[1:], "mean"), tuple(rows), (note, *_bound(scores)))


def notes(scores: CaseScores) -> tuple[str, ...]:
    """The protocol in sentences."""
    count = len(scores.cases)
    averaged = ", ".join(METRIC_NAMES[metric] for metric in scores.metrics)
    names = scores.labels.names
    return (
        *_bound(scores),
        f"{count} {'case' if count == 1 else 'cases'}, whole cases on their native grid. "
        f"{averaged}: {OVERALL_MEANS[scores.rules.overall_mean]}. Pooled: {AVERAGINGS['pooled']}. "
        "Cases, voxels: those that have the class in the truth.",
        _protocol(scores),
        *_background(scores),
        *(
            f"{metric.title}: {metric.sentence(names)}."
            for metric in scores.rules.measured
            if metric.key in scores.metrics
        ),
        f"95 % intervals: percentile bootstrap over cases ({scores.resamples} resamples, seed {scores.seed}); "
        f"'{UNDEFINED}' where fewer than two cases count.",
    )


def _protocol(scores: CaseScores) -> str:
    """The protocol and its rule for absent classes."""
    return (
        f"Protocol '{scores.protocol}': {scores.rules.description} "
        f"Absent classes, rule '{scores.rules.empty}': {EMPTY_RULES[scores.rules.empty].description}"
    )


def _background(scores: CaseScores) -> tuple[str, ...]:
    """Whether the first class of land cover, which often means 'not labelled', counts."""
    if scores.ignore_background:
        return (f"Background: {IGNORED_BACKGROUND}.",)
    if scores.protocol != "remote-sensing":
        return ()
    name = scores.labels.names[0]
    return (f"'{name}' counts as a class like any other; --ignore_background (evaluate, score) leaves its pixels out.",)


def _bound(scores: CaseScores) -> tuple[str, ...]:
    """The warning that the scores are a bound only, if they are."""
    if scores.upper_bound is None:
        return ()
    return (scores.upper_bound[0].upper() + scores.upper_bound[1:].rstrip(".") + ".",)


def interval(ends: Interval | None) -> str:
    """Both ends with three decimals, or `UNDEFINED`."""
    return UNDEFINED if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"

"""Scores of a set of predictions: their numbers as tables for the screen and the docs, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.errors import counted
from samtailor.evaluation.bootstrap import Interval, Statistic
from samtailor.evaluation.case_scores import AVERAGINGS, IGNORED_BACKGROUND, OVERALL_MEANS, CaseScores, Summary
from samtailor.evaluation.fold_scores import SD, fold_table, over_folds
from samtailor.metrics.empty import EMPTY_RULES
from samtailor.metrics.protocols import METRIC_NAMES, OVERALL_NAMES
from samtailor.reporting.shown import Shown
from samtailor.reporting.table import UNDEFINED, Table, decimal
from samtailor.reporting.terminal import Block


@dataclass(frozen=True, repr=False)
class Scores(CaseScores, Shown):
    """Everything that is known about the quality of a set of predictions; printed, it is the tables of all cases.

    Statistics and the other attributes are those of `CaseScores`.

    Attributes:
        folder: Where tables and figures were written, if they were.
    """

    folder: Path | None = field(default=None, compare=False)

    def blocks(self) -> list[Block]:
        """What the command line shows: all tables, and where they are."""
        return [*tables(self), *([{"tables and figures": str(self.folder)}] if self.folder else [])]

    def __repr__(self) -> str:
        cases = counted(len(self.cases), "case")
        return f"<Scores of {cases} and {len(self.labels)} classes by protocol '{self.protocol}'>"

    def to_json(self) -> dict[str, Any]:
        """Content of metrics.json: all scores and the rules they were made by; None where a number is not defined."""
        names = self.labels.names
        content: dict[str, Any] = {
            "protocol": self.protocol,
            "upper_bound": self.upper_bound,
            "source": dict(self.source),
            "rules": {
                **self.rules.rules(names),
                **({"background": IGNORED_BACKGROUND} if self.ignore_background else {}),
                "grid": "native grid of each case, whole volumes",
                **AVERAGINGS,
                "mean": OVERALL_MEANS[self.rules.overall_mean],
                "interval": "95 % percentile bootstrap over cases; null where fewer than two cases count",
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "classes": list(names),
            "number_of_cases": len(self.cases),
            "cases": self._cases(),
            "interval": {},
        }
        for averaging in AVERAGINGS:
            summaries = {metric: self.summary(metric, averaging) for metric in self.listed_metrics(averaging)}
            values, intervals = content[averaging], content["interval"][averaging] = {}, {}
            for k, name in enumerate(names):
                estimates = {metric: summary.classes[k] for metric, summary in summaries.items()}
                values[name], intervals[name] = _split(estimates)
            for mean in ("with_background", "without_background"):
                key = f"{averaging}_{mean}"
                estimates = {metric: getattr(summary, mean) for metric, summary in summaries.items()}
                content[key], content["interval"][key] = _split(estimates)
        overall = {metric: self.overall(metric) for metric in self.overall_metrics}
        content["overall"], content["interval"]["overall"] = _split(overall)
        if self.confusion is not None:
            content["confusion"] = self.confusion.tolist()
        if self.folds:
            content["folds"] = self._by_fold()
        return content

    def _by_fold(self) -> dict[str, Any]:
        """Means over the cases of each fold, and what they are over the folds."""
        kinds = ("mean", "mean_with_background", "mean_without_background", "overall")
        contents = [one.to_json() for one in self.folds.values()]
        means = [{kind: content[kind] for kind in kinds} for content in contents]
        mean, sd = over_folds(means)
        each = {
            f"fold-{fold}": {"cases": list(content["cases"]), **of_fold}
            for fold, content, of_fold in zip(self.folds, contents, means, strict=True)
        }
        return {"of each": each, "mean": mean, "sd": sd, "sd is": SD}

    def _cases(self) -> dict[str, Any]:
        """Scores and voxels of each case and class."""
        values = {metric: self.per_case(metric) for metric in self.listed_metrics()}
        counts = self.counts
        return {
            case.name: {
                name: {
                    **{metric: number(array[n, k]) for metric, array in values.items()},
                    "truth_voxels": int(counts.truth[n, k]),
                    "predicted_voxels": int(counts.prediction[n, k]),
                    "overlap_voxels": int(counts.tp[n, k]),
                }
                for k, name in enumerate(self.labels.names)
            }
            for n, case in enumerate(self.cases)
        }

    def to_csv(self) -> str:
        """Content of metrics.csv: one line per case and class; an empty field where a score is not defined."""
        fold_of = {case.name: {"fold": case.fold} for case in self.cases if case.fold is not None}
        last = {"protocol": self.protocol} | ({} if self.upper_bound is None else {"upper_bound": self.upper_bound})
        rows = [
            {"case": case, "class": name, **numbers, **last, **fold_of.get(case, {})}
            for case, classes in self._cases().items()
            for name, numbers in classes.items()
        ]
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{cell:.6f}" if isinstance(cell, float) else cell for key, cell in row.items()})
        return text.getvalue()


def number(value: float) -> float | None:
    """A plain number; None for NaN, which JSON does not know."""
    return None if np.isnan(value) else float(value)


def _split(estimates: Mapping[Any, Statistic]) -> tuple[dict[str, float | None], dict[str, Interval | None]]:
    """Value and interval of each metric."""
    values = {metric: number(estimate.value) for metric, estimate in estimates.items()}
    return values, {metric: estimate.interval for metric, estimate in estimates.items()}


def class_table(scores: CaseScores) -> Table:
    """One row per class and the means: averaged over cases with intervals, pooled, and what was counted."""
    columns = [title for metric in scores.metrics for title in (METRIC_NAMES[metric], "95 % interval")]
    header = ("class", *columns, "pooled DSC", "pooled IoU", "cases", scores.unit)
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
    """All tables of all cases: the content of metrics.md."""
    return "\n".join(table.to_markdown() for table in tables(scores))


def tables(scores: CaseScores) -> list[Table]:
    """All tables of all cases: what is on the screen and in `metrics.md`."""
    found = (overall_table(scores), class_table(scores), fold_table(scores), confusion_table(scores))
    return [table for table in found if table is not None]


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
    averaged = ", ".join(METRIC_NAMES[metric] for metric in scores.metrics)
    names = scores.labels.names
    pooled = AVERAGINGS["pooled"].replace("voxels", scores.unit)
    return (
        *_bound(scores),
        f"{counted(len(scores.cases), 'case')}, whole cases on their native grid. "
        f"{averaged}: {OVERALL_MEANS[scores.rules.overall_mean]}. Pooled: {pooled}. "
        f"Cases, {scores.unit}: those that have the class in the truth.",
        _protocol(scores),
        *_corruption(scores),
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


def _corruption(scores: CaseScores) -> tuple[str, ...]:
    """What was done to the images before they were segmented, if anything was."""
    if "corruption" not in scores.source:
        return ()
    name, severity, seed = (scores.source[key] for key in ("corruption", "severity", "corrupt_seed"))
    return (f"Images corrupted before everything else: {name}, severity {severity} of 5, seed {seed}.",)


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

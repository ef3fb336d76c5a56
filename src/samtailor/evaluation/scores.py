"""Scores of a set of predictions: their numbers as tables, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from samtailor.evaluation import tables
from samtailor.evaluation.bootstrap import Interval, Statistic
from samtailor.evaluation.case_scores import AVERAGINGS, IGNORED_BACKGROUND, OVERALL_MEANS, CaseScores


@dataclass(frozen=True, repr=False)
class Scores(CaseScores):
    """Everything that is known about the quality of a set of predictions; printed, it is the tables of all cases.

    Statistics and the other attributes are those of `CaseScores`.

    Attributes:
        folder: Where tables and figures were written, if they were.
    """

    folder: Path | None = field(default=None, compare=False)

    def __str__(self) -> str:
        where = f"\ntables and figures   {self.folder}" if self.folder else ""
        return f"{tables.to_markdown(self).rstrip()}\n{where}"

    def __repr__(self) -> str:
        return f"<Scores of {len(self.cases)} cases and {len(self.labels)} classes by protocol '{self.protocol}'>"

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
        return content

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
        last = {"protocol": self.protocol} | ({} if self.upper_bound is None else {"upper_bound": self.upper_bound})
        rows = [
            {"case": case, "class": name, **numbers, **last}
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

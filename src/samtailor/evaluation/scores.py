"""Scores of a set of predictions: their numbers as tables, as JSON and as CSV."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samtailor.evaluation import metrics_json, tables
from samtailor.evaluation.case_scores import CaseScores


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
        return metrics_json.to_json(self)

    def to_csv(self) -> str:
        """Content of metrics.csv: one line per case and class; an empty field where a score is not defined."""
        return tables.to_csv(self)

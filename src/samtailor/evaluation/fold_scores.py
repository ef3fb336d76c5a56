"""Scores of a cross-validation: those of each fold, their mean and standard deviation over the folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from samtailor.evaluation.case_scores import CaseScores
from samtailor.metrics.protocols import METRIC_NAMES, OVERALL_NAMES
from samtailor.reporting.table import Table, decimal

SD = "standard deviation (n - 1)"


def mean_and_sd(values: Sequence[float | None]) -> tuple[float, float]:
    """Mean and standard deviation of what is defined; NaN of nothing, and the deviation of a single number."""
    known = np.array([value for value in values if value is not None and not np.isnan(value)])
    mean = float(known.mean()) if len(known) else np.nan
    return mean, float(known.std(ddof=1)) if len(known) > 1 else np.nan


def over_folds(contents: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Means and standard deviations of numbers that lie in the same places of nested dictionaries; None for NaN."""
    mean: dict[str, Any] = {}
    sd: dict[str, Any] = {}
    for name, first in contents[0].items():
        values = [content[name] for content in contents]
        if isinstance(first, Mapping):
            mean[name], sd[name] = over_folds(values)
        else:
            mean[name], sd[name] = (None if np.isnan(value) else value for value in mean_and_sd(values))
    return mean, sd


def fold_table(scores: CaseScores) -> Table | None:
    """The main score of each fold, a row for each class, and what the protocol has of all cases; None without folds."""
    if not scores.folds:
        return None
    main, alone = scores.metrics[0], scores.folds.values()
    summaries = [one.summary(main) for one in alone]
    values = {name: [s.classes[k].value for s in summaries] for k, name in enumerate(scores.labels.names)}
    values["mean without background"] = [summary.without_background.value for summary in summaries]
    values |= {OVERALL_NAMES[metric]: [one.overall(metric).value for one in alone] for metric in scores.overall_metrics}
    rows = [(name, *map(decimal, (*row, *mean_and_sd(row)))) for name, row in values.items()]
    rows.append(("cases", *(str(len(one.cases)) for one in alone), "", ""))
    note = (
        f"{METRIC_NAMES[main]} of the cases that each fold has left out, by the segmenter that was trained on the "
        f"others; mean and {SD} over the folds. The other tables are of the cases of all folds together."
    )
    return Table(("class", *(f"fold {fold}" for fold in scores.folds), "mean", "SD"), tuple(rows), (note,))

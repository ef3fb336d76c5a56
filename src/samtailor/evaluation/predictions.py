"""Scoring predictions on their own grid, whoever made them, and writing the tables and figures."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.formats.atomic import atomic
from samtailor.data.labels import LabelSpace
from samtailor.evaluation.figures import box_plot, overlay_figure, save_figure
from samtailor.evaluation.scores import CaseScore, Scores
from samtailor.evaluation.tables import class_table, decimal, to_csv
from samtailor.evaluation.view import View
from samtailor.metrics.empty import EmptyRule
from samtailor.metrics.overlap import overlap


@dataclass(frozen=True)
class PredictedCase:
    """A case with its truth and its prediction.

    Attributes:
        name: Name of the case.
        image: Slices in [0, 1], (S, C, H, W).
        truth: Class indices, `IGNORE` where nothing counts, (S, H, W).
        prediction: Class indices, (S, H, W).
        spacing: Distance in mm of slices, rows, columns; None for pictures.
    """

    name: str
    image: NDArray[Any]
    truth: NDArray[np.int16]
    prediction: NDArray[np.int16]
    spacing: tuple[float, float, float] | None = None


def score_and_write(
    cases: Iterable[PredictedCase],
    labels: LabelSpace,
    rule: EmptyRule,
    out: Path,
    resamples: int = 1000,
    seed: int = 0,
) -> Scores:
    """Score predictions, whoever made them, and write tables and figures.

    No more than one case is held in memory; the slices that the figures may need wait in a temporary directory.

    Args:
        cases: Predicted cases, at least one.
        labels: Label space.
        rule: What an absent class scores.
        out: Where metrics.json, metrics.csv, metrics.md, overlay_best.png, overlay_median.png, overlay_worst.png
            and boxplot.png are written.
        resamples: Bootstrap resamples of the intervals.
        seed: Seed of the bootstrap.
    """
    scored: list[CaseScore] = []
    with tempfile.TemporaryDirectory(prefix="samtailor-") as scratch:
        views: list[Path] = []
        for case in cases:
            scored.append(CaseScore(case.name, overlap(case.truth, case.prediction, len(labels))))
            views.append(Path(scratch) / f"{len(views)}.npz")
            View.of(case.image, case.prediction, case.truth, case.spacing).save(views[-1])
        scores = Scores(labels, rule, tuple(scored), resamples, seed)
        write_tables(scores, out)
        means = scores.case_means("dsc")
        for role, index in telling_cases(scores).items():
            what = "DSC" if len(labels) == 2 else "mean DSC"
            title = f"{role.capitalize()} case: {scored[index].name}, {what} {decimal(means[index])}"
            save_figure(overlay_figure(View.load(views[index]), labels, title), out / f"overlay_{role}.png")
    save_figure(box_plot(scores.per_case("dsc"), labels, "DSC"), out / "boxplot.png")
    return scores


def telling_cases(scores: Scores) -> dict[str, int]:
    """Index of the best, the worst and the median case by mean DSC without background; each case once."""
    means = scores.case_means("dsc")
    known = np.flatnonzero(~np.isnan(means))
    if not len(known):  # no case has a foreground class that counts: any is as good as another
        return {"best": 0}
    order = known[np.argsort(-means[known], kind="stable")].tolist()
    telling: dict[str, int] = {}
    for role, index in (("best", order[0]), ("worst", order[-1]), ("median", order[len(order) // 2])):
        if index not in telling.values():
            telling[role] = index
    return telling


def write_tables(scores: Scores, out: Path) -> None:
    """Write metrics.json, metrics.csv and metrics.md, each complete or not at all."""
    contents = {
        "metrics.json": json.dumps(scores.to_json(), indent=1, allow_nan=False),
        "metrics.csv": to_csv(scores),
        "metrics.md": class_table(scores).to_markdown(),
    }
    for name, content in contents.items():
        with atomic(out / name) as scratch:
            scratch.write_text(content, encoding="utf-8")

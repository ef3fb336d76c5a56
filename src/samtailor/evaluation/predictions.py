"""Scoring predictions on their own grid, whoever made them, and writing the tables and figures."""

from __future__ import annotations

import tempfile
import textwrap
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.evaluation.case_scores import CaseScore
from samtailor.evaluation.measure import Grid, measure
from samtailor.evaluation.scores import Scores, to_markdown
from samtailor.files import write_json, write_text
from samtailor.labels import IGNORE, LabelSpace
from samtailor.metrics.protocols import METRIC_NAMES, ProtocolName
from samtailor.reporting.figures import save_figure
from samtailor.reporting.overlay import overlay_figure
from samtailor.reporting.plots import box_plot, confusion_figure
from samtailor.reporting.table import decimal
from samtailor.reporting.view import View


@dataclass(frozen=True)
class PredictedCase:
    """A case with its truth and its prediction.

    Attributes:
        name: Name of the case.
        image: Slices in [0, 1], (S, C, H, W).
        truth: Class indices, `IGNORE` where nothing counts, (S, H, W).
        prediction: Class indices, (S, H, W).
        spacing: Distance in mm of slices, rows, columns; None for pictures.
        grid: Axes and spacing that distances are measured on; that of the spacing, without file, if None.
        fold: Which fold of a cross-validation has left it out, and predicted it; None elsewhere.
    """

    name: str
    image: NDArray[Any]
    truth: NDArray[np.int16]
    prediction: NDArray[np.int16]
    spacing: tuple[float, float, float] | None = None
    grid: Grid | None = None
    fold: int | None = None


def score_and_write(
    cases: Iterable[PredictedCase],
    labels: LabelSpace,
    protocol: ProtocolName,
    out: Path,
    resamples: int = 1000,
    seed: int = 0,
    source: Mapping[str, Any] | None = None,
    ignore_background: bool = False,
) -> Scores:
    """Score predictions, whoever made them, and write tables and figures.

    A case is scored in a thread of its own while the next one is made, so that two are in memory at most; the slices
    that the figures may need wait in a temporary directory.

    Args:
        cases: Predicted cases, at least one.
        labels: Label space.
        protocol: By which rules.
        out: Where metrics.json, metrics.csv, metrics.md, overlay_best.png, overlay_median.png, overlay_worst.png
            and boxplot.png are written.
        resamples: Bootstrap resamples of the intervals.
        seed: Seed of the bootstrap.
        source: What is scored, see `Scores`.
        ignore_background: Whether pixels whose true class is the first count nowhere (see `Scores`).
    """
    scored: list[Future[CaseScore]] = []
    with tempfile.TemporaryDirectory(prefix="samtailor-") as scratch, ThreadPoolExecutor(1) as scorer:
        views: list[Path] = []
        for case in cases:
            if ignore_background:
                case = replace(case, truth=np.where(case.truth == 0, np.int16(IGNORE), case.truth))
            if scored:
                scored[-1].result()
            views.append(Path(scratch) / f"{len(views)}.npz")
            scored.append(scorer.submit(_score_one, case, labels, protocol, views[-1]))
        results = tuple(score.result() for score in scored)
        scores = Scores(labels, protocol, results, resamples, seed, None, source or {}, ignore_background)
        return write_results(scores, out, lambda index: View.load(views[index]))


def _score_one(case: PredictedCase, labels: LabelSpace, protocol: ProtocolName, view: Path) -> CaseScore:
    """Scores of a case; its representative slice goes into a file."""
    View.from_case(case.image, case.prediction, case.truth, case.spacing).save(view)
    grid = case.grid or Grid.from_spacing(case.spacing, len(case.truth))
    return replace(measure(case.name, case.truth, case.prediction, labels, protocol, grid), fold=case.fold)


_CONFUSION = "confusion.png"
_OVERLAYS = {role: f"overlay_{role}.png" for role in ("best", "median", "worst")}
RESULTS = ("metrics.json", "metrics.csv", "metrics.md", "boxplot.png", _CONFUSION, *_OVERLAYS.values())
"""Files that `write_results` may write."""


def write_results(scores: Scores, out: Path, view_of: Callable[[int], View] | None = None) -> Scores:
    """Write tables and figures, overlays only with views of the cases; gives the scores, which know the folder.

    Figures of older scores that these have none of are removed.
    """
    older = {_CONFUSION, *_OVERLAYS.values()}
    write_tables(scores, out)
    main = scores.metrics[0]
    means = scores.case_means(main)
    what = METRIC_NAMES[main] if len(scores.labels) == 2 else f"mean {METRIC_NAMES[main]}"
    if view_of:
        for role, index in representative_cases(scores).items():
            title = f"{role.capitalize()} case: {scores.cases[index].name}, {what} {decimal(means[index])}"
            figure = overlay_figure(view_of(index), scores.labels, with_bound(title, scores))
            save_figure(figure, out / _OVERLAYS[role])
            older.remove(_OVERLAYS[role])
    if scores.confusion is not None:
        title = with_bound("% of each true class's pixels", scores)
        save_figure(confusion_figure(scores.confusion, scores.labels, title), out / _CONFUSION)
        older.remove(_CONFUSION)
    boxes = box_plot(scores.per_case(main), scores.labels, METRIC_NAMES[main], with_bound("", scores))
    save_figure(boxes, out / "boxplot.png")
    for name in older:
        (out / name).unlink(missing_ok=True)
    return replace(scores, folder=out)


def with_bound(title: str, scores: Scores) -> str:
    """A figure's title with the warning that the scores are a bound only, if they are."""
    return "\n".join(filter(None, (title, *textwrap.wrap(scores.upper_bound or "", 90))))


def representative_cases(scores: Scores) -> dict[str, int]:
    """Index of the best, the worst and the median case by the main metric's mean without background; each once."""
    means = scores.case_means(scores.metrics[0])
    known = np.flatnonzero(~np.isnan(means))
    if not len(known):  # no case has a foreground class that counts: any is as good as another
        return {"best": 0}
    order = known[np.argsort(-means[known], kind="stable")].tolist()
    chosen: dict[str, int] = {}
    for role, index in (("best", order[0]), ("worst", order[-1]), ("median", order[len(order) // 2])):
        if index not in chosen.values():
            chosen[role] = index
    return chosen


def write_tables(scores: Scores, out: Path) -> None:
    """Write metrics.json, metrics.csv and metrics.md, each complete or not at all."""
    write_json(out / "metrics.json", scores.to_json())
    write_text(out / "metrics.csv", scores.to_csv())
    write_text(out / "metrics.md", to_markdown(scores))

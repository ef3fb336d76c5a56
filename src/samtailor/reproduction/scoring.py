"""Scoring the cells: predicted once, scored by as many rules as are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.cache import SliceCache
from samtailor.data.case import CaseFiles
from samtailor.data.dataset import Dataset
from samtailor.data.formats import format_of, read_case
from samtailor.errors import counted
from samtailor.evaluation.cases import cases_of_split, cases_with, check_classes
from samtailor.evaluation.measure import measure
from samtailor.evaluation.predictions import score_and_write, write_tables
from samtailor.evaluation.scores import Scores
from samtailor.files import made_of, read_json
from samtailor.labels import LabelSpace
from samtailor.metrics.protocols import ProtocolName
from samtailor.progress import tracked
from samtailor.reproduction.cells import MAIN, Cell, Fit, ZeroShot
from samtailor.reproduction.plan import Plan
from samtailor.reproduction.results import ColumnResult, present_dsc
from samtailor.segmenter import load
from samtailor.training.resolve import preprocessing_of


def score_columns(plan: Plan) -> tuple[ColumnResult, ...]:
    """Score the finished cells of an experiment; what is not predicted yet is predicted."""
    protocol = plan.dataset.protocol
    for fit in plan.fits:
        _evaluate(plan, fit, list(dict.fromkeys((MAIN, protocol))))
    results = []
    for column, cells in plan.cells.items():
        metrics = [_read_metrics(cell.evaluation(plan.split)) for cell in cells]
        fits = [cell for cell in cells if isinstance(cell, Fit)]
        on_slices_of = {
            other.column.name: np.stack([present_dsc(_score_on_slices(plan, fit, other)) for fit in fits])
            for other in (plan.zero_shots if fits else ())
        }
        dsc = np.stack([present_dsc(content) for content in metrics])
        names, scored = tuple(metrics[0]["classes"]), _scored(cells[0], len(metrics[0]["cases"]))
        own = [_read_metrics(fit.evaluation(plan.split, protocol)) for fit in fits]
        base = cells[0].config.base
        results.append(ColumnResult(column, base, cells, dsc, names, scored, on_slices_of, metrics, own))
    return tuple(results)


def _scored(cell: Cell, cases: int) -> str:
    """What was scored of a column, in words."""
    if isinstance(cell, Fit):
        return f"{cases} whole cases"
    count = sum(len(indices) for indices in cell.slices().values())
    if count == cases:
        return counted(count, "picture")
    return f"{counted(count, 'slice')} of {counted(cases, 'case')}, those of a case taken together"


def _evaluate(plan: Plan, cell: Fit, protocols: Sequence[ProtocolName]) -> None:
    """Predict the cases of the split, those that are not predicted yet, and score them by every protocol."""
    run, dataset, split = cell.run, plan.dataset, plan.split
    about = run.read_dataset()
    check_classes(dataset, LabelSpace.from_json(about["labels"]))
    files = cases_of_split(dataset, split, about["splits"])
    predictions = cell.predictions(split)
    fitted = list(run.segmenter_directory.iterdir())
    saved = [saved_file(predictions, file) for file in files]
    if missing := [pair for pair in zip(files, saved, strict=True) if not _is_newer(pair[1], fitted)]:
        segmenter = load(run.directory)
        for file, path in tracked(f"predicting ({cell.column.name}, seed {cell.config.seed})", missing):
            segmenter.predict(read_case(file, None), device=plan.config.device).save(path)
    cache = SliceCache(dataset.labels, preprocessing_of(cell.config, dataset.channel_choice))
    for protocol in protocols:
        out = cell.evaluation(split, protocol)
        if not _is_newer(out / "metrics.json", saved):
            what = f"scoring ({cell.column.name}, seed {cell.config.seed}, {protocol})"
            cases = cases_with(lambda file, _: read_saved(predictions, file, dataset), cache.load, files, what)
            score_and_write(cases, dataset.labels, protocol, out, source=_source(plan, cell))


def _score_on_slices(plan: Plan, cell: Fit, zero_shot: ZeroShot) -> dict[str, Any]:
    """Content of `metrics.json` of a predicted fit on exactly the slices that a zero-shot column was tried on.

    The slices of a case are one case, in both columns.
    """
    dataset, split = plan.dataset, plan.split
    predictions = cell.predictions(split)
    out = cell.evaluation(split) / f"on-{zero_shot.column.cell}"
    slices = zero_shot.slices()
    files = [file for file in dataset.cases if file.name in slices and saved_file(predictions, file).is_file()]
    if not _is_newer(out / "metrics.json", [zero_shot.slices_file, *(saved_file(predictions, f) for f in files)]):
        what = f"scoring ({cell.column.name}, seed {cell.config.seed}, as {zero_shot.column.name})"
        scored = []
        for file in tracked(what, files):
            truth = read_case(file, dataset.labels).label
            assert truth is not None  # both columns refuse cases without
            chosen = slices[file.name]
            prediction = read_saved(predictions, file, dataset)[chosen]
            scored.append(measure(file.name, truth[chosen], prediction, dataset.labels, "nnunet"))
        source = _source(plan, cell) | {"slices": slices}
        write_tables(Scores(dataset.labels, "nnunet", tuple(scored), source=source), out)
    return _read_metrics(out)


def _source(plan: Plan, cell: Fit) -> dict[str, Any]:
    """What is scored, as `metrics.json` says it."""
    return {"data": plan.dataset.root.resolve().name, "split": plan.split, "run": str(cell.run.directory)}


def _read_metrics(folder: Path) -> dict[str, Any]:
    """Content of the `metrics.json` of a folder."""
    fix = "delete the folder, and give the command again"
    content: dict[str, Any] = read_json(folder / "metrics.json", dict, fix)
    with made_of(folder / "metrics.json", "the scores that samtailor evaluate writes", fix):
        present_dsc(content)
    return content


def read_saved(folder: Path, file: CaseFiles, dataset: Dataset) -> NDArray[np.int16]:
    """Class indices, (S, H, W), of a saved label map."""
    path = saved_file(folder, file)
    ids, _ = format_of(path).read_ids(path, dataset.labels)
    return dataset.labels.to_indices(ids)


def saved_file(folder: Path, file: CaseFiles) -> Path:
    """Where the label map of a case lies."""
    return folder / f"{file.name}{format_of(file.images[0]).label_suffix}"


def _is_newer(path: Path, than: Iterable[Path]) -> bool:
    """Whether a file exists and was written after others."""
    return path.is_file() and path.stat().st_mtime >= max(other.stat().st_mtime for other in than)

"""Scoring the cells: predicted once, scored by as many rules as are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.cache import SliceCache
from samtailor.data.case import CaseFiles
from samtailor.data.dataset import Dataset, Split
from samtailor.data.formats import format_of, read_case, read_ids
from samtailor.evaluation.cases import cases_of_split, check_classes, grid_of
from samtailor.evaluation.measure import measure
from samtailor.evaluation.predictions import PredictedCase, score_and_write, write_tables
from samtailor.evaluation.scores import Scores
from samtailor.inference.predictor import Predictor
from samtailor.inference.result import segment
from samtailor.metrics.protocols import ProtocolName
from samtailor.models.pretrained import load_model
from samtailor.progress import tracked
from samtailor.reproduction.cells import Fit, ZeroShot

MAIN: ProtocolName = "samtailor"
"""Protocol of the comparison with the zero-shot columns; every cell is scored by it."""


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a run on a split.

    Attributes:
        run: Directory of the run.
        split: Cases that are scored.
    """

    run: Path
    split: Split

    def directory(self, protocol: ProtocolName = MAIN) -> Path:
        """Where the tables and figures of a protocol lie."""
        suffix = "" if protocol == MAIN else f"-{protocol}"
        return self.run / "evaluation" / f"{self.split}{suffix}"

    @property
    def predictions(self) -> Path:
        """Where the predicted label maps lie."""
        return self.directory() / "predictions"

    def metrics(self, protocol: ProtocolName = MAIN) -> dict[str, Any]:
        """Content of the `metrics.json` of a protocol."""
        return read_metrics(self.directory(protocol))


def evaluate_fit(
    cell: Fit, dataset: Dataset, split: Split, protocols: Sequence[ProtocolName], device: str
) -> Evaluation:
    """Predict the cases of a split, those that are not predicted yet, and score them by every protocol.

    Args:
        cell: A finished training.
        dataset: Its data.
        split: Cases to score.
        protocols: Rules to score by.
        device: 'auto', 'cpu' or 'cuda'.

    Raises:
        DataError: If there is no such split, or a case has no label.
    """
    run = cell.run
    files = cases_of_split(dataset, split, run.read_dataset()["splits"])
    evaluation = Evaluation(run.directory, split)
    fitted = max(file.stat().st_mtime for file in run.segmenter_directory.iterdir())
    saved = {file.name: saved_file(evaluation.predictions, file) for file in files}
    missing = [file for file in files if not _is_newer(saved[file.name], fitted)]
    _predict(cell, missing, evaluation.predictions, device)
    predicted = max(saved_file(evaluation.predictions, file).stat().st_mtime for file in files)
    for protocol in protocols:
        if not _is_newer(evaluation.directory(protocol) / "metrics.json", predicted):
            _score(cell, dataset, files, evaluation, protocol)
    return evaluation


def _predict(cell: Fit, files: Sequence[CaseFiles], out: Path, device: str) -> None:
    """Write the label map of each case on the case's own grid."""
    if not files:
        return
    predictor = Predictor(load_model(cell.run.directory), device=device)
    channels = predictor.model.preprocessing.channels
    what = f"predicting ({cell.column.name}, seed {cell.seed})"
    for file in tracked(what, files):
        segment(predictor, read_case(file, None, channels)).save(saved_file(out, file))


def _score(
    cell: Fit,
    dataset: Dataset,
    files: Sequence[CaseFiles],
    evaluation: Evaluation,
    protocol: ProtocolName,
) -> None:
    """Write the tables and figures of one protocol."""
    model = load_model(cell.run.directory)
    check_classes(dataset, model.labels)
    preprocessing = model.preprocessing
    cache = SliceCache(dataset.labels, preprocessing.intensity, channels=preprocessing.channels)
    what = f"scoring ({cell.column.name}, seed {cell.seed}, {protocol})"

    def cases() -> Iterator[PredictedCase]:
        for file in tracked(what, files):
            case = cache.load(file)
            assert case.label is not None  # cases_of_split refuses cases without
            prediction = read_saved(evaluation.predictions, file, dataset)
            yield PredictedCase(case.name, case.image, case.label, prediction, case.spacing, grid_of(file))

    source = {"data": dataset.root.resolve().name, "split": evaluation.split, "run": str(cell.run.directory)}
    score_and_write(cases(), dataset.labels, protocol, evaluation.directory(protocol), source=source)


def score_on_slices(cell: Fit, dataset: Dataset, split: Split, zero_shot: ZeroShot) -> dict[str, Any]:
    """Score a predicted cell on exactly the pictures or slices that a zero-shot column was tried on.

    The slices of a case are one case, in both columns.

    Args:
        cell: A fit whose cases are predicted.
        dataset: Its data.
        split: Split that both are scored on.
        zero_shot: A finished zero-shot cell.

    Returns:
        Content of `metrics.json`.
    """
    evaluation = Evaluation(cell.run.directory, split)
    out = evaluation.directory() / f"on-{zero_shot.column.cell}"
    slices = zero_shot.slices()
    files = [file for file in dataset.cases if file.name in slices]
    files = [file for file in files if saved_file(evaluation.predictions, file).is_file()]
    newest = max(
        [zero_shot.slices_file.stat().st_mtime]
        + [saved_file(evaluation.predictions, file).stat().st_mtime for file in files]
    )
    if not _is_newer(out / "metrics.json", newest):
        what = f"scoring ({cell.column.name}, seed {cell.seed}, as {zero_shot.column.name})"
        scored = []
        for file in tracked(what, files):
            truth = read_case(file, dataset.labels).label
            assert truth is not None  # both columns refuse cases without
            prediction = read_saved(evaluation.predictions, file, dataset)
            chosen = slices[file.name]
            scored.append(measure(file.name, truth[chosen], prediction[chosen], dataset.labels, "nnunet"))
        source = {"data": dataset.root.resolve().name, "split": split, "run": str(cell.run.directory), "slices": slices}
        write_tables(Scores(dataset.labels, "nnunet", tuple(scored), source=source), out)
    return read_metrics(out)


def read_metrics(folder: Path) -> dict[str, Any]:
    """Content of the `metrics.json` of a folder."""
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return content


def read_saved(folder: Path, file: CaseFiles, dataset: Dataset) -> NDArray[np.int16]:
    """Class indices, (S, H, W), of a saved label map.

    Raises:
        DataError: If it is missing or of another size or class.
    """
    ids, _ = read_ids(saved_file(folder, file), dataset.labels)
    return dataset.labels.to_indices(ids)


def saved_file(folder: Path, file: CaseFiles) -> Path:
    """Where the label map of a case lies."""
    return folder / f"{file.name}{format_of(file.images[0]).label_suffix}"


def _is_newer(path: Path, time: float) -> bool:
    """Whether a file exists and was written after a time."""
    return path.is_file() and path.stat().st_mtime >= time

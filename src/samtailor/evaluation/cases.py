"""The cases of an evaluation: which they are, and what is predicted of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from samtailor.data.cache import CachedCase, SliceCache, prepare_case
from samtailor.data.case import CaseFiles
from samtailor.data.corruptions import Degradation
from samtailor.data.dataset import Dataset, Split
from samtailor.data.formats import find_format, read_geometry
from samtailor.errors import ConfigError, DataError, listed
from samtailor.evaluation.measure import Grid
from samtailor.evaluation.predictions import PredictedCase
from samtailor.inference.ahead import ahead
from samtailor.inference.predictor import Predictor
from samtailor.labels import LabelSpace
from samtailor.progress import tracked
from samtailor.runs import CrossValidation, Run

LOG = logging.getLogger("samtailor")


def cases_of_split(dataset: Dataset, split: Split, run_splits: dict[str, list[str]]) -> tuple[CaseFiles, ...]:
    """Labelled cases to evaluate: the folder's own split, or that of the run if the folder is the run's data.

    The run's counts where the folder has none, or has one now with cases that the run was trained on.

    Raises:
        DataError: If there is no such split, or one of its cases has no label.
    """
    cases = {case.name: case for case in dataset.cases}
    own, named = run_splits.get(split, []), dataset.splits.get(split, ())
    is_run_data = {name for names in run_splits.values() for name in names} == set(cases)
    seen = [] if split == "train" else sorted(set(named).intersection(run_splits.get("train", ())))
    if own and is_run_data and (seen or not named):
        if seen:
            message = "%s: split '%s' has cases that the run was trained on (%s): the run's own split is taken"
            LOG.warning(message, dataset.root, split, listed(seen, 3))
        files = tuple(cases[name] for name in own)
    else:
        files = dataset.split(split)
    _require_labels(dataset, split, files)
    return files


def parts_of_split(dataset: Dataset, split: Split, place: Run | CrossValidation) -> list[tuple[CaseFiles, ...]]:
    """Labelled cases to evaluate, in parts: all by the same segmenter, or each part by that of another fold.

    Of the validation of a cross-validation a part is what a fold has left out, as its run has noted it.

    Raises:
        ConfigError: If the cases were trained on, in other folds than one.
        DataError: If there is no such split, the folder is not that of the folds, or a case has no label.
    """
    if not isinstance(place, CrossValidation) or split == "test":
        run = place.run(0) if isinstance(place, CrossValidation) else place
        return [cases_of_split(dataset, split, run.read_dataset()["splits"])]
    if split == "train":
        raise ConfigError(
            "split: expected val (each case by the fold that has not seen it) or test (by the mean of all folds) of a "
            "cross-validation; found train"
        )
    cases = {case.name: case for case in dataset.cases}
    noted = [run.read_dataset()["splits"].get("val", []) for run in place.require_trained()]
    if unknown := [name for names in noted for name in names if name not in cases]:
        raise DataError(
            f"{dataset.root}: expected the cases of the cross-validation, found none called {listed(unknown)}; name "
            "its own data, or score the mean of its folds with --split test"
        )
    parts = [tuple(cases[name] for name in names) for names in noted]
    _require_labels(dataset, "val", [file for part in parts for file in part])
    return parts


def _require_labels(dataset: Dataset, split: Split, files: Sequence[CaseFiles]) -> None:
    """Refuse cases of a split that have no label."""
    unlabelled = [file.name for file in files if file.label is None]
    if unlabelled:
        raise DataError(
            f"{dataset.root}: expected a label for each case of split '{split}', found none for "
            f"{listed(unlabelled)}; add the label files, or take the cases out of the split"
        )


def check_classes(dataset: Dataset, labels: LabelSpace) -> None:
    """Refuse data of other classes than the segmenter's, or in another order."""
    if dataset.labels.names != labels.names:
        raise DataError(
            f"{dataset.root}: expected the segmenter's classes {', '.join(labels.names)}; found "
            f"{', '.join(dataset.labels.names)}; name and order the classes in dataset.json alike"
        )


def grid_of(file: CaseFiles) -> Grid | None:
    """Grid of a case's label file, if there is one; that of the image for polygons, which are drawn on it."""
    if file.label is None:
        return None
    return Grid.from_geometry(read_geometry(file.label if find_format(file.label) else file.images[0]))


def predict_cases(
    predictor: Predictor, files: Sequence[CaseFiles], labels: LabelSpace, degradation: Degradation | None = None
) -> Iterator[PredictedCase]:
    """Predict cases with labels one after the other; while the network computes, the next one is read.

    Corrupted cases are not kept: seventy variants of each would fill the disk.
    """
    preprocessing = predictor.model.preprocessing
    load = SliceCache(labels, preprocessing).load
    if degradation is not None:
        load = partial(prepare_case, labels=labels, preprocessing=preprocessing, degradation=degradation)
    return cases_with(lambda _, case: predictor.label(case.image, case.spacing, void=case.void), load, files, "cases")


def predict_parts(
    predictors: Sequence[Predictor],
    parts: Sequence[Sequence[CaseFiles]],
    labels: LabelSpace,
    degradation: Degradation | None = None,
) -> Iterator[PredictedCase]:
    """`predict_cases` of each part by its own predictor; of several parts each is that of a fold."""
    if len(parts) == 1:
        yield from predict_cases(predictors[0], parts[0], labels, degradation)
        return
    for fold, (predictor, files) in enumerate(tracked("folds", list(zip(predictors, parts, strict=True)))):
        for case in predict_cases(predictor, files, labels, degradation):
            yield replace(case, fold=fold)


def cases_with(
    prediction_of: Callable[[CaseFiles, CachedCase], NDArray[np.int16]],
    load: Callable[[CaseFiles], CachedCase],
    files: Sequence[CaseFiles],
    what: str,
) -> Iterator[PredictedCase]:
    """Cases with labels, and a prediction (S, H, W) of each, one after the other; the next is read meanwhile."""
    for file, case in zip(tracked(what, files), ahead(map(load, files)), strict=True):
        if case.label is None:
            raise DataError(f"{file.name}: expected a label file, found none; add it")
        yield PredictedCase(case.name, case.image, case.label, prediction_of(file, case), case.spacing, grid_of(file))

"""Scoring a folder of saved masks, whoever made them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_case, read_geometry
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.data.intensity import Percentile, scale
from samtailor.errors import ConfigError, DataError
from samtailor.evaluation.grid import Grid
from samtailor.evaluation.masks import MaskPair, classes_of, geometry_error, open_truth, pair, read_pair, refuse
from samtailor.evaluation.measure import measure
from samtailor.evaluation.predictions import write_results
from samtailor.evaluation.score_settings import ScoreConfig
from samtailor.evaluation.scores import CaseScore, Scores
from samtailor.labels import IGNORE, LabelSpace
from samtailor.metrics.protocols import PROTOCOLS, ProtocolName, require_background_rule
from samtailor.progress import report
from samtailor.reporting.view import View

# Bytes of a voxel while its case is measured: both label maps, and the distance transforms of a large organ.
_BYTES_PER_VOXEL = 24


def score(config: ScoreConfig) -> Scores:
    """Score saved masks and write tables and figures.

    Cases are read and measured at once in several threads (the work is done outside of Python's lock); how many is
    bounded by the memory that is free.

    Args:
        config: What is scored, and how.

    Returns:
        The scores, as written.

    Raises:
        SamTailorError: If a setting is wrong, or masks and labels do not go together; everything found is named, and
            nothing has been written.
    """
    _check(config)
    truth = open_truth(Path(config.labels), config.split, config.fold)
    pairs, errors = pair(Path(config.predictions), truth)
    protocol = config.protocol or (truth.dataset.protocol if truth.dataset else None) or "samtailor"
    require_background_rule(config.ignore_background, protocol)
    refuse([*errors, *filter(None, map(geometry_error, pairs))], "masks")
    labels = classes_of(pairs, truth, Path(config.classes) if config.classes else None, protocol)
    cases = _measure(pairs, labels, protocol, config.ignore_background, config.workers)
    source = {"data": truth.root.resolve().name, "predictions": Path(config.predictions).resolve().name}
    if config.split:
        source["split"] = config.split
    scores = Scores(
        labels,
        protocol,
        tuple(cases),
        config.bootstrap,
        config.seed,
        source=source,
        ignore_background=config.ignore_background,
    )
    files = {case.name: case for case in truth.cases if case.images}
    draw = (lambda index: _view(pairs[index], files[pairs[index].name], labels)) if files else None
    write_results(scores, Path(config.out) if config.out else Path(config.predictions) / "scores", draw)
    return scores


def _check(config: ScoreConfig) -> None:
    """Refuse settings that no data can make right."""
    if config.protocol is not None and config.protocol not in PROTOCOLS:
        raise ConfigError(f"protocol: expected one of {', '.join(PROTOCOLS)}; found '{config.protocol}'")
    for name, value in (("bootstrap", config.bootstrap), ("workers", config.workers)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}: expected at least 1, found {value}")


def _measure(
    pairs: Sequence[MaskPair],
    labels: LabelSpace,
    protocol: ProtocolName,
    ignore_background: bool,
    workers: int | None,
) -> list[CaseScore]:
    """Scores of each case, in their order.

    Raises:
        DataError: If files cannot be read or hold ids that are no class; all of them are named.
    """

    def one(case: MaskPair) -> CaseScore:
        truth, prediction, geometry = read_pair(case, labels)
        if ignore_background:
            truth = np.where(truth == 0, np.int16(IGNORE), truth)
        grid = Grid.of_file(geometry) if isinstance(geometry, VolumeGeometry) else None
        return measure(case.name, truth, prediction, labels, protocol, grid)

    report("cases", 0, len(pairs))
    errors: list[DataError] = []
    with ThreadPoolExecutor(workers or _workers(pairs)) as pool:
        futures = [pool.submit(one, case) for case in pairs]
        for done, _ in enumerate(as_completed(futures), start=1):
            report("cases", done, len(pairs))
    for future in futures:
        error = future.exception()
        if isinstance(error, DataError):
            errors.append(error)
        elif error is not None:
            raise error
    refuse(errors, "files")
    return [future.result() for future in futures]


def _workers(pairs: Sequence[MaskPair]) -> int:
    """Cases to measure at once: one for each core, as far as the free memory goes."""
    largest = max(int(np.prod(read_geometry(case.label).shape)) for case in pairs)
    fitting = psutil.virtual_memory().available // (_BYTES_PER_VOXEL * largest)
    return max(1, min(os.cpu_count() or 1, len(pairs), int(fitting)))


def _view(case: MaskPair, files: CaseFiles, labels: LabelSpace) -> View:
    """The most telling slice of a case; intensities between the 0.5th and the 99.5th percentile."""
    truth, prediction, geometry = read_pair(case, labels)
    image = read_case(CaseFiles(files.name, files.images), None).image
    return View.of(scale(image, Percentile()).swapaxes(0, 1), prediction, truth, geometry.spacing)

"""Scoring a folder of saved masks, whoever made them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
import psutil  # type: ignore[import-untyped]

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_case, read_geometry
from samtailor.data.intensity import Percentile, scale
from samtailor.errors import DataError
from samtailor.evaluation.case_scores import CaseScore
from samtailor.evaluation.grid import Grid
from samtailor.evaluation.masks import MaskPair, read_pair, refuse
from samtailor.evaluation.measure import measure
from samtailor.labels import IGNORE, LabelSpace
from samtailor.metrics.protocols import ProtocolName
from samtailor.progress import report
from samtailor.reporting.view import View

# Bytes of a voxel while its case is measured: both label maps, and the distance transforms of a large organ.
_BYTES_PER_VOXEL = 24


def measure_pairs(
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
        return measure(case.name, truth, prediction, labels, protocol, Grid.of(geometry))

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


def view_of(case: MaskPair, files: CaseFiles, labels: LabelSpace) -> View:
    """The representative slice of a case; intensities between the 0.5th and the 99.5th percentile."""
    truth, prediction, geometry = read_pair(case, labels)
    image = read_case(CaseFiles(files.name, files.images), None).image
    return View.from_case(scale(image, Percentile()).swapaxes(0, 1), prediction, truth, geometry.spacing)

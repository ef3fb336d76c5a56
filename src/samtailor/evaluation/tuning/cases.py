"""Validation cases with what the network makes of them, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from samtailor.data.cache import CachedCase, SliceCache
from samtailor.data.case import CaseFiles
from samtailor.data.dataset import Dataset
from samtailor.errors import ConfigError
from samtailor.evaluation.case_scores import CaseScores
from samtailor.evaluation.cases import cases_with
from samtailor.evaluation.measure import measure
from samtailor.evaluation.predictions import PredictedCase
from samtailor.inference.predictor import Predictor
from samtailor.inference.room import room_for
from samtailor.labels import LabelSpace
from samtailor.metrics.confusion import nan_mean
from samtailor.metrics.protocols import ProtocolName
from samtailor.refinement.step import RefinementStep

TuningMetric = Literal["dsc", "iou", "nsd", "boundary_iou"]


def require_metric(metric: TuningMetric, dataset: Dataset) -> None:
    """Refuse a metric that the cases do not have: pictures have no NSD, volumes no boundary IoU."""
    wrong = "nsd" if dataset.pictures else "boundary_iou"
    if metric == wrong:
        what, right = ("pictures", "boundary_iou") if dataset.pictures else ("volumes", "nsd")
        raise ConfigError(f"metric: expected dsc, iou or {right} for {what}, found {metric}")


@dataclass(frozen=True)
class TunedCase:
    """A case, its label so far, and the network's softmax.

    Attributes:
        case: With the label so far as prediction.
        probabilities: (K, S, H, W), in a nameless file.
    """

    case: PredictedCase
    probabilities: NDArray[np.float16]

    def refined(self, step: RefinementStep) -> TunedCase:
        """The case after one more step."""
        case = self.case
        return replace(
            self, case=replace(case, prediction=step(case.prediction, self.probabilities, case.image, case.spacing))
        )


def predicted(
    predictor: Predictor, files: Sequence[CaseFiles], labels: LabelSpace, scratch: Path | str
) -> tuple[TunedCase, ...]:
    """What the network makes of cases, second passes included; the softmax of each goes to `scratch`."""
    softmax: dict[str, NDArray[np.float16]] = {}

    def label_of(file: CaseFiles, case: CachedCase) -> NDArray[np.int16]:
        softmax[file.name] = room_for(predictor.probabilities_shape(case.image), Path(scratch))
        label = predictor.label(case.image, case.spacing, probabilities=softmax[file.name])
        if case.void is not None:  # as prediction does before it refines
            label[case.void.where] = 0
        return label

    load = SliceCache(labels, predictor.model.preprocessing).load
    cases = cases_with(label_of, load, files, "cases")
    return tuple(TunedCase(case, softmax[case.name]) for case in cases)


@dataclass(frozen=True)
class MeanScore:
    """The mean of a metric over cases and classes, as nnU-Net takes it: of each class over the cases, then of these.

    Classes that the truth of no case shows are left out: giving them up would seem to gain.

    Attributes:
        metric: By its key.
        labels: The classes; the background is left out.
    """

    metric: TuningMetric
    labels: LabelSpace

    def __call__(self, cases: Sequence[TunedCase]) -> float:
        """NaN where no class but the background counts."""
        protocol: ProtocolName = "nnunet" if self.metric in ("dsc", "iou") else "samtailor"
        scored = tuple(
            measure(one.case.name, one.case.truth, one.case.prediction, self.labels, protocol, one.case.grid)
            for one in cases
        )
        scores = CaseScores(self.labels, protocol, scored, resamples=1)
        by_class = nan_mean(scores.per_case(self.metric), axis=0)
        by_class[~np.any(scores.counts.truth, axis=0)] = np.nan
        return float(nan_mean(by_class[1:]))

"""Two small cases whose scores can be computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.evaluation.case_scores import CaseScore
from samtailor.evaluation.scores import Scores
from samtailor.labels import LabelSpace
from samtailor.metrics.overlap import Overlap
from samtailor.metrics.protocols import ProtocolName

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


def case(name: str, tp: list[int], fp: list[int], fn: list[int]) -> CaseScore:
    """Case with the given counts of each class."""
    return CaseScore(name, Overlap(*(np.array(counts, dtype=np.int64) for counts in (tp, fp, fn))))


# DSC of the liver 0.8 and 0.4, IoU 2/3 and 1/4; the spleen is absent from the second case.
FIRST = case("first", tp=[90, 8, 3], fp=[0, 2, 0], fn=[0, 2, 0])
SECOND = case("second", tp=[50, 2, 0], fp=[0, 0, 0], fn=[0, 6, 0])


def scores(
    protocol: ProtocolName = "nnunet", cases: tuple[CaseScore, ...] = (FIRST, SECOND), **settings: Any
) -> Scores:
    """Scores of the cases."""
    return Scores(LABELS, protocol, cases, **settings)


def volume(seed: int = 0, shape: tuple[int, int, int] = (4, 40, 48)) -> tuple[NDArray[np.float16], NDArray[np.int16]]:
    """Noise in [0, 1] (S, 1, H, W) and a truth (S, H, W) with a liver in slices 1 and 2, and a spleen in slice 2."""
    image = np.random.default_rng(seed).random((shape[0], 1, *shape[1:])).astype(np.float16)
    truth = np.zeros(shape, np.int16)
    truth[1:3, 5:20, 5:25] = 1
    truth[2, 24:36, 30:44] = 2
    return image, truth

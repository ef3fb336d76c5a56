"""A metric is one file: a toy one in a protocol is measured, listed, explained and written like the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from samtailor.evaluation.measure import measure
from samtailor.evaluation.scores import Scores
from samtailor.labels import LabelSpace
from samtailor.metrics import protocols
from samtailor.metrics.class_metric import ClassMasks, ClassMetric
from samtailor.metrics.empty import EmptyValues

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


@dataclass(frozen=True)
class VolumeError(ClassMetric):
    """How much larger the prediction is than the truth."""

    key = "volume_error"
    title = "volume error"
    lower_is_better = True

    def score(self, masks: ClassMasks) -> float:
        both, wrong, missed = masks.counts
        return (wrong - missed) / (both + missed)

    def absent(self, rule: EmptyValues, is_predicted: bool) -> float:
        return float("nan")

    def rules(self, classes: tuple[str, ...]) -> dict[str, Any]:
        return {"volume_error": "predicted minus true voxels, over true voxels"}


def test_a_new_metric_reaches_scores_tables_and_files(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = replace(protocols.PROTOCOLS["nnunet"], measured=(VolumeError(),))
    monkeypatch.setitem(protocols.PROTOCOLS, "nnunet", protocol)
    monkeypatch.setitem(protocols.METRIC_NAMES, "volume_error", "volume error")
    truth, prediction = np.zeros((1, 4, 4), np.int16), np.zeros((1, 4, 4), np.int16)
    truth[0, 0, :2], prediction[0, 0, :3] = 1, 1
    scores = Scores(LABELS, "nnunet", (measure("a", truth, prediction, LABELS, "nnunet"),))
    content = scores.to_json()
    assert content["cases"]["a"]["liver"]["volume_error"] == 0.5
    assert content["cases"]["a"]["spleen"]["volume_error"] is None
    assert content["rules"]["volume_error"].startswith("predicted minus true")
    assert "volume error: predicted minus true voxels" in str(scores)
    assert "0.5000" in str(scores)

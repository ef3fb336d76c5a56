"""What a run says of itself: the table of epochs, the curves, the warning about a class that drowns."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from samtailor.labels import LabelSpace
from samtailor.losses import ClassAwareLoss
from samtailor.metrics.mean_dsc import MeanDsc
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.training.recorder import VanishingClassWarning
from samtailor.training.settings import TrainConfig
from samtailor.training.task import SegmentationTask, ValidationEmbeddings

NAMES = ("background", "liver", "target")


def task_that_saw(truth: list[int], predicted: list[int]) -> SegmentationTask:
    segmenter = cast(SegmenterModel, SimpleNamespace(labels=LabelSpace.from_names(NAMES)))
    task = SegmentationTask(
        segmenter, ClassAwareLoss(), TrainConfig(data="", out=""), [], MeanDsc(), ValidationEmbeddings(), 1, lambda _: 1
    )
    task.truth_voxels[:] = truth
    task.predicted_voxels[:] = predicted
    return task


def test_a_rare_class_that_is_nowhere_predicted_is_warned_of_once() -> None:
    callback = VanishingClassWarning(NAMES, np.array([0.9, 0.0995, 0.0005]))
    drowned = task_that_saw([1000, 90, 9], [1099, 0, 0])
    with pytest.warns(UserWarning, match=r"class 'target' has 0\.050% of the training pixels.*class_weights auto"):
        callback.on_validation_epoch_end(cast(Any, None), drowned)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        callback.on_validation_epoch_end(cast(Any, None), drowned)


def test_a_rare_class_that_is_found_or_absent_is_not_warned_of() -> None:
    callback = VanishingClassWarning(NAMES, np.array([0.9, 0.0995, 0.0005]))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        callback.on_validation_epoch_end(cast(Any, None), task_that_saw([1000, 90, 9], [1090, 0, 9]))
        callback.on_validation_epoch_end(cast(Any, None), task_that_saw([1009, 90, 0], [1099, 0, 0]))
    assert not warned

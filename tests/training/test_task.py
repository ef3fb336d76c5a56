"""Validation during training: the case loop, in the training's own precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.inference.predictor import Predictor
from samtailor.labels import LabelSpace
from samtailor.losses import ClassAwareLoss
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly, LoRA
from samtailor.settings import Precision
from samtailor.training.embeddings import case_windows
from samtailor.training.samples import PADDING_CASE
from samtailor.training.settings import OptimConfig, TrainConfig
from samtailor.training.task import SegmentationTask
from tests.training.cases import cached_case

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


def task_of(base: Base, precision: Precision) -> SegmentationTask:
    model = SegmenterModel.create(base.name, LoRA(), LABELS, Preprocessing(Range(), 32, None, 1))
    config = TrainConfig(data="", out="", optim=OptimConfig(lr=1e-3), precision=precision)
    return SegmentationTask(model, ClassAwareLoss(), config, [cached_case(LABELS)], None, 4)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("auto", torch.float32), ("32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_validation_computes_in_the_precision_of_the_training(
    precision: Precision, dtype: torch.dtype, tiny_base: Base
) -> None:
    task = task_of(tiny_base, precision)
    seen: set[torch.dtype] = set()

    def note(module: object, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.add(output.dtype)

    layer = next(m for m in task.model.network.mask_decoder.modules() if isinstance(m, torch.nn.Linear))
    layer.register_forward_hook(note)
    task.validation_step(PADDING_CASE)
    assert not seen
    task.validation_step(0)
    assert seen == {dtype}


def test_what_the_frozen_encoder_gives_is_not_computed_again(tiny_base: Base) -> None:
    model = SegmenterModel.create(tiny_base.name, HeadOnly(), LABELS, Preprocessing(Range(), 32, None, 1))
    case = cached_case(LABELS)
    embeddings = np.concatenate(list(Predictor(model, 4, "cpu").embeddings(case.image, case_windows(case, model))))
    task = SegmentationTask(model, ClassAwareLoss(), TrainConfig(data="", out=""), [case], [embeddings], 4)
    calls: list[int] = []
    for part in (model.network.image_encoder, model.network.mask_decoder):
        layer = next(m for m in part.modules() if isinstance(m, torch.nn.Linear))
        layer.register_forward_hook(lambda *_, part=part: calls.append(id(part)))
    task.validation_step(0)
    assert set(calls) == {id(model.network.mask_decoder)}

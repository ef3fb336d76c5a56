"""Validation during training: the case loop, in the training's own precision."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from samtailor.data.case import Void
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.inference.predictor import Predictor
from samtailor.labels import IGNORE, LabelSpace
from samtailor.losses import ClassAwareLoss
from samtailor.metrics.mean_dsc import MeanDsc
from samtailor.metrics.protocols import ProtocolName
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import HeadOnly, LoRA
from samtailor.settings import Precision
from samtailor.training.embeddings import case_windows
from samtailor.training.samples import PADDING_CASE, PADDING_TARGET, label_of
from samtailor.training.settings import LossConfig, OptimConfig, TrainConfig
from samtailor.training.task import SegmentationTask, ValidationEmbeddings
from tests.training.cases import cached_case

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))


def task_of(base: Base, precision: Precision) -> SegmentationTask:
    model = SegmenterModel.create(base.name, LoRA(), LABELS, Preprocessing(Range(), 32, None, 1))
    config = TrainConfig(data="", out="", optim=OptimConfig(lr=1e-3), precision=precision)
    return SegmentationTask(
        model, ClassAwareLoss(), config, [cached_case(LABELS)], MeanDsc(), ValidationEmbeddings(), 4, lambda _: 1
    )


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


def test_what_holds_nothing_is_no_object_of_the_steps_after_the_network(
    tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predictions have background there before they keep the largest component."""
    task = task_of(tiny_base, "32")
    task.model.practice = replace(task.model.practice, refinement=({"kind": "largest-component"},))
    case = cached_case(LABELS)
    drawn = np.zeros(label_of(case).shape, np.int16)
    drawn[:, :, :8] = drawn[:, 2:4, 10:] = 1
    empty = np.zeros(drawn.shape, bool)
    empty[:, :, :9] = True
    monkeypatch.setattr(Predictor, "_most_probable", lambda *_: drawn.copy())
    assert (task.predict(case, None) == 1)[:, :, :8].all()
    found = task.predict(replace(case, void=Void(empty, "no data")), None)
    assert (found == 1)[:, 2:4, 10:].all()
    assert not found[:, :, :9].any()


@pytest.mark.parametrize("protocol", ["samtailor", "remote-sensing"])
def test_a_validation_logs_what_the_protocol_counts(
    protocol: ProtocolName, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean = MeanDsc.of_protocol(protocol)
    model = SegmenterModel.create(tiny_base.name, LoRA(), LABELS, Preprocessing(Range(), 32, None, 1))
    cases = [cached_case(LABELS, slices, seed=slices) for slices in (1, 4)]  # 'liver' is in no truth
    specks = [label_of(case).copy() for case in cases]
    specks[0][:, 12:] = 0  # a third of the small case is found, and all of the large one,
    specks[1][0, 0, 0] = 1  # with a speck that is not there
    task = SegmentationTask(
        model, ClassAwareLoss(), TrainConfig(data="", out=""), cases, mean, ValidationEmbeddings(), 4, lambda _: 1
    )
    logged: dict[str, float] = {}
    monkeypatch.setattr(task, "log", logged.__setitem__)
    monkeypatch.setattr(task, "predict", lambda case, _: specks[cases.index(case)])
    for index in reversed(range(2)):
        task.validation_step(index)
    task.on_validation_epoch_end()
    spleen = 2 * (12 + 72) / (12 + 72 + 36 + 72) if mean.is_pooled else (2 * 12 / (12 + 36) + 1) / 2
    assert logged["dsc/liver"] == 0
    assert logged["dsc/spleen"] == pytest.approx(spleen)
    classes = [spleen, 0, logged["dsc/background"]] if mean.has_background else [spleen, 0]
    assert logged["dsc"] == pytest.approx(sum(classes) / len(classes))


@pytest.mark.parametrize("fraction", [0.3, 0.8, 1.0])
def test_that_fraction_of_the_images_is_prompted(
    fraction: float, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = prompting_task(tiny_base, fraction)
    prompted = with_prompts_noted(monkeypatch)
    images, target = torch.rand(4, 1, 3, 32, 32), torch.randint(3, (4, 1, 32, 32))
    for index in range(50):
        task.training_step((images, target), index)
    assert len(prompted) / 200 == pytest.approx(fraction, abs=0.1)
    prompted.clear()
    target[:3] = PADDING_TARGET  # what only fills up is not prompted
    for index in range(50):
        task.training_step((images, target), index)
    assert len(prompted) / 50 == pytest.approx(fraction, abs=0.2)


def test_the_loss_without_fine_features_is_added_by_its_weight(tiny_base: Base) -> None:
    model = SegmenterModel.create(
        tiny_base.name, LoRA(), LABELS, Preprocessing(Range(), 32, None, 1), fine_features=True
    )
    assert model.network.fine_features is not None
    for parameter in model.network.fine_features.parameters():
        torch.nn.init.normal_(parameter)
    config = TrainConfig(data="", out="", fine_features=True, loss=LossConfig(coarse=0.4))
    task = SegmentationTask(model, ClassAwareLoss(), config, [], MeanDsc(), ValidationEmbeddings(), 4, lambda _: 1)
    task._trainer = cast(Any, SimpleNamespace(precision="32-true"))
    task.log = lambda *args, **kwargs: None  # type: ignore[method-assign,assignment]
    images, target = torch.rand(2, 1, 3, 32, 32), torch.randint(3, (2, 1, 32, 32))
    features = model.encode(images.flatten(0, 1))
    fine, coarse = (task.loss(model.decode(maps), target.flatten(0, 1)) for maps in (features, features[:1]))
    assert (fine - coarse).abs() > 0.01
    torch.testing.assert_close(task.training_step((images, target), 0), fine + 0.4 * coarse)


def test_who_is_prompted_depends_on_seed_epoch_step_and_process_alone(
    tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompted = with_prompts_noted(monkeypatch)

    def drawn(seed: int = 0, epoch: int = 1, step: int = 2, rank: int = 0) -> list[float]:
        task = prompting_task(tiny_base, 0.5, seed)
        task._trainer = cast(Any, SimpleNamespace(precision="32-true", current_epoch=epoch, global_rank=rank))
        prompted.clear()
        torch.rand(len(images))  # torch's own state moves on
        task.training_step((images, target), step)
        return list(prompted)

    images = torch.rand(8, 1, 3, 32, 32)
    target = torch.randint(3, (8, 1, 32, 32))
    first = drawn()
    assert drawn() == first
    for other in ({"seed": 1}, {"epoch": 2}, {"step": 3}, {"rank": 1}):
        assert drawn(**other) != first


def test_the_loss_is_the_mean_over_prompted_and_other_images(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    task = prompting_task(tiny_base, 0.5)
    prompted = with_prompts_noted(monkeypatch, loss=7.0)
    images, target = torch.rand(6, 1, 3, 32, 32), torch.randint(3, (6, 1, 32, 32))
    plain: list[Tensor] = []
    sums = task.loss.sums
    monkeypatch.setattr(task.loss, "sums", lambda *args: plain.append(args[1]) or sums(*args))
    loss = task.training_step((images, target), 0)
    assert 0 < len(prompted) < 6
    (others,) = plain
    assert len(others) == 6 - len(prompted)
    features = task.model.encode(images.flatten(0, 1))
    kept = [i for i in range(6) if any(torch.equal(target[i, 0], other) for other in others)]
    of_others = task.loss(task.model.decode(tuple(feature[kept] for feature in features)), others)
    expected = (len(others) * of_others + 7.0 * len(prompted)) / 6
    torch.testing.assert_close(loss, expected)


def test_the_loss_is_the_mean_over_first_and_second_passes(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    task = prompting_task(tiny_base, 0.5)
    task.config = replace(task.config, prompts="outline")
    images, target = torch.rand(6, 1, 3, 32, 32), torch.randint(3, (6, 1, 32, 32))
    seen: list[Tensor] = []
    drawn: list[Tensor] = []

    def outlined(network: Any, features: Any, logits: Tensor, target: Tensor, random: torch.Generator) -> Tensor:
        seen.append(target)
        drawn.append(torch.randn(logits.shape))
        return drawn[0]

    monkeypatch.setattr("samtailor.training.task.outlined", outlined)
    loss = task.training_step((images, target), 0)
    (again,) = seen
    assert 0 < len(again) < 6
    first = task.loss(task.model(images.flatten(0, 1)), target.flatten(0, 1))
    second = task.loss(drawn[0], again)
    torch.testing.assert_close(loss, (6 * first + len(again) * second) / (6 + len(again)))


@pytest.mark.parametrize("prompts", ["drawn", "outline"])
@pytest.mark.parametrize("nothing", [IGNORE, PADDING_TARGET], ids=["ignored", "padding"])
def test_a_batch_of_which_nothing_counts_can_be_differentiated(
    nothing: int, prompts: Literal["drawn", "outline"], tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one of several processes; the head alone is trained, so that nothing before the features is."""
    monkeypatch.setattr("samtailor.training.task.sum_over_processes", lambda number: number + 1)
    task = prompting_task(tiny_base, 1.0)
    task.config = replace(task.config, prompts=prompts)
    task.training_step((torch.rand(2, 1, 3, 32, 32), torch.full((2, 1, 32, 32), nothing)), 0).backward()
    gradient = task.model.network.mask_decoder.mask_tokens.weight.grad
    assert gradient is not None
    assert not gradient.any()


def prompting_task(base: Base, fraction: float, seed: int = 0) -> SegmentationTask:
    """A task that is not in a trainer, in whose second epoch it believes to be."""
    model = SegmenterModel.create(base.name, HeadOnly(), LABELS, Preprocessing(Range(), 32, None, 1))
    config = TrainConfig(data="", out="", prompt_fraction=fraction, seed=seed)
    task = SegmentationTask(model, ClassAwareLoss(), config, [], MeanDsc(), ValidationEmbeddings(), 4, lambda _: 1)
    task._trainer = cast(Any, SimpleNamespace(precision="32-true", current_epoch=1, global_rank=0))
    task.log = lambda *args, **options: None  # type: ignore[assignment]
    return task


def with_prompts_noted(monkeypatch: pytest.MonkeyPatch, loss: float = 0.0) -> list[float]:
    """A number for each image that is prompted, which tells images and prompts apart."""
    found: list[float] = []

    def noted(network: Any, features: Any, target: Tensor, classes: int, random: torch.Generator) -> Tensor:
        found.append(float(target.float().sum() + torch.rand((), generator=random)))
        return torch.tensor(loss)

    monkeypatch.setattr("samtailor.training.task.prompted_loss", noted)
    return found


def test_what_the_frozen_encoder_gives_is_not_computed_again(tiny_base: Base) -> None:
    model = SegmenterModel.create(tiny_base.name, HeadOnly(), LABELS, Preprocessing(Range(), 32, None, 1))
    case = cached_case(LABELS)
    embeddings = np.concatenate(list(Predictor(model, 4, "cpu").embeddings(case.image, case_windows(case, model))))
    task = SegmentationTask(
        model,
        ClassAwareLoss(),
        TrainConfig(data="", out=""),
        [case],
        MeanDsc(),
        ValidationEmbeddings([embeddings]),
        4,
        lambda _: 1,
    )
    calls: list[int] = []
    for part in (model.network.image_encoder, model.network.mask_decoder):
        layer = next(m for m in part.modules() if isinstance(m, torch.nn.Linear))
        layer.register_forward_hook(lambda *_, part=part: calls.append(id(part)))
    task.validation_step(0)
    assert set(calls) == {id(model.network.mask_decoder)}

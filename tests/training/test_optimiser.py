"""What moves the weights: which of them decay, the rate of every step, clipping, accumulation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.labels import LabelSpace
from samtailor.losses import ClassAwareLoss
from samtailor.metrics.mean_dsc import MeanDsc
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from samtailor.recipes import Adapter, Full, HeadOnly, LoRA, Recipe
from samtailor.training.fit import new_trainer
from samtailor.training.schedule import rate_of
from samtailor.training.settings import OptimConfig, TrainConfig
from samtailor.training.task import SegmentationTask, ValidationEmbeddings

LABELS = LabelSpace.from_names(("background", "liver", "spleen"))

UNDECAYED = "|".join(
    (
        r".*bias",
        r".*(layer_norm\w*|norm)(\.layer)?\.weight",
        r".*neck\.[13]\.weight",  # norms of TinyViT's neck
        r".*(pos_embed|pos_embed_window|no_memory_embedding|rel_pos_[hw]|attention_biases)",
        r".*hypernetworks\.biases\.\d",
        r".*(mask_tokens|iou_token|obj_score_token)\.weight",
        r"prompt_encoder\.(point_embed\.\d|point_embed|not_a_point_embed|no_mask_embed)\.weight",
        r".*lora_magnitude_vector.*",
    )
)


def task_of(base: Base, recipe: Recipe, optim: OptimConfig, batches: int = 10) -> SegmentationTask:
    model = SegmenterModel.create(base.name, recipe, LABELS, Preprocessing(Range(), 64, None, 1))
    config = TrainConfig(data="", out="", recipe=recipe, optim=optim, device="cpu", epochs=1)
    return SegmentationTask(
        model, ClassAwareLoss(batch_dice=False), config, [], MeanDsc(), ValidationEmbeddings(), 4, lambda _: batches
    )


@pytest.mark.parametrize("recipe", [Full(), LoRA(dora=True), Adapter(depth=True), HeadOnly()], ids=lambda r: r.name)
def test_only_weights_of_layers_decay(recipe: Recipe, any_base: Base) -> None:
    task = task_of(any_base, recipe, OptimConfig(lr=1e-3, weight_decay=0.05))
    optimizer = cast(Any, task.configure_optimizers())["optimizer"]
    names = {id(parameter): name for name, parameter in task.model.network.named_parameters()}
    decays = {names[id(p)]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays.keys() == task.model.trained_state().keys()
    assert set(decays.values()) == {0.0, 0.05}
    for name, decay in decays.items():
        assert decay == (0.0 if re.fullmatch(UNDECAYED, name) else 0.05), name
    assert decays["mask_decoder.hypernetworks.weights.0"] == 0.05
    assert decays["mask_decoder.hypernetworks.biases.0"] == decays["mask_decoder.mask_tokens.weight"] == 0.0


@pytest.mark.parametrize(
    ("steps", "warmup", "power", "expected"),
    [
        (100, 0.05, 0.9, {0: 1 / 5, 3: 4 / 5 * 0.97**0.9, 4: 0.96**0.9, 5: 0.95**0.9, 50: 0.5**0.9, 99: 0.01**0.9}),
        (10, 0.0, 1.0, {0: 1.0, 5: 0.5, 9: 0.1, 10: 0.0}),
        (1, 0.05, 0.9, {0: 1.0, 1: 0.0}),
    ],
)
def test_the_rate_rises_linearly_and_falls_to_zero(
    steps: int, warmup: float, power: float, expected: dict[int, float], tiny_base: Base
) -> None:
    task = task_of(tiny_base, HeadOnly(), OptimConfig(lr=2.0, warmup=warmup, power=power), steps)
    configured = cast(Any, task.configure_optimizers())
    assert configured["lr_scheduler"]["interval"] == "step"
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(steps + 1):
        rates.append(optimizer.param_groups[1]["lr"])
        optimizer.step()
        schedule.step()
    for step, factor in expected.items():
        assert rates[step] == pytest.approx(2.0 * factor, rel=1e-9)


def test_rates_go_by_epochs_whatever_their_lengths() -> None:
    """Of three epochs, of which the head alone has the first, with two batches a step."""
    optim = OptimConfig(lr=1.0, warmup=0.25, power=1.0, accumulate=2)
    config = TrainConfig(data="", out="", optim=optim, epochs=3, head_epochs=1)
    lengths = [16, 3, 8]
    rate = rate_of(config, lambda epoch: lengths[epoch])
    head = [min((step + 1) / 8 / 0.25, 1.0) for step in range(8)]
    assert [rate(step) for step in range(8)] == pytest.approx(head)
    assert [rate(step) for step in (8, 9)] == pytest.approx([1.0, 0.75])
    assert [rate(step) for step in range(10, 15)] == pytest.approx([0.5, 0.375, 0.25, 0.125, 0.0])
    before = [rate(step) for step in range(10)]
    lengths[2] = 100
    assert [rate(step) for step in range(10)] == before


class Watcher(lightning.Callback):
    """Notes the gradients of every step, before they are clipped and after it, and the rates."""

    def __init__(self) -> None:
        self.before: list[torch.Tensor] = []
        self.after: list[torch.Tensor] = []
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.before.append(gradient_of(pl_module))
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.after.append(gradient_of(pl_module))


def gradient_of(task: SegmentationTask) -> torch.Tensor:
    """Gradients of all parameters in one row."""
    return torch.cat([p.grad.flatten() for p in task.model.parameters() if p.grad is not None])


def samples(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Groups of one image each, all classes in every one, no pixel ignored."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(count, 1, 3, 64, 64, generator=random)
    return [(image, torch.randint(3, (1, 64, 64), generator=random)) for image in images]


def watch(base: Base, batch_size: int, **optim: Any) -> Watcher:
    torch.manual_seed(0)
    task = task_of(base, LoRA(), OptimConfig(lr=1e-9, **optim), 8 // batch_size)
    quiet: dict[str, Any] = {"enable_checkpointing": False, "logger": False}
    watcher = Watcher()
    accumulate = task.config.optim.accumulate
    trainer = new_trainer(
        task.config, devices=1, max_epochs=1, accumulate_grad_batches=accumulate, callbacks=[watcher], **quiet
    )
    loader: Iterator[Any] = cast(Any, DataLoader(cast(Any, samples(8)), batch_size))
    trainer.fit(task, loader)
    return watcher


@pytest.mark.parametrize("clip", [1e-4, 1e9])
def test_gradients_are_clipped_by_their_norm(clip: float, tiny_base: Base) -> None:
    watched = watch(tiny_base, 4, clip=clip)
    assert len(watched.before) == len(watched.after) == 2
    for before, after in zip(watched.before, watched.after, strict=True):
        assert 1e-3 < before.norm() < 1e6
        torch.testing.assert_close(after, before * min(1.0, clip / float(before.norm())), rtol=1e-3, atol=0)


def test_accumulated_batches_are_one_step_with_their_mean_gradient(tiny_base: Base) -> None:
    """Images of which each has as many pixels of as many classes, with Dice per image: then it is the same step."""
    whole, parts = watch(tiny_base, 4, clip=1e9), watch(tiny_base, 1, clip=1e9, accumulate=4)
    assert len(whole.before) == len(parts.before) == 2
    assert parts.rates == whole.rates
    for expected, found in zip(whole.before, parts.before, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))

"""lite-medsam's TinyViT beside the operations of its authors' code: the encoder, and a LoRA training step.

The peer trains peft's LoRA on its fused projections (queries, keys and values: it cannot leave out the keys), and both
train the same class-aware head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.encoder import image_of, without_gradients
from benchmarks.line import Place, Prepared, Side
from benchmarks.training_step import RANK, stepping
from benchmarks.upstream_tiny_vit import UpstreamTinyViT
from samtailor.models.class_aware import ClassAwareSam
from samtailor.models.tiny_vit import TinyViT, TinyViTConfig
from samtailor.models.zoo import find_base
from samtailor.recipes import LoRA

SMALL = 64


class _Upstream(nn.Module):
    """Upstream's encoder where `ClassAwareSam` expects ours."""

    def __init__(self, ours: TinyViT) -> None:
        super().__init__()
        self.network = UpstreamTinyViT(ours)

    def forward(self, images: Tensor) -> Any:
        """An output with a `last_hidden_state`, (B, 256, h, w)."""
        return SimpleNamespace(last_hidden_state=self.network(images))


def encoder(size: int) -> Callable[[Side, Place], Prepared]:
    """One image through the encoder, without gradients."""

    def prepare(side: Side, place: Place) -> Prepared:
        torch.manual_seed(0)
        ours = TinyViT(TinyViTConfig()).eval()
        network: nn.Module = ours if side == "ours" else UpstreamTinyViT(ours)
        image = image_of(SMALL if place.small else size)
        run = partial(without_gradients, network, image)
        return Prepared(run, partial(counted_gflop, network, image) if side == "ours" else None)

    return prepare


def training_step(size: int, batch: int, classes: int) -> Callable[[Side, Place], Prepared]:
    """Forward pass, loss, backward pass and update, LoRA in encoder and decoder."""

    def prepare(side: Side, place: Place) -> Prepared:
        torch.manual_seed(0)
        network = ClassAwareSam(find_base("lite-medsam").build(), classes).train()
        if side == "peer":
            with_upstream_encoder(network)
        else:
            LoRA(rank=RANK).apply(network)
        length = SMALL if place.small else size
        run = stepping(network, network, length, batch, classes, place)

        def gflop() -> float:
            # Frozen weights need no gradient: the backward pass costs what the forward pass does.
            return 2 * batch * counted_gflop(network, image_of(length))

        return Prepared(run, gflop if side == "ours" else None, peak_runs=2)

    return prepare


def with_upstream_encoder(network: ClassAwareSam) -> None:
    """Put upstream's encoder with peft's LoRA into our network, and ours into the rest."""
    from peft import LoraConfig, inject_adapter_in_model

    assert isinstance(network.image_encoder, TinyViT)
    upstream = _Upstream(network.image_encoder)
    network.image_encoder = TinyViT(TinyViTConfig(depths=(0, 0, 0, 0)))  # nothing for the recipe to adapt
    LoRA(rank=RANK).apply(network)
    upstream.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["qkv"]), upstream)
    network.image_encoder = upstream


def counted_gflop(network: nn.Module, image: Tensor) -> float:
    """Multiplications and additions of matrix products and convolutions for an image, in 1e9; no window is padded."""
    from torch.utils.flop_counter import FlopCounterMode

    # The counter does not know oneDNN's products.
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        network(image)
    return float(counter.get_total_flops() / 1e9)


def agreement() -> float:
    """Difference of our embedding and upstream's, same weights, of its largest number; 256 px."""
    torch.manual_seed(0)
    ours, image = TinyViT(TinyViTConfig()).eval(), image_of(256)
    found = without_gradients(ours, image).last_hidden_state
    expected = without_gradients(UpstreamTinyViT(ours), image)
    return float((found - expected).abs().max() / expected.abs().max())

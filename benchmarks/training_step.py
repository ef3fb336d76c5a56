"""A LoRA training step of SAM ViT-B beside transformers' SamModel with peft on its fused projections.

Both train the same: B A of rank 4 beside the encoder's projections and the decoder's queries and values, prompt encoder
and segmentation head whole; cross entropy and Dice on the low-resolution logits; AdamW.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.encoder import vit, vit_gflop
from benchmarks.line import Place, Prepared, Side
from samtailor.losses import ClassAwareLoss
from samtailor.models.class_aware import ClassAwareSam
from samtailor.models.sam import VitSize, sam_config, vit_sam
from samtailor.recipes import LoRA

RANK = 4


def training_step(size: int, batch: int, classes: int) -> Callable[[Side, Place], Prepared]:
    """Forward pass, loss, backward pass and update on random images and weights."""

    def prepare(side: Side, place: Place) -> Prepared:
        torch.manual_seed(0)
        whole = vit(size, place)
        network, logits = (ours if side == "ours" else peer)(whole, classes)
        step = stepping(network.to(place.device), logits, whole.image_size, batch, classes, place)
        # Frozen weights need no gradient: the backward pass costs what the forward pass does.
        return Prepared(step, lambda: 2 * batch * vit_gflop(whole), holder=place.holder, peak_runs=2)

    return prepare


def ours(size: VitSize, classes: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Our network and what it makes of images."""
    network = ClassAwareSam(vit_sam(size), classes).train()
    LoRA(rank=RANK).apply(network)
    return network, network


def peer(size: VitSize, classes: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Transformers' with peft, a multimask output for each class."""
    from peft import LoraConfig, inject_adapter_in_model
    from transformers import SamModel

    config = sam_config(size)
    config.mask_decoder_config.num_multimask_outputs = classes
    network = SamModel(config).train()
    adapted = r".*vision_encoder\..*\.qkv|.*mask_decoder\.transformer\..*\.(q|v)_proj"
    inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=adapted), network)
    for name, parameter in network.named_parameters():
        head = not name.startswith(("vision_encoder.", "mask_decoder.transformer.", "shared_image_embedding."))
        parameter.requires_grad = "lora_" in name or (head and "shared_embedding" not in name)
    return network, lambda images: network(images, multimask_output=True).pred_masks[:, 0]


def stepping(
    network: nn.Module, logits: Callable[[Tensor], Tensor], size: int, batch: int, classes: int, place: Place
) -> Callable[[], object]:
    """Forward pass, loss, backward pass and update as one call; in bfloat16 on a GPU."""
    images = torch.randn(batch, 3, size, size, device=place.device)
    target = torch.randint(classes, (batch, size, size), device=place.device)
    loss = ClassAwareLoss()
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(place.device, torch.bfloat16, enabled=place.device == "cuda"):
            value: Tensor = loss(logits(images), target)
        value.backward()
        optimizer.step()

    return step

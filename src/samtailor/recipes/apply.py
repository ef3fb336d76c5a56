"""Applying a recipe to a class-aware SAM: what is added, what is trained, what stays frozen."""

from __future__ import annotations

from typing import assert_never

from torch import nn

from samtailor.recipes.adapter import insert_adapters
from samtailor.recipes.lora import inject_lora
from samtailor.recipes.recipe import Adapter, Full, HeadOnly, LoRA, Recipe


def apply_recipe(network: nn.Module, recipe: Recipe) -> None:
    """Insert the recipe's modules and mark what is trained.

    The network's output does not change. Prompt encoder and segmentation head (mask tokens, hypernetworks,
    upscaling, IoU head) are trained under every recipe; under none the Fourier features of positions, which are a
    constant of SAM, and SAM 2's object score, which touches no mask.

    Args:
        network: Class-aware SAM, with `image_encoder`, `prompt_encoder` and `mask_decoder`.
        recipe: What is adapted, and how.
    """
    match recipe:
        case LoRA():
            inject_lora(network, recipe)
        case Adapter():
            insert_adapters(
                network.get_submodule("image_encoder"),
                network.get_submodule("mask_decoder.transformer"),
                recipe,
            )
        case HeadOnly() | Full():
            pass
        case _:
            assert_never(recipe)
    for name, parameter in network.named_parameters():
        parameter.requires_grad = _is_trained(name, recipe)


def _is_trained(name: str, recipe: Recipe) -> bool:
    """Whether the recipe trains the parameter of that name."""
    if name.startswith(("prompt_encoder.shared_embedding.", "mask_decoder.pred_obj_score_head.")):
        return False
    if isinstance(recipe, Full):
        return True
    if name.startswith("image_encoder."):
        return _is_added(name, recipe)
    if name.startswith("mask_decoder.transformer."):
        return isinstance(recipe, HeadOnly) or _is_added(name, recipe)
    if name.startswith(("mask_decoder.conv_s0.", "mask_decoder.conv_s1.")):
        return not isinstance(recipe, HeadOnly)  # what they give is cached with the embeddings
    return True


def _is_added(name: str, recipe: Recipe) -> bool:
    """Whether the recipe itself brought the parameter of that name."""
    parts = name.split(".")
    match recipe:
        case LoRA():
            return any(part in ("lora_A", "lora_B", "lora_magnitude_vector") for part in parts)
        case Adapter():
            return "adapter" in parts
        case _:
            return False

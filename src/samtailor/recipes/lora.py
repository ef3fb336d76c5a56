"""LoRA on query and value projections, by peft (Eq. 3 and 4 of the report; Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn

from samtailor.recipes.config import LoRA

# Self attention, both cross attentions and final attention of the decoder, every attention of the encoder.
TARGETS = r"(image_encoder|mask_decoder\.transformer)\..*\.(q_proj|v_proj)"


def inject_lora(network: nn.Module, recipe: LoRA) -> None:
    """Put A (Kaiming) and B (zero) beside every query and value projection.

    The update is B A without further scaling (alpha equals the rank).
    """
    inject_adapter_in_model(LoraConfig(r=recipe.rank, lora_alpha=recipe.rank, target_modules=TARGETS), network)


def merge_lora(network: nn.Module) -> None:
    """Add every update B A to the weights it stands beside and remove it."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLayer):
                child.merge()
                setattr(parent, name, child.get_base_layer())

"""LoRA on query and value projections, by peft (Eq. 3 and 4 of the report; Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear, LoraLayer
from torch import Tensor, nn

from samtailor.recipes.blocks import attention_blocks
from samtailor.recipes.recipe import LoRA


class LeanLinear(Linear):
    """peft's LoRA layer, but the plain update is added to the layer's output in place, in one product."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Layer and update of tokens x (peft's name), x W^T + s x A^T B^T; (..., C_in) to (..., C_out)."""
        special = args or kwargs or self.lora_variant or self.merged or self.disable_adapters
        if special or torch.is_autocast_enabled(x.device.type):
            output: Tensor = super().forward(x, *args, **kwargs)
            return output
        (name,) = self.active_adapters
        tokens = x.reshape(-1, x.shape[-1])
        output, update = self.base_layer(tokens), self.lora_A[name](tokens)
        up: Tensor = self.lora_B[name].get_parameter("weight")
        output.addmm_(update, up.T, alpha=self.scaling[name])
        return output.view(*x.shape[:-1], -1)


def lora_config(network: nn.Module, recipe: LoRA) -> LoraConfig:
    """Settings for peft: A (Kaiming) and B (zero) beside every adapted query and value projection.

    Those are the attentions of the image encoder's last blocks and all of the mask decoder's transformer (self
    attention, both cross attentions, final attention). The update is B A without further scaling, but for
    rsLoRA's sqrt(r).

    Args:
        network: Class-aware SAM, with `image_encoder` and `mask_decoder`.
        recipe: Rank and options.
    """
    blocks = attention_blocks(network.get_submodule("image_encoder"), recipe.last_blocks)
    encoder = [f"image_encoder.{block}.attn" for block in blocks]
    transformer = "mask_decoder.transformer"
    decoder = [
        f"{transformer}.{name}"
        for name, module in network.get_submodule(transformer).named_modules()
        if hasattr(module, "q_proj")
    ]
    targets = [f"{attention}.{projection}" for attention in encoder + decoder for projection in ("q_proj", "v_proj")]
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.rank,
        target_modules=targets,
        use_dora=recipe.dora,
        use_rslora=recipe.rslora,
    )
    config._register_custom_module({nn.Linear: LeanLinear})
    return config


def inject_lora(network: nn.Module, recipe: LoRA) -> None:
    """Put the updates of `lora_config` into a class-aware SAM."""
    inject_adapter_in_model(lora_config(network, recipe), network)


def merge_lora(network: nn.Module) -> None:
    """Add every update B A to the weights it stands beside and remove it."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLayer):
                child.merge()
                setattr(parent, name, child.get_base_layer())

"""peft's LoRA layer made leaner, and merged into the weights beside it."""

from __future__ import annotations

from typing import Any, cast

import torch
from peft.tuners.lora import Linear, LoraLayer
from torch import Tensor, nn


class LeanLinear(Linear):
    """peft's LoRA layer, but the plain update is added to the layer's output in place, in one product."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Layer and update of tokens x (peft's name), x W^T + s x A^T B^T; (..., C_in) to (..., C_out)."""
        special = args or kwargs or self.lora_variant or self.merged or self.disable_adapters
        if special or torch.is_autocast_enabled(x.device.type):
            return super().forward(x, *args, **kwargs)
        (name,) = self.active_adapters
        tokens = x.reshape(-1, x.shape[-1])
        output, update = self.base_layer(tokens), self.lora_A[name](tokens)
        up: Tensor = self.lora_B[name].get_parameter("weight")
        output.addmm_(update, up.T, alpha=self.scaling[name])
        return cast(Tensor, output.view(*x.shape[:-1], -1))


def make_lean(network: nn.Module) -> None:
    """Make every linear LoRA layer of peft a lean one.

    peft takes layers of another class by a private method only (`LoraConfig._register_custom_module`). A lean layer has
    the state of peft's own, so a change of the class is all it takes.
    """
    for module in network.modules():
        if type(module) is Linear:
            module.__class__ = LeanLinear


def merge_updates(network: nn.Module) -> None:
    """Add every update B A to the weights it stands beside and remove it.

    The sum is a tensor of its own: the weights may be shared with a network that is not merged.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLayer):
                layer = child.get_base_layer()
                weight = layer.get_parameter("weight")
                layer.weight = nn.Parameter(weight.detach().clone(), weight.requires_grad)
                child.merge()
                setattr(parent, name, layer)

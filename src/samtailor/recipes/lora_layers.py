"""peft's LoRA layer made leaner, and merged into the weights beside it."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, cast

import torch
from peft.tuners.lora import Conv2d, Linear, LoraLayer
from torch import Tensor, nn


def updated_weight(layer: LoraLayer) -> Tensor:
    """Weight of a layer with its update, W + s B A, or DoRA's; to be differentiated."""
    kept = cast(Tensor, layer.get_base_layer().weight)
    if layer.merged or layer.disable_adapters:
        return kept
    (name,) = layer.active_adapters
    down, up = (factors[name].get_parameter("weight").flatten(1) for factors in (layer.lora_A, layer.lora_B))
    updated: Tensor = kept + (layer.scaling[name] * up @ down).view_as(kept)
    if name not in layer.lora_magnitude_vector:
        return updated
    length = layer.lora_magnitude_vector[name].get_parameter("weight").flatten()
    length = length / updated.detach().flatten(1).norm(dim=1)  # no gradient: Section 4.3 of arXiv 2402.09353
    return cast(Tensor, updated * length.view(-1, *[1] * (kept.ndim - 1)))


class LeanConv2d(Conv2d):
    """peft's LoRA layer of a convolution, whose weight and shape can be read as those of a convolution."""

    weight = property(updated_weight)
    kernel_size, stride, padding, groups, out_channels = (
        property(attrgetter(f"base_layer.{name}"))
        for name in ("kernel_size", "stride", "padding", "groups", "out_channels")
    )


class LeanLinear(Linear):
    """peft's LoRA layer, but the plain update is added to the layer's output in place, in one product.

    Its weight is the one it computes with.
    """

    weight = property(updated_weight)

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


_LEAN: dict[type[nn.Module], type[nn.Module]] = {Linear: LeanLinear, Conv2d: LeanConv2d}


def make_lean(network: nn.Module) -> None:
    """Make every LoRA layer of peft a lean one.

    peft takes layers of another class by a private method only (`LoraConfig._register_custom_module`). A lean layer has
    the state of peft's own, so a change of the class is all it takes.
    """
    for module in network.modules():
        if type(module) in _LEAN:
            module.__class__ = _LEAN[type(module)]


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

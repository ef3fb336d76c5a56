"""Our LoRA layer gives what peft's does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from samtailor.recipes.lora_layers import LeanConv2d, LeanLinear, make_lean


def layer(lean: bool, **options: Any) -> nn.Module:
    """A linear layer of a network with an update that is not zero."""
    torch.manual_seed(0)
    network = nn.ModuleDict({"q_proj": nn.Linear(6, 8)})
    config = LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj"], **options)
    inject_adapter_in_model(config, network)
    if lean:
        make_lean(network)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in network.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, generator=generator)
    assert isinstance(network["q_proj"], LeanLinear) is lean
    return network["q_proj"]


def results(module: nn.Module, tokens: Tensor) -> list[Tensor]:
    """Output and gradients of tokens and updates."""
    tokens = tokens.clone().requires_grad_()
    output: Tensor = module(tokens)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [output, *torch.autograd.grad(output.square().sum(), [tokens, *trained])]


def disabled(module: nn.Module) -> None:
    module.enable_adapters(False)  # type: ignore[operator]


def merged(module: nn.Module) -> None:
    module.merge()  # type: ignore[operator]


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"use_dora": True}, {"lora_dropout": 0.0}])
def test_output_and_gradients_are_those_of_peft(options: dict[str, Any]) -> None:
    tokens = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    for found, expected in zip(
        results(layer(True, **options).double(), tokens), results(layer(False, **options).double(), tokens), strict=True
    ):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("change", [disabled, merged])
def test_a_disabled_or_merged_update_is_not_added_again(change: Callable[[nn.Module], None]) -> None:
    tokens, lean, peft = torch.randn(4, 6), layer(True), layer(False)
    for module in (lean, peft):
        change(module)
    torch.testing.assert_close(lean(tokens), peft(tokens))


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"use_dora": True}])
@pytest.mark.parametrize("kernel", [1, 3])
def test_the_weight_of_a_layer_is_what_it_computes_with(options: dict[str, Any], kernel: int) -> None:
    torch.manual_seed(0)
    network = nn.ModuleDict({"conv": nn.Conv2d(6, 8, kernel, 2, kernel // 2, bias=False), "linear": nn.Linear(6, 8)})
    inject_adapter_in_model(LoraConfig(r=2, lora_alpha=3, target_modules=["conv", "linear"], **options), network)
    make_lean(network)
    network.double()
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    conv, linear = network["conv"], network["linear"]
    assert isinstance(conv, LeanConv2d)
    assert (conv.kernel_size, conv.stride, conv.padding, conv.groups) == ((kernel,) * 2, (2, 2), (kernel // 2,) * 2, 1)
    images, tokens = torch.randn(2, 6, 5, 7, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    pairs = [
        (F.conv2d(images, conv.weight, None, conv.stride, conv.padding), conv(images), conv),
        (F.linear(tokens, linear.weight, linear.bias), linear(tokens), linear),
    ]
    for found, expected, module in pairs:
        torch.testing.assert_close(found, expected)
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        gradients = (torch.autograd.grad(output.square().sum(), trained) for output in (found, expected))
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other)
    for module in (conv, linear):
        disabled(module)
        assert module.weight is module.base_layer.weight


def test_mixed_precision_is_that_of_peft() -> None:
    tokens = torch.randn(4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(True)(tokens), layer(False)(tokens))

"""The lean way of a frozen MLP gives what plain autograd gives, in one piece or in many."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from samtailor.models import mlp
from samtailor.models.mlp import MLP

Gradients = tuple[Tensor, Tensor]


def network(frozen: bool) -> MLP:
    torch.manual_seed(0)
    return MLP(6, 24).requires_grad_(not frozen)


def output_and_gradient(layers: MLP) -> Gradients:
    tokens = torch.randn(2, 3, 5, 6, generator=torch.Generator().manual_seed(1), requires_grad=True)
    # From another axis order and scaled, as tokens come from a layer before.
    output = layers((tokens * 2).transpose(1, 2))
    (gradient,) = torch.autograd.grad((output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum(), tokens)
    return output, gradient


@pytest.mark.parametrize("piece", [24, 7 * 24, 2**21])
def test_a_frozen_mlp_gives_the_same(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlp, "PIECE", piece)
    for found, expected in zip(output_and_gradient(network(True)), output_and_gradient(network(False)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_trained_weights_get_their_gradients() -> None:
    layers = network(frozen=True)
    layers.lin2.bias.requires_grad_()
    output_and_gradient(layers)
    layers(torch.randn(4, 6)).sum().backward()
    assert layers.lin2.bias.grad is not None


def test_a_frozen_mlp_keeps_its_hidden_layer_alone() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    layers = network(frozen=True)
    weights = {parameter.data_ptr() for parameter in layers.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layers(torch.randn(5, 6, requires_grad=True))
    assert [tuple(tensor.shape) for tensor in kept if tensor.data_ptr() not in weights] == [(5, 24)]


def test_mixed_precision_is_left_to_autograd() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert network(frozen=True)(torch.randn(5, 6, requires_grad=True)).dtype == torch.bfloat16

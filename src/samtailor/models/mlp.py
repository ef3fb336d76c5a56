"""MLP of a transformer block, and a leaner one where its weights are frozen.

On a CPU the first touch of fresh memory costs more than the arithmetic on it, and what is freed between tensors that
stay is seldom used again. For its backward pass a frozen MLP needs its hidden layer before GELU and nothing else:
everything in between is made in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from samtailor.models.blocks import needs_graph
from samtailor.models.gelu import gelu

PIECE = 2**21
"""Values of the hidden layer computed at once, 8 MB in float32: fewer make thinner, slower products."""


class MLP(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        """Make the layers.

        Args:
            width: Width of the tokens.
            hidden: Width of the layer between.
        """
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., C) to the same."""
        plain = tokens.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        if plain and needs_graph(self, tokens) and not any(p.requires_grad for p in self.parameters()):
            weights = (self.lin1.weight, self.lin1.bias, self.lin2.weight, self.lin2.bias)
            output: Tensor = _FrozenMLP.apply(tokens, *weights)  # type: ignore[no-untyped-call]
            return output
        output = self.lin2(gelu(self.lin1(tokens)))
        return output


class _FrozenMLP(torch.autograd.Function):
    """Forward pass, and gradient of the tokens alone."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
        """(..., C) to the same."""
        flat = tokens.reshape(-1, tokens.shape[-1])
        hidden, output = flat.new_empty(len(flat), len(weight1)), torch.empty_like(flat)
        for piece in _pieces(hidden):
            torch.addmm(bias1, flat[piece], weight1.T, out=hidden[piece])
            torch.addmm(bias2, F.gelu(hidden[piece]), weight2.T, out=output[piece])
        ctx.save_for_backward(hidden, weight1, weight2)
        return output.view(tokens.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of the tokens."""
        hidden, weight1, weight2 = ctx.saved_tensors
        flat = gradient.reshape(-1, gradient.shape[-1])
        output = torch.empty_like(flat)
        for piece in _pieces(hidden):
            inner = flat[piece] @ weight2
            torch.ops.aten.gelu_backward.grad_input(inner, hidden[piece], grad_input=inner)
            torch.mm(inner, weight1, out=output[piece])
        return output.view(gradient.shape), None, None, None, None


def _pieces(hidden: Tensor) -> Iterator[slice]:
    """Rows of the hidden layer, some at a time."""
    count = -(-hidden.numel() // PIECE)
    rows = -(-len(hidden) // count)
    for first in range(0, len(hidden), rows):
        yield slice(first, first + rows)

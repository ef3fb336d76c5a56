"""MLP of a transformer block, and a leaner one where its weights are frozen.

On a CPU the first touch of fresh memory costs more than the arithmetic on it, and what is freed between tensors that
stay is seldom used again. For its backward pass a frozen MLP needs its hidden layer before GELU and nothing else:
everything in between is made in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from samtailor.models.linear import Linear, in_single_precision, product
from samtailor.models.operators import gelu, gelu_backward_

PIECE = 2**21
"""Values of the hidden layer computed at once, 8 MB in float32: fewer make thinner, slower products."""


class MLP(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = Linear(width, hidden)
        self.lin2 = Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., C) to the same."""
        weights = (self.lin1.weight, self.lin1.bias, self.lin2.weight, self.lin2.bias)
        if not torch.is_grad_enabled():
            return product(product(tokens, *weights[:2], with_gelu=True), *weights[2:])
        frozen = not any(parameter.requires_grad for parameter in self.parameters())
        if frozen and in_single_precision(tokens, self.lin1.weight):
            return cast(Tensor, _FrozenMLP.apply(tokens, *weights))  # type: ignore[no-untyped-call]
        return cast(Tensor, self.lin2(gelu(self.lin1(tokens))))


class _FrozenMLP(torch.autograd.Function):
    """Forward pass, and gradient of the tokens alone."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
        """(..., C) to the same."""
        flat = tokens.reshape(-1, tokens.shape[-1])
        output = torch.empty_like(flat)
        hidden = []
        for piece in _pieces(len(flat), len(weight1)):
            hidden.append(product(flat[piece], weight1, bias1))
            output[piece] = product(F.gelu(hidden[-1]), weight2, bias2)
        ctx.save_for_backward(weight1, weight2, *hidden)
        return output.view(tokens.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of the tokens."""
        weight1, weight2, *hidden = ctx.saved_tensors
        flat = gradient.reshape(-1, gradient.shape[-1])
        output = torch.empty_like(flat)
        for piece, before in zip(_pieces(len(flat), len(weight1)), hidden, strict=True):
            inner = product(flat[piece], weight2.T)
            gelu_backward_(inner, before)
            output[piece] = product(inner, weight1.T)
        return output.view(gradient.shape), None, None, None, None


def _pieces(tokens: int, hidden: int) -> Iterator[slice]:
    """Tokens, as many at a time as make a piece of the hidden layer."""
    count = -(-tokens * hidden // PIECE)
    step = -(-tokens // count)
    for first in range(0, tokens, step):
        yield slice(first, first + step)

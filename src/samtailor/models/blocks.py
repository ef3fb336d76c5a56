"""What transformer blocks do differently where nothing will be differentiated: less memory, fewer copies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CHUNK = 2**20
"""Numbers of tokens an MLP transforms at once, 4 MB: its hidden layer, four times that, stays in the last cache."""


def needs_graph(block: nn.Module, tokens: Tensor) -> bool:
    """Whether a gradient will flow into a block, or through it."""
    return torch.is_grad_enabled() and (tokens.requires_grad or any(p.requires_grad for p in block.parameters()))


def positioned(tokens: Tensor, positions: Tensor) -> Tensor:
    """Tokens of patches and their position embeddings, (B, h, w, C), the channels of a token side by side.

    A sum keeps the order of its first summand, here that of a convolution: without a change of order all blocks up to
    the next that makes one would work on tokens whose channels lie far apart.
    """
    return (tokens + positions).contiguous()


def run_block(block: nn.Module, tokens: Tensor, recompute: bool) -> Tensor:
    """What a block gives, without a graph where nothing is trained; with `recompute`, activations are not kept."""
    output: Tensor
    with torch.set_grad_enabled(needs_graph(block, tokens)):
        if recompute and torch.is_grad_enabled():
            output = checkpoint(block, tokens, use_reentrant=False)
        else:
            output = block(tokens)
    return output


def run_between(
    steps: Sequence[nn.Module], state: tuple[Tensor, ...], first: int, last: int, kept: int | None, recompute: bool
) -> tuple[Tensor, ...]:
    """Go on from the state before a step to that before a later one; what comes before step `kept` stays in front."""
    *early, hidden = state
    for index in range(first, last):
        if index == kept:
            early.append(hidden)
        hidden = run_block(steps[index], hidden, recompute)
    return (*early, hidden)


def frozen_blocks(blocks: Sequence[nn.Module]) -> int:
    """How many blocks stand before the first one with a trained parameter."""
    trained = [any(parameter.requires_grad for parameter in block.parameters()) for block in blocks]
    return trained.index(True) if True in trained else len(trained)


def added(update: Tensor, tokens: Tensor) -> Tensor:
    """Sum of tokens and a block's own, fresh update; takes the update's memory where its precision is the tokens'."""
    return update.add_(tokens) if update.dtype == tokens.dtype else tokens + update


def transform_(tokens: Tensor, norm: nn.Module, mlp: nn.Module) -> Tensor:
    """Tokens (..., C), changed in place if contiguous, plus the MLP of normed ones; not to be differentiated."""
    tokens = tokens.contiguous()
    width = tokens.shape[-1]
    for some in torch.split(tokens.view(-1, width), max(1, CHUNK // width)):
        some += mlp(norm(some))
    return tokens

"""Softmax attention by whatever computes it fastest where it is."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

FEW = 256
"""Queries, or keys, up to which all weights are held at once on a CPU in half precision; more than any window has."""

NAME = "samtailor"
"""What transformers' configurations call `attend`, as `_attn_implementation`."""


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None, scale: float | None = None) -> Tensor:
    """softmax(Q K^T scale + bias) V (Vaswani et al., arXiv 1706.03762, Eq. 1).

    PyTorch's fused kernel is slow in half precision on a CPU: forward and back, windows of 49 tokens take five times as
    long as two products with a softmax in between, and four times as long as in single precision. Scores and weights
    stay in half precision: forward and back this takes half (windows of 196 tokens) to two thirds (49) of the time that
    single precision between the products takes (one core of an Intel Xeon with AMX).

    Args:
        query: (..., N, d).
        key: (..., M, d).
        value: (..., M, d).
        bias: Summand of the products, spread to (..., N, M).
        scale: Factor of the products; 1 / sqrt(d) if None.

    Returns:
        (..., N, d), in the type of the query.
    """
    if query.device.type != "cpu" or query.dtype in {torch.float32, torch.float64}:
        mask = None if bias is None else bias.to(query.dtype)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    if min(query.shape[-2], key.shape[-2]) > FEW:
        with torch.autocast("cpu", enabled=False):
            single = attend(query.float(), key.float(), value.float(), bias, scale)
        return single.to(query.dtype)
    with torch.autocast("cpu", enabled=False):  # which would hold the weights in single precision, too
        return torch.softmax(_scores(query, key, bias, scale or query.shape[-1] ** -0.5), dim=-1) @ value


def _scores(query: Tensor, key: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """Q K^T scale + bias, (..., N, M), in the type of the query; rounded when they are added."""
    if bias is None:
        return query * scale @ key.mT
    summand = bias.to(query.dtype).expand(*query.shape[:-1], key.shape[-2])
    return torch.baddbmm(*(x.flatten(0, -3) for x in (summand, query, key.mT)), alpha=scale).view_as(summand)


def _attend_in_transformers(
    _: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float, **__: Any
) -> tuple[Tensor, None]:
    """`attend` as transformers' layers call it: by heads (B, H, N, d) in, (B, N, H, d) out, and no weights."""
    return attend(query, key, value, attention_mask, scaling).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, _attend_in_transformers)

"""One attention layer with decomposed relative positions on a GPU, forwards and backwards, each way that may be taken.

The peer is the fused kernel with the whole bias as its mask. The fastest way belongs into `relative_attention`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.encoder import VIT_B
from benchmarks.line import Place, Prepared, Side
from samtailor.models.relative_attention import (
    Attended,
    attention_in_blocks,
    by_head,
    folded_attention,
    position_products,
)

Way = Callable[[Attended, int], Tensor]
HEADS = VIT_B.heads


def attention(way: Way, areas: int, length: int) -> Callable[[Side, Place], Prepared]:
    """Attention inside square areas, and its gradients.

    Args:
        way: Ours.
        areas: How many areas.
        length: Side of an area in tokens.
    """

    def prepare(side: Side, place: Place) -> Prepared:
        given = attended(*((1, 3) if place.small else (areas, length)), place)
        chosen = way if side == "ours" else whole_bias

        def run() -> None:
            chosen(given, HEADS).sum().backward()

        tokens, width = given.query.shape[1] * given.query.shape[2], given.query.shape[3]
        # Two products forwards, four backwards.
        return Prepared(run, lambda: 12e-9 * len(given.query) * tokens**2 * width, holder=place.holder)

    return prepare


def attended(areas: int, length: int, place: Place) -> Attended:
    """Random queries, keys, values and position embeddings of ViT-B; in bfloat16 on a GPU."""
    depth = VIT_B.width // HEADS
    tokens, distances = (areas, length, length, VIT_B.width), (2 * length - 1, depth)
    dtype = torch.bfloat16 if place.device == "cuda" else torch.float32
    made = (torch.randn(size, device=place.device, dtype=dtype) for size in 3 * [tokens] + 2 * [distances])
    return Attended(*(tensor.requires_grad_() for tensor in made))


def whole_bias(attended: Attended, heads: int) -> Tensor:
    """The fused kernel with the whole bias as its mask."""
    query, key, value = by_head(attended, heads)
    vertical, horizontal = position_products(query, attended)
    bias = (vertical[..., :, None] + horizontal[..., None, :]).flatten(4).flatten(2, 3)
    flat = (x.flatten(2, 3) for x in (query, key, value))
    return F.scaled_dot_product_attention(*flat, attn_mask=bias).transpose(1, 2).reshape(attended.query.shape)


def flex(attended: Attended, heads: int) -> Tensor:
    """Torch's FlexAttention, whose kernel looks the bias up; compiled on a GPU."""
    query, key, value = by_head(attended, heads)
    vertical, horizontal = (x.flatten(2, 3) for x in position_products(query, attended))
    columns = key.shape[3]

    def biased(score: Tensor, area: Tensor, head: Tensor, place: Tensor, other: Tensor) -> Tensor:
        return score + vertical[area, head, place, other // columns] + horizontal[area, head, place, other % columns]

    flat = (x.flatten(2, 3) for x in (query, key, value))
    output: Tensor = _flex_attention(query.device.type)(*flat, score_mod=biased)
    return output.transpose(1, 2).reshape(attended.query.shape)


@cache
def _flex_attention(device: str) -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention  # slow to import

    return torch.compile(flex_attention) if device == "cuda" else flex_attention


WAYS: dict[str, Way] = {"blocks": attention_in_blocks, "folded": folded_attention, "flex": flex}

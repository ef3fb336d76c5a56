"""Self attention of the image encoders, with query, key and value projections as layers of their own."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samtailor.attend import attend
from samtailor.models.linear import Linear
from samtailor.models.relative_attention import Attended, relative_attention
from samtailor.models.windows import WindowOrder, filled


class HeadedAttention(nn.Module):
    """Query, key, value and output projections of a multi-head self attention, and what goes on between them."""

    def __init__(self, inputs: int, outputs: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = Linear(inputs, outputs)
        self.k_proj = Linear(inputs, outputs)
        self.v_proj = Linear(inputs, outputs)
        self.out_proj = Linear(outputs, outputs)

    def split(self, tokens: Tensor) -> Tensor:
        """Projected tokens (B, ..., C) by heads, (B, heads, N, C / heads)."""
        return tokens.reshape(tokens.shape[0], -1, self.heads, tokens.shape[-1] // self.heads).transpose(1, 2)


class RelativeAttention(HeadedAttention):
    """Multi-head self attention with decomposed relative positions (SAM's ViT, after MViTv2, arXiv 2112.01526).

    Eq. 4 of the report: softmax(Q K^T / sqrt(d) + B) V, where B(q, k) is the query's product with the embeddings of the
    vertical and of the horizontal distance.
    """

    def __init__(self, width: int, heads: int, grid: int, window: int = 0) -> None:
        """`grid` is the pretraining's side in tokens, `window` that of windows to attend in, 0 for the whole grid."""
        super().__init__(width, width, heads)
        self.window = window
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * grid - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * grid - 1, width // heads))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, C) to the same; windows that reach over the grid's end see zero tokens there."""
        height, width = (self.window, self.window) if self.window else tokens.shape[1:3]
        embeddings = _relative_embeddings(self.rel_pos_h, height), _relative_embeddings(self.rel_pos_w, width)
        if not self.window:
            projected = self.q_proj(tokens), self.k_proj(tokens), self.v_proj(tokens)
            return cast(Tensor, self.out_proj(relative_attention(Attended(*projected, *embeddings), self.heads)))
        order = WindowOrder(tokens.shape, self.window, tokens.device)
        ordered = order.apply(tokens)
        query, key, value = (order.split(proj(ordered)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        if order.reaches_over:
            zero = tokens.new_zeros(1, tokens.shape[-1])
            outside_key, outside_value = self.k_proj(zero)[0], self.v_proj(zero)[0]
            key = [filled(windows, outside_key, self.window) for windows in key]
            value = [filled(windows, outside_value, self.window) for windows in value]
        by_shape = zip(query, key, value, strict=True)
        attended = [relative_attention(Attended(*windows, *embeddings), self.heads) for windows in by_shape]
        return order.undo(self.out_proj(order.join(attended)))


def _relative_embeddings(embeddings: Tensor, length: int) -> Tensor:
    """Embedding of every distance of a key from a query on a side of n tokens, from 1 - n on, (2 n - 1, d).

    The weights have them in the other order, from the query's view.
    """
    distances = 2 * length - 1
    if len(embeddings) != distances:
        embeddings = F.interpolate(embeddings.T[None], distances, mode="linear")[0].T
    return embeddings.flip(0)


class PoolingAttention(HeadedAttention):
    """Multi-head self attention whose queries may be pooled and whose width may change (Hiera, arXiv 2306.00989)."""

    def __init__(self, inputs: int, outputs: int, heads: int, pool: int | None) -> None:
        """`pool` is the side of the max pooling of the queries."""
        super().__init__(inputs, outputs, heads)
        self.pool = pool

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, C_in) to (B, h / pool, w / pool, C_out)."""
        query = self.q_proj(tokens)
        if self.pool:
            query = max_pool(query, self.pool)
        q, k, v = (self.split(x) for x in (query, self.k_proj(tokens), self.v_proj(tokens)))
        attended = attend(q, k, v).transpose(1, 2)
        return cast(Tensor, self.out_proj(attended.reshape(*query.shape[:3], -1)))


def max_pool(tokens: Tensor, side: int) -> Tensor:
    """Maximum over squares of a grid of tokens, (B, h, w, C) to (B, h / side, w / side, C)."""
    return F.max_pool2d(tokens.permute(0, 3, 1, 2), side).permute(0, 2, 3, 1)

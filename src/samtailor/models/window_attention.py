"""Self attention inside square windows of a token grid, computed for the tokens there are.

The windows at the far sides of a grid that no whole number of windows covers are defined by padding: their missing
tokens take part as keys and values. They are one and the same token, so that all of them together are one key,
whose weight is the sum of theirs:

    sum_j exp(q k + b_j) = exp(q k + log sum_j exp(b_j))

Padding up to whole windows would nearly double the work where it is worst (a grid of side 32, windows of side 14).
"""

from __future__ import annotations

from itertools import product
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samtailor.models.attention import HeadedAttention


class WindowAttention(HeadedAttention):
    """Multi-head self attention inside windows, with a learned bias for each distance of two tokens.

    Eq. 4 of the report: softmax(Q K^T / sqrt(d) + B) V.
    """

    bias_index: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__(width, width, heads)
        self.window = window
        distances, index = window_distances(window)
        self.attention_biases = nn.Parameter(torch.zeros(heads, distances))
        self.register_buffer("bias_index", index, persistent=False)

    def forward(self, tokens: Tensor, padding: Tensor) -> Tensor:
        """Attention inside the windows of a grid.

        Args:
            tokens: (B, H, W, C).
            padding: The token that stands where windows reach over the far sides of the grid, (C,).

        Returns:
            (B, H, W, C).
        """
        batch, height, width, channels = tokens.shape
        order, windows = window_order(batch, height, width, self.window, tokens.device)
        inverse = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        ordered = _reorder(tokens.reshape(-1, channels), order, inverse)
        sizes = [rows * columns * count for rows, columns, count in windows]
        projected = (proj(ordered).split(sizes) for proj in (self.q_proj, self.k_proj, self.v_proj))
        bias = self.attention_biases[:, self.bias_index].to(tokens.dtype)
        attended = [
            self._inside(query, key, value, _bias_inside(bias, self.window, *shape), padding)
            for query, key, value, (*shape, _) in zip(*projected, windows, strict=True)
        ]
        output: Tensor = self.out_proj(torch.cat(attended) if len(attended) > 1 else attended[0])
        return _reorder(output, inverse, order).view(tokens.shape)

    def _inside(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, padding: Tensor) -> Tensor:
        """Attention inside windows of one shape.

        Args:
            query: Projected tokens of the windows, one window after another, (windows n, C).
            key: The same.
            value: The same.
            bias: (heads, n, n), or (heads, n, n + 1) where the windows reach over the grid.
            padding: The token outside.

        Returns:
            Attended tokens, (windows n, C).
        """
        count, channels = bias.shape[1], query.shape[-1]
        query, key, value = (x.view(-1, count, channels) for x in (query, key, value))
        if bias.shape[2] > count:
            outside = (proj(padding[None]).expand(len(key), 1, -1) for proj in (self.k_proj, self.v_proj))
            key, value = (torch.cat(pair, dim=1) for pair in zip((key, value), outside, strict=True))
        query, key, value = self.split(query), self.split(key), self.split(value)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None].to(query.dtype))
        return attended.transpose(1, 2).reshape(-1, channels)


def window_distances(window: int) -> tuple[int, Tensor]:
    """Number of distances of two tokens of a window, and which each pair has, (N, N).

    LeViT's: one for each pair of absolute vertical and horizontal distance, in order of appearance.
    """
    points = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    away = (points[:, None] - points).abs()  # those of the first token come first: row by row
    return window**2, away[..., 0] * window + away[..., 1]


def window_order(
    batch: int, height: int, width: int, side: int, device: torch.device
) -> tuple[Tensor, list[tuple[int, int, int]]]:
    """Order of the tokens of grids in which those of a window are neighbours, and windows of one shape too.

    Args:
        batch: Grids B.
        height: Rows H of a grid.
        width: Columns W of a grid.
        side: Side of a window.
        device: Where the order will be used.

    Returns:
        Place of each token in the grids, one grid after another, (B H W,), and the shapes of windows in the same
        order: rows, columns, and how many there are in the batch. Rows and columns are less than the side where the
        window reaches over the grid.
    """
    grid = torch.arange(batch * height * width, device=device).view(batch, height, width)
    places, windows = [], []
    for (top, bottom, rows), (left, right, columns) in product(_strips(height, side), _strips(width, side)):
        part = grid[:, top:bottom, left:right]
        part = part.reshape(batch, (bottom - top) // rows, rows, (right - left) // columns, columns)
        places.append(part.transpose(2, 3).flatten())
        windows.append((rows, columns, part.shape[0] * part.shape[1] * part.shape[3]))
    return torch.cat(places), windows


def _strips(length: int, side: int) -> list[tuple[int, int, int]]:
    """Start, end and window side of the whole windows along a length, and of what is left."""
    whole = length - length % side
    return [
        (start, end, part) for start, end, part in ((0, whole, side), (whole, length, length - whole)) if start < end
    ]


def _bias_inside(bias: Tensor, window: int, rows: int, columns: int) -> Tensor:
    """Bias of the pairs of tokens in a window of which some rows and columns reach over the grid.

    Args:
        bias: Bias of every pair of a whole window, (heads, N, N).
        window: Its side, the root of N.
        rows: Rows inside the grid.
        columns: Columns inside the grid.

    Returns:
        (heads, n, n + 1) for the n = rows * columns tokens inside, the last key being all of those outside; of a
        whole window the bias itself.
    """
    if rows * columns == window**2:
        return bias
    place = torch.arange(window, device=bias.device)
    inside = ((place < rows)[:, None] & (place < columns)).flatten()
    of_inside = bias[:, inside]
    return torch.cat([of_inside[:, :, inside], of_inside[:, :, ~inside].logsumexp(dim=2, keepdim=True)], dim=2)


def _reorder(rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Rows (N, C) in another order, (N,), of which the inverse is known too."""
    return cast(Tensor, _Reordered.apply(rows, order, inverse))  # type: ignore[no-untyped-call]


class _Reordered(torch.autograd.Function):
    """Rows in another order; the gradient goes back by the inverse order, without sums into zeros."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return rows.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return gradient.index_select(0, inverse), None, None

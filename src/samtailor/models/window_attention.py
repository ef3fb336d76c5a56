"""Self attention inside square windows of a token grid, computed for the tokens there are.

The windows at the far sides of a grid that no whole number of windows covers are defined by padding: their missing
tokens take part as keys and values. They are one and the same token, so that all of them together are one key,
whose weight is the sum of theirs:

    sum_j exp(q k + b_j) = exp(q k + log sum_j exp(b_j))
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samtailor.attend import attend
from samtailor.models.attention import HeadedAttention
from samtailor.models.windows import WindowOrder


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
        """(B, H, W, C) to the same; `padding` (C,) stands where windows reach over the far sides of the grid."""
        order = WindowOrder(tokens.shape, self.window, tokens.device)
        ordered = order.apply(tokens)
        projected = (order.split(proj(ordered)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        bias = self.attention_biases[:, self.bias_index]
        attended = [
            self._inside(query, key, value, _bias_inside(bias, self.window, *query.shape[1:3]), padding)
            for query, key, value in zip(*projected, strict=True)
        ]
        return order.undo(self.out_proj(order.join(attended)))

    def _inside(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, padding: Tensor) -> Tensor:
        """Attention inside windows of one shape, (windows, rows, columns, C) to (windows, n, C); see `_bias_inside`."""
        count = bias.shape[1]
        query, key, value = (x.flatten(1, 2) for x in (query, key, value))
        if bias.shape[2] > count:
            outside = (proj(padding[None]).expand(len(key), 1, -1) for proj in (self.k_proj, self.v_proj))
            key, value = (torch.cat(pair, dim=1) for pair in zip((key, value), outside, strict=True))
        query, key, value = self.split(query), self.split(key), self.split(value)
        return attend(query, key, value, bias[None]).transpose(1, 2).flatten(2)


def window_distances(window: int) -> tuple[int, Tensor]:
    """Number of distances of two tokens of a window, and which each pair has, (N, N).

    LeViT's: one for each pair of absolute vertical and horizontal distance, in order of appearance.
    """
    points = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    away = (points[:, None] - points).abs()  # those of the first token come first: row by row
    return window**2, away[..., 0] * window + away[..., 1]


def _bias_inside(bias: Tensor, window: int, rows: int, columns: int) -> Tensor:
    """Bias (heads, N, N) of a window, or (heads, n, n + 1) where only n tokens are inside, those outside one key."""
    if rows * columns == window**2:
        return bias
    place = torch.arange(window, device=bias.device)
    inside = ((place < rows)[:, None] & (place < columns)).flatten()
    of_inside = bias[:, inside]
    return torch.cat([of_inside[:, :, inside], of_inside[:, :, ~inside].logsumexp(dim=2, keepdim=True)], dim=2)

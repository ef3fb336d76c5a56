"""Attention with decomposed relative positions, by whichever way is fastest where the tokens are.

Measured on a CPU (`make bench`): blocks beat the bias folded into wider queries and keys, and the fused
kernel with the bias as its mask, forwards and backwards, in windows and over the whole image. Other devices have
kernels of their own for attention without a bias; there the bias is folded (not measured yet).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.models.attention_blocks import Attended, attention_in_blocks
from samtailor.models.windows import join_windows, split_windows, window_padding

LARGEST_FLASH_WIDTH = 256
"""Widest heads that the flash kernels take."""


def relative_attention(attended: Attended, heads: int, window: int) -> Tensor:
    """Attention over the whole grid or inside windows, (B, h, w, C).

    Args:
        attended: Queries, keys, values and position embeddings.
        heads: Attention heads.
        window: Side of the windows, from the grid's first corner on; 0 for none.
    """
    width = attended.query.shape[-1] // heads + len(attended.vertical) + len(attended.horizontal)
    if attended.query.device.type == "cpu" or width > LARGEST_FLASH_WIDTH:
        return attention_in_blocks(attended, heads, window)
    return folded_attention(attended, heads, window)


def folded_attention(attended: Attended, heads: int, window: int) -> Tensor:
    """The same by the fused kernels: queries are widened by their position bias, keys by their row and their column.

    Args:
        attended: Queries, keys, values and position embeddings.
        heads: Attention heads.
        window: Side of the windows; 0 for none.
    """
    height, width = attended.query.shape[1:3]
    query, key, value = attended.query, attended.key, attended.value
    if window:
        query, key, value = (split_windows(x, window) for x in (query, key, value))
        if attended.padding_key is not None and attended.padding_value is not None:
            outside = window_padding(len(attended.query), height, width, window, query.device)
            key = torch.where(outside, attended.padding_key.to(key.dtype), key)
            value = torch.where(outside, attended.padding_value.to(value.dtype), value)
    rows, columns = query.shape[1:3]
    query, key, value = (x.view(*x.shape[:3], heads, -1).permute(0, 3, 1, 2, 4) for x in (query, key, value))
    depth = query.shape[-1]
    vertical = torch.einsum("bnhwd,hkd->bnhwk", query, attended.vertical.to(query.dtype))
    horizontal = torch.einsum("bnhwd,wkd->bnhwk", query, attended.horizontal.to(query.dtype))
    row = torch.eye(rows, dtype=key.dtype, device=key.device)[:, None].expand(rows, columns, rows)
    column = torch.eye(columns, dtype=key.dtype, device=key.device).expand(rows, columns, columns)
    places = torch.cat([row, column], dim=-1).expand(*key.shape[:2], -1, -1, -1)
    wide_query = torch.cat([query * depth**-0.5, vertical, horizontal], dim=-1).flatten(2, 3)
    wide_key = torch.cat([key, places], dim=-1).flatten(2, 3)
    filler = -wide_query.shape[-1] % 8  # the kernels' alignment
    wide_value = F.pad(value.flatten(2, 3), (0, rows + columns + filler))
    wide_query, wide_key = (F.pad(x, (0, filler)) for x in (wide_query, wide_key))
    output = F.scaled_dot_product_attention(wide_query, wide_key, wide_value, scale=1.0)[..., :depth]
    tokens = output.transpose(1, 2).reshape(len(output), rows, columns, -1)
    return join_windows(tokens, height, width) if window else tokens

"""Attention with decomposed relative positions, by whichever way is fastest where the tokens are.

Measured on a CPU (`make bench`): blocks beat the bias folded into wider queries and keys, and the fused kernel with the
whole bias as its mask, forwards and backwards, in windows and over the whole image. Other devices have kernels of their
own for attention without a bias; there the bias is folded (not measured yet).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from samtailor.models.attention_blocks import Attended, attention_in_blocks

LARGEST_FLASH_WIDTH = 256
"""Widest heads that the flash kernels take."""


def relative_attention(attended: Attended, heads: int) -> Tensor:
    """Attention inside each area, (n, h, w, C).

    Args:
        attended: Queries, keys, values and position embeddings.
        heads: Attention heads.
    """
    width = attended.query.shape[-1] // heads + attended.key.shape[1] + attended.key.shape[2]
    if attended.query.device.type == "cpu" or width > LARGEST_FLASH_WIDTH:
        return attention_in_blocks(attended, heads)
    return folded_attention(attended, heads)


def folded_attention(attended: Attended, heads: int) -> Tensor:
    """The same by the fused kernels: queries are widened by their position bias, keys by their row and their column.

    Args:
        attended: Queries, keys, values and position embeddings.
        heads: Attention heads.
    """
    query, key, value = by_head(attended, heads)
    rows, columns, depth = key.shape[2:]
    vertical, horizontal = position_products(query, attended)
    row = torch.eye(rows, dtype=key.dtype, device=key.device)[:, None].expand(rows, columns, rows)
    column = torch.eye(columns, dtype=key.dtype, device=key.device).expand(rows, columns, columns)
    places = torch.cat([row, column], dim=-1).expand(*key.shape[:2], -1, -1, -1)
    wide_query = torch.cat([query * depth**-0.5, vertical, horizontal], dim=-1).flatten(2, 3)
    wide_key = torch.cat([key, places], dim=-1).flatten(2, 3)
    filler = -wide_query.shape[-1] % 8  # the kernels' alignment
    wide_value = F.pad(value.flatten(2, 3), (0, rows + columns + filler))
    wide_query, wide_key = (F.pad(x, (0, filler)) for x in (wide_query, wide_key))
    output = F.scaled_dot_product_attention(wide_query, wide_key, wide_value, scale=1.0)[..., :depth]
    return output.transpose(1, 2).reshape(attended.query.shape)


def by_head(attended: Attended, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values by heads, (n, heads, h, w, d) each."""
    query, key, value = (x.view(*x.shape[:3], heads, -1).permute(0, 3, 1, 2, 4) for x in attended[:3])
    return query, key, value


def position_products(query: Tensor, attended: Attended) -> tuple[Tensor, Tensor]:
    """Products of queries with the embeddings of their distances from each row and each column of keys.

    Args:
        query: (n, heads, h, w, d).
        attended: Position embeddings.

    Returns:
        (n, heads, h, w, h') and (n, heads, h, w, w').
    """
    vertical, horizontal = (_of_pairs(x.to(query.dtype)) for x in (attended.vertical, attended.horizontal))
    by_row = torch.einsum("nahwd,hkd->nahwk", query, vertical[: query.shape[2]])
    by_column = torch.einsum("nahwd,wkd->nahwk", query, horizontal[: query.shape[3]])
    return by_row, by_column


def _of_pairs(embeddings: Tensor) -> Tensor:
    """Embedding of every distance from 1 - n on, (2 n - 1, d), for each query (first axis) and key, (n, n, d)."""
    length = (len(embeddings) + 1) // 2
    place = torch.arange(length, device=embeddings.device)
    return embeddings[place - place[:, None] + length - 1]

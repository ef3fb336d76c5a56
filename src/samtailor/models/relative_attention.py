"""Attention with decomposed relative positions, by whichever way is fastest where the tokens are.

softmax(Q K^T / sqrt(d) + B) V, where B(q, k) is the query's product with the embeddings of the vertical and of the
horizontal distance (Eq. 4 of the report; MViTv2, arXiv 2112.01526).

On a CPU in blocks, so that the bias of all pairs of tokens never exists at once: a block's lies in one buffer that
stays in the processor's cache, and torch's fused kernel takes it as its mask; the backward pass computes the scores
again, so that nothing but queries, keys and values is kept (the idea of FlashAttention, arXiv 2205.14135). Measured
(`make bench`), blocks beat the bias folded into wider queries and keys, and the fused kernel with the whole bias as its
mask, forwards and backwards, in windows and over the whole image. Other devices have kernels of their own for attention
without a bias; there the bias is folded (not measured yet).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from samtailor.models.operators import softmax_backward_

FORWARD, BACKWARD = 2**22, 2**20
"""Scores whose bias or gradient is computed at once, 16 and 4 MB: fewer make thin products, more leave the cache."""

LARGEST_FLASH_WIDTH = 256
"""Widest heads that the flash kernels take."""


class Attended(NamedTuple):
    """What is attended in each of n areas of one shape: windows, or whole images.

    Attributes:
        query: (n, h, w, C), all heads of a token in one row.
        key: (n, h', w', C), at least as many rows and columns; queries stand in the first ones.
        value: (n, h', w', C).
        vertical: Embedding of every vertical distance of a key from a query, from 1 - h' on, (2 h' - 1, d).
        horizontal: The same of the horizontal distance, (2 w' - 1, d).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    vertical: Tensor
    horizontal: Tensor


def _by_key(products: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Products of queries with the embeddings of their distances, by rows h' and by columns w' of keys, or gradients.

    From contiguous (n, h, w, heads, 2 h' - 1 + 2 w' - 1), views (n, heads, h, w, h') and (n, heads, h, w, w').

    A query one row further down is one row nearer to a key, so that its products begin one place earlier: in steps of
    rows less by one.
    """
    areas, height, width, heads, _ = products.shape
    of_area, of_row, of_column, of_head, _ = products.stride()
    size = (areas, heads, height, width)
    vertical = products.as_strided((*size, rows), (of_area, of_head, of_row - 1, of_column, 1), rows - 1)
    start = 2 * rows - 1 + columns - 1
    horizontal = products.as_strided((*size, columns), (of_area, of_head, of_row, of_column - 1, 1), start)
    return vertical, horizontal


class _Part:
    """Some areas with all of their heads, or one head of one area."""

    def __init__(self, attended: Attended, heads: int, block: int, areas: slice, chosen: slice) -> None:
        self.heads, self.block, self.areas, self.chosen = heads, block, areas, chosen
        self.query, self.key, self.value = (self.of(tokens) for tokens in attended[:3])
        self.embeddings = torch.cat([attended.vertical, attended.horizontal])
        self.products = (self.rows_of_query() @ self.embeddings.T).view(*self.query.shape[:4], -1)
        self.by_row, self.by_column = _by_key(self.products, *self.key.shape[1:3])

    def of(self, tokens: Tensor) -> Tensor:
        """Its part of tokens of all areas, (n, h, w, C): (areas, h, w, heads, d), a view."""
        return tokens.view(*tokens.shape[:3], self.heads, -1)[self.areas, :, :, self.chosen]

    def rows_of_query(self) -> Tensor:
        """Queries, (areas h w heads, d)."""
        return self.query.reshape(-1, self.query.shape[-1])

    def blocks(self) -> Iterator[slice]:
        """Rows of queries, as many at once as a block takes."""
        height = self.query.shape[1]
        step = max(1, self.block // self.scores(1))
        for first in range(0, height, step):
            yield slice(first, min(first + step, height))

    def scores(self, rows: int) -> int:
        """Scores of so many rows of queries."""
        areas, _, width, heads, _ = self.query.shape
        return areas * heads * rows * width * self.key.shape[1] * self.key.shape[2]

    def buffer(self) -> Tensor:
        """Space for the scores of any block."""
        return self.query.new_empty(min(self.scores(self.query.shape[1]), max(self.block, self.scores(1))))

    def bias(self, rows: slice, buffer: Tensor) -> Tensor:
        """Bias of some rows of queries, (areas, heads, rows, w, h', w'), in the buffer."""
        vertical = self.by_row[:, :, rows, :, :, None]
        horizontal = self.by_column[:, :, rows, :, None, :]
        shape = (*vertical.shape[:5], horizontal.shape[-1])
        bias = buffer[: self.scores(shape[2])].view(shape)
        torch.add(vertical, horizontal, out=bias)
        return bias


def _parts(attended: Attended, heads: int, block: int) -> Iterator[_Part]:
    """All parts of what is attended: as many areas as a block takes, or head by head where it does not take one."""
    areas, height, width = attended.query.shape[:3]
    step = block // (heads * height * width * attended.key.shape[1] * attended.key.shape[2])
    if step:
        for first in range(0, areas, step):
            yield _Part(attended, heads, block, slice(first, first + step), slice(None))
    else:
        for area in range(areas):
            for head in range(heads):
                yield _Part(attended, heads, block, slice(area, area + 1), slice(head, head + 1))


def attention_in_blocks(attended: Attended, heads: int) -> Tensor:
    """Attention inside each area, (n, h, w, C), in at least single precision."""
    return cast(Tensor, _Blocks.apply(heads, *attended))  # type: ignore[no-untyped-call]


class _Blocks(torch.autograd.Function):
    """Forward and backward pass of `attention_in_blocks`."""

    @staticmethod
    def forward(ctx: Any, heads: int, *tensors: Tensor) -> Tensor:
        """Output; the tensors are the fields of `Attended`."""
        ctx.save_for_backward(*tensors)
        ctx.heads = heads
        attended = Attended(*(_precise(x) for x in tensors))
        output = torch.empty_like(attended.query)
        with torch.autocast(output.device.type, enabled=False):
            buffer: Tensor | None = None
            for part in _parts(attended, heads, FORWARD):
                buffer = part.buffer() if buffer is None else buffer
                _attend(part, part.of(output), buffer)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the tensors that need one."""
        tensors = ctx.saved_tensors
        attended = Attended(*(_precise(x) for x in tensors))
        gradient = _precise(gradient)
        needs = ctx.needs_input_grad[1:]
        total = [torch.zeros_like(x) if need else None for x, need in zip(attended, needs, strict=True)]
        with torch.autocast(gradient.device.type, enabled=False):
            buffers: tuple[Tensor, Tensor] | None = None
            for part in _parts(attended, ctx.heads, BACKWARD):
                buffers = (part.buffer(), part.buffer()) if buffers is None else buffers
                _add_gradients(part, part.of(gradient), total, buffers)
        cast = (x if x is None else x.to(own.dtype) for x, own in zip(total, tensors, strict=True))
        return None, *cast


def _precise(tensor: Tensor) -> Tensor:
    """The tensor in at least single precision, contiguous."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32)).contiguous()


def _attend(part: _Part, output: Tensor, buffer: Tensor) -> None:
    """Write what a part attends to, (areas, h, w, heads, d)."""
    # Tokens of one head lie far apart; next to each other they need fewer entries of the address cache.
    key, value = (x.contiguous().flatten(1, 2).transpose(1, 2) for x in (part.key, part.value))
    for rows in part.blocks():
        query = part.query[:, rows]
        mask = part.bias(rows, buffer).flatten(4).flatten(2, 3)
        attended = F.scaled_dot_product_attention(query.flatten(1, 2).transpose(1, 2), key, value, attn_mask=mask)
        output[:, rows] = attended.transpose(1, 2).view(query.shape)


def _add_gradients(
    part: _Part, gradient: Tensor, total: Sequence[Tensor | None], buffers: tuple[Tensor, Tensor]
) -> None:
    """Add a part's gradients, given that of its output, to the `total` of each field, where one is needed."""
    scale = float(part.query.shape[-1] ** -0.5)
    width = part.query.shape[2]
    query, key, value, outer = (_by_head(x) for x in (part.query, part.key, part.value, gradient))
    of_query, of_key, of_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
    products = torch.zeros_like(part.products)
    by_row, by_column = _by_key(products, *part.key.shape[1:3])
    for rows in part.blocks():
        tokens = slice(rows.start * width, rows.stop * width)
        bias = part.bias(rows, buffers[0])
        scores = bias.flatten(4).flatten(2, 3).flatten(0, 1)
        torch.baddbmm(scores, query[:, tokens], key.mT, alpha=scale, out=scores)
        weights = torch.softmax(scores, dim=-1, out=scores)
        of_value.baddbmm_(weights.mT, outer[:, tokens])
        # Of the scores: weights * (gradient of the weights - its mean under the weights).
        own = buffers[1][: weights.numel()].view(weights.shape)
        torch.bmm(outer[:, tokens], value.mT, out=own)
        softmax_backward_(own, weights)
        of_key.baddbmm_(own.mT, query[:, tokens], alpha=scale)
        of_query[:, tokens] = own @ key
        by_row[:, :, rows] = own.view(bias.shape).sum(dim=-1)
        by_column[:, :, rows] = own.view(bias.shape).sum(dim=-2)
    whole_query, *whole_pair, whole_vertical, whole_horizontal = total
    if whole_query is not None:
        by_distance = (products @ part.embeddings).view(part.query.shape)
        part.of(whole_query).copy_(by_distance.add_(_by_token(of_query, part.query), alpha=scale))
    for whole, own in zip(whole_pair, (of_key, of_value), strict=True):
        if whole is not None:
            part.of(whole).copy_(_by_token(own, part.key))
    if whole_vertical is None and whole_horizontal is None:
        return
    of_embeddings = products.flatten(0, 3).T @ part.rows_of_query()
    vertical, horizontal = torch.split(of_embeddings, [2 * length - 1 for length in part.key.shape[1:3]])
    for whole, own in ((whole_vertical, vertical), (whole_horizontal, horizontal)):
        if whole is not None:
            whole.add_(own)


def _by_head(tokens: Tensor) -> Tensor:
    """Tokens (areas, h, w, heads, d) as matrices (areas heads, h w, d)."""
    return tokens.permute(0, 3, 1, 2, 4).reshape(-1, tokens.shape[1] * tokens.shape[2], tokens.shape[-1])


def _by_token(matrices: Tensor, like: Tensor) -> Tensor:
    """Inverse of `_by_head`, for tokens of the shape of others; a view."""
    areas, height, width, heads, _ = like.shape
    return matrices.view(areas, heads, height, width, -1).permute(0, 2, 3, 1, 4)


def relative_attention(attended: Attended, heads: int) -> Tensor:
    """Attention inside each area, (n, h, w, C)."""
    width = attended.query.shape[-1] // heads + attended.key.shape[1] + attended.key.shape[2]
    if attended.query.device.type == "cpu" or width > LARGEST_FLASH_WIDTH:
        return attention_in_blocks(attended, heads)
    return folded_attention(attended, heads)


def folded_attention(attended: Attended, heads: int) -> Tensor:
    """The same by the fused kernels: queries are widened by their position bias, keys by their row and their column."""
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
    """Products of queries (n, heads, h, w, d) with their distances' embeddings, (n, heads, h, w, h') and (..., w')."""
    vertical, horizontal = (_of_pairs(x.to(query.dtype)) for x in (attended.vertical, attended.horizontal))
    by_row = torch.einsum("nahwd,hkd->nahwk", query, vertical[: query.shape[2]])
    by_column = torch.einsum("nahwd,wkd->nahwk", query, horizontal[: query.shape[3]])
    return by_row, by_column


def _of_pairs(embeddings: Tensor) -> Tensor:
    """Embedding of every distance from 1 - n on, (2 n - 1, d), for each query (first axis) and key, (n, n, d)."""
    length = (len(embeddings) + 1) // 2
    place = torch.arange(length, device=embeddings.device)
    return embeddings[place - place[:, None] + length - 1]

"""Attention with decomposed relative positions in blocks: the bias of all pairs of tokens never exists at once.

softmax(Q K^T / sqrt(d) + B) V, where B(q, k) is the query's product with the embeddings of the vertical and of the
horizontal distance (Eq. 4 of the report; MViTv2, arXiv 2112.01526). A block's scores are computed in one buffer that
stays in the processor's cache; the backward pass computes them again, so that nothing but queries, keys and values is
kept (the idea of FlashAttention, arXiv 2205.14135, with whole rows of scores, which need no running maximum).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 2**20
"""Scores computed at once, 4 MB: fewer make thin matrix products, more leave the cache."""


class Attended(NamedTuple):
    """What is attended.

    Attributes:
        query: (B, h, w, C), all heads of a token in one row.
        key: (B, h, w, C).
        value: (B, h, w, C).
        vertical: Embedding of the vertical distance of a query (first axis) and a key (second) of an attended area,
            (n, n, d); n is the window's side, or h.
        horizontal: The same of the horizontal distance, (m, m, d).
        padding_key: Key of the places of a window that lie outside the grid, (C,).
        padding_value: Their value, (C,).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    vertical: Tensor
    horizontal: Tensor
    padding_key: Tensor | None = None
    padding_value: Tensor | None = None


class _Area(NamedTuple):
    """The part of a grid whose tokens attend to each other: an image of a batch, and its rows and columns."""

    image: int
    rows: slice
    columns: slice

    def of(self, grid: Tensor) -> Tensor:
        """Its tokens, (h, w, C), in the precision of the computation."""
        return _precise(grid[self.image, self.rows, self.columns])


class _Block(NamedTuple):
    """Scores computed at once: all heads or one, and some rows of queries of an area."""

    heads: slice | int
    rows: slice

    def queries(self, tokens: Tensor, heads: int) -> Tensor:
        """Its part of tokens of an area, (h, w, C), by heads: (heads, n, d), or (n, d) for one head."""
        return _by_heads(tokens[self.rows], heads)[self.heads]

    def bias(self, products: Tensor) -> Tensor:
        """Its part of products of an area, (h, w, heads, k): (heads, h, w, k), or (h, w, k) for one head."""
        return products[self.rows].permute(2, 0, 1, 3)[self.heads]


def _by_heads(tokens: Tensor, heads: int) -> Tensor:
    """Tokens (h, w, C) as (heads, h w, C / heads); a view where the tokens are contiguous."""
    return tokens.reshape(-1, heads, tokens.shape[-1] // heads).transpose(0, 1)


class _Scores:
    """Attention weights of one area, block by block."""

    def __init__(self, attended: Attended, heads: int, area: _Area) -> None:
        self.heads = heads
        self.query = area.of(attended.query).contiguous()
        self.key = _filled(area.of(attended.key), attended.padding_key, attended)
        self.value = _filled(area.of(attended.value), attended.padding_value, attended)
        height, width = self.query.shape[:2]
        self.vertical_table = _precise(attended.vertical[:height])
        self.horizontal_table = _precise(attended.horizontal[:width])
        self.scale = float((self.query.shape[-1] // heads) ** -0.5)
        self.vertical = torch.bmm(self.by_row(self.query), self.vertical_table.transpose(1, 2))
        self.vertical = self.vertical.view(height, width, heads, -1)
        horizontal = torch.bmm(self.by_column(self.query), self.horizontal_table.transpose(1, 2))
        self.horizontal = horizontal.view(width, height, heads, -1).transpose(0, 1)

    def by_row(self, tokens: Tensor) -> Tensor:
        """Tokens (h, w, C) or products (h, w, heads, k) of every row, (h, w heads, C / heads)."""
        return tokens.reshape(len(tokens), tokens.shape[1] * self.heads, -1)

    def by_column(self, tokens: Tensor) -> Tensor:
        """Tokens (h, w, C) or products (h, w, heads, k) of every column, (w, h heads, C / heads)."""
        return self.by_row(tokens.transpose(0, 1))

    def blocks(self) -> Iterator[_Block]:
        """All scores of the area: all heads at once where they are few enough, else head by head some rows."""
        height, width = self.query.shape[:2]
        row = width * self.key.shape[0] * self.key.shape[1]
        if self.heads * height * row <= BLOCK:
            yield _Block(slice(None), slice(0, height))
            return
        rows = max(1, BLOCK // row)
        for head in range(self.heads):
            for first in range(0, height, rows):
                yield _Block(head, slice(first, min(first + rows, height)))

    def buffer(self) -> Tensor:
        """Space for the scores of any block, also of areas at the grid's end, which are smaller."""
        row = self.query.shape[1] * self.key.shape[0] * self.key.shape[1]
        return self.query.new_empty(min(self.heads * self.query.shape[0] * row, max(BLOCK, row)))

    def weights(self, block: _Block, buffer: Tensor) -> Tensor:
        """Softmax over the keys of a block's scores, (heads, n, keys) or (n, keys), in the buffer."""
        vertical, horizontal = block.bias(self.vertical), block.bias(self.horizontal)
        shape = (*vertical.shape, horizontal.shape[-1])
        biased = buffer[: vertical.numel() * shape[-1]].view(shape)
        torch.add(vertical[..., :, None], horizontal[..., None, :], out=biased)
        scores = biased.flatten(-2).flatten(-3, -2)
        query, key = block.queries(self.query, self.heads), _by_heads(self.key, self.heads)[block.heads]
        _add_product(scores, query, key.mT, self.scale)
        return torch.softmax(scores, dim=-1, out=scores)


def _precise(tensor: Tensor) -> Tensor:
    """The tensor in at least single precision."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _filled(tokens: Tensor, padding: Tensor | None, attended: Attended) -> Tensor:
    """Tokens of an area, (h, w, C), filled up to the size of a window where it reaches over the grid's end."""
    side = (len(attended.vertical), len(attended.horizontal))
    if tokens.shape[:2] == side or padding is None:
        return tokens.contiguous()
    filled = _precise(padding).repeat(*side, 1)
    filled[: tokens.shape[0], : tokens.shape[1]] = tokens
    return filled


def _add_product(total: Tensor, left: Tensor, right: Tensor, factor: float = 1.0) -> None:
    """Add a product of matrices, or of batches of matrices, times a factor to a total."""
    add = torch.addmm if total.ndim == 2 else torch.baddbmm
    add(total, left, right, alpha=factor, out=total)


def _areas(grid: Tensor, window: int) -> Iterator[_Area]:
    """Whole images of a grid (B, h, w, C), or their windows."""
    batch, height, width = grid.shape[:3]
    rows, columns = (window, window) if window else (height, width)
    for image in range(batch):
        for y in range(0, height, rows):
            for x in range(0, width, columns):
                yield _Area(image, slice(y, min(y + rows, height)), slice(x, min(x + columns, width)))


def attention_in_blocks(attended: Attended, heads: int, window: int) -> Tensor:
    """Attention over the whole grid or inside windows, (B, h, w, C), in at least single precision.

    Args:
        attended: Queries, keys, values and position embeddings.
        heads: Attention heads.
        window: Side of the windows, from the grid's first corner on; 0 for none.
    """
    output: Tensor = _Blocks.apply(heads, window, *attended)  # type: ignore[no-untyped-call]
    return output


class _Blocks(torch.autograd.Function):
    """Forward and backward pass of `attention_in_blocks`."""

    @staticmethod
    def forward(ctx: Any, heads: int, window: int, *tensors: Tensor | None) -> Tensor:
        """Output; the tensors are the fields of `Attended`."""
        attended = Attended(*tensors)  # type: ignore[arg-type]
        ctx.save_for_backward(*tensors)
        ctx.heads, ctx.window = heads, window
        output = torch.empty_like(attended.query, memory_format=torch.contiguous_format)
        with torch.autocast(output.device.type, enabled=False):
            buffer: Tensor | None = None
            for area in _areas(output, window):
                scores = _Scores(attended, heads, area)
                buffer = scores.buffer() if buffer is None else buffer
                tokens = torch.empty_like(scores.query)
                for block in scores.blocks():
                    weights = scores.weights(block, buffer)
                    value = _by_heads(scores.value, heads)[block.heads]
                    torch.matmul(weights, value, out=block.queries(tokens, heads))
                output[area] = tokens
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the tensors that need one."""
        tensors: tuple[Tensor | None, ...] = ctx.saved_tensors
        attended = Attended(*tensors)  # type: ignore[arg-type]
        needed = ctx.needs_input_grad[2:]
        gradients = _Gradients(
            *(
                None if not need or x is None else torch.zeros_like(_precise(x))
                for x, need in zip(tensors, needed, strict=True)
            )
        )
        with torch.autocast(gradient.device.type, enabled=False):
            buffers: tuple[Tensor, Tensor] | None = None
            for area in _areas(gradient, ctx.window):
                scores = _Scores(attended, ctx.heads, area)
                buffers = (scores.buffer(), scores.buffer()) if buffers is None else buffers
                _add_gradients(scores, area, area.of(gradient).contiguous(), gradients, buffers)
        cast = (None if g is None or x is None else g.to(x.dtype) for g, x in zip(gradients, tensors, strict=True))
        return None, None, *cast


class _Gradients(NamedTuple):
    """Gradients of the fields of `Attended`; None where none is needed."""

    query: Tensor | None
    key: Tensor | None
    value: Tensor | None
    vertical: Tensor | None
    horizontal: Tensor | None
    padding_key: Tensor | None
    padding_value: Tensor | None


def _add_gradients(
    scores: _Scores, area: _Area, gradient: Tensor, total: _Gradients, buffers: tuple[Tensor, Tensor]
) -> None:
    """Add what one area contributes to the gradients.

    Args:
        scores: The area's attention weights.
        area: The area.
        gradient: Gradient of the area's output, (h, w, C).
        total: Gradients so far.
        buffers: Space for the scores of a block, twice.
    """
    heads, biased = scores.heads, any(x is not None for x in (total.query, total.vertical, total.horizontal))
    query = torch.zeros_like(scores.query) if total.query is not None else None
    key = torch.zeros_like(scores.key) if total.key is not None or total.padding_key is not None else None
    value = torch.zeros_like(scores.value) if total.value is not None or total.padding_value is not None else None
    vertical = torch.empty_like(scores.vertical)
    horizontal = torch.empty_like(scores.horizontal)
    for block in scores.blocks():
        weights = scores.weights(block, buffers[0])
        output = block.queries(gradient, heads)
        if value is not None:
            _add_product(_by_heads(value, heads)[block.heads], weights.mT, output)
        if key is None and not biased:
            continue
        # Of the scores: weights * (gradient of the weights - its mean under the weights).
        own = buffers[1][: weights.numel()].view(weights.shape)
        torch.matmul(output, _by_heads(scores.value, heads)[block.heads].mT, out=own)
        torch.ops.aten._softmax_backward_data.out(own, weights, -1, own.dtype, grad_input=own)
        if key is not None:
            _add_product(_by_heads(key, heads)[block.heads], own.mT, block.queries(scores.query, heads), scores.scale)
        if query is not None:
            torch.matmul(own, _by_heads(scores.key, heads)[block.heads], out=block.queries(query, heads))
        if biased:
            pairs = own.view(*block.bias(vertical).shape, horizontal.shape[-1])
            torch.sum(pairs, dim=-1, out=block.bias(vertical))
            torch.sum(pairs, dim=-2, out=block.bias(horizontal))
    if query is not None and total.query is not None:
        query.mul_(scores.scale)
        scores.by_row(query).baddbmm_(scores.by_row(vertical), scores.vertical_table)
        sideways = torch.bmm(scores.by_column(horizontal), scores.horizontal_table)
        query += sideways.view(query.shape[1], query.shape[0], -1).transpose(0, 1)
        total.query[area] = query
    if total.vertical is not None:
        total.vertical[: len(vertical)].baddbmm_(scores.by_row(vertical).mT, scores.by_row(scores.query))
    if total.horizontal is not None:
        columns = scores.by_column(scores.query)
        total.horizontal[: len(columns)].baddbmm_(scores.by_column(horizontal).mT, columns)
    _give(key, area, total.key, total.padding_key)
    _give(value, area, total.value, total.padding_value)


def _give(own: Tensor | None, area: _Area, total: Tensor | None, padding: Tensor | None) -> None:
    """Hand the gradient of an area's keys or values, (n, m, C), to the tokens inside the grid and to the padding."""
    if own is None:
        return
    height, width = area.rows.stop - area.rows.start, area.columns.stop - area.columns.start
    if total is not None:
        total[area] = own[:height, :width]
    if padding is not None:
        padding += own[height:].sum(dim=(0, 1)) + own[:height, width:].sum(dim=(0, 1))

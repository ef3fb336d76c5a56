"""Square windows of token grids: padded with zeros at the far sides, or in groups of one shape without padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def split_windows(tokens: Tensor, side: int) -> Tensor:
    """Windows of a grid of tokens (B, h, w, C), row by row, (B * windows, n, n, C) for side n."""
    tokens = F.pad(tokens, (0, 0, 0, -tokens.shape[2] % side, 0, -tokens.shape[1] % side))
    batch, height, width, channels = tokens.shape
    grid = tokens.view(batch, height // side, side, width // side, side, channels)
    return grid.transpose(2, 3).reshape(-1, side, side, channels)


def join_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """Inverse of `split_windows` for a grid of that height h and width w, (B, h, w, C)."""
    side, channels = windows.shape[1], windows.shape[3]
    rows, columns = ((length + side - 1) // side for length in (height, width))  # an exporter's `//` goes towards zero
    grid = windows.view(-1, rows, columns, side, side, channels).transpose(2, 3)
    return grid.reshape(-1, rows * side, columns * side, channels)[:, :height, :width]


class WindowOrder:
    """Order of the tokens of grids in which those of a window are neighbours, and windows of one shape too.

    Windows that reach over the far sides of a grid hold the tokens there are. Padding up to whole windows would nearly
    double the work where it is worst (a grid of side 32, windows of side 14).

    Attributes:
        windows: Rows, columns and number in all grids of the windows of each shape, in that order.
        reaches_over: Whether any window reaches over a grid.
    """

    def __init__(self, shape: Sequence[int], side: int, device: torch.device) -> None:
        """Find the order of grids of shape (B, H, W, ...) in windows of that side."""
        batch, height, width = shape[:3]
        self.shape = (batch, height, width)
        grid = torch.arange(batch * height * width, device=device).view(self.shape)
        places, self.windows = [], []
        for (top, bottom, rows), (left, right, columns) in product(_strips(height, side), _strips(width, side)):
            part = grid[:, top:bottom, left:right]
            part = part.reshape(batch, (bottom - top) // rows, rows, (right - left) // columns, columns)
            places.append(part.transpose(2, 3).flatten())
            self.windows.append((rows, columns, part.shape[0] * part.shape[1] * part.shape[3]))
        self.reaches_over = any((rows, columns) != (side, side) for rows, columns, _ in self.windows)
        self._order = torch.cat(places)
        self._inverse = torch.empty_like(self._order).scatter_(0, self._order, grid.flatten())

    def apply(self, tokens: Tensor) -> Tensor:
        """Tokens of the grids, (B, H, W, C), in this order, (B H W, C)."""
        return _reordered(tokens.reshape(-1, tokens.shape[-1]), self._order, self._inverse)

    def undo(self, tokens: Tensor) -> Tensor:
        """Inverse of `apply`."""
        return _reordered(tokens, self._inverse, self._order).view(*self.shape, -1)

    def split(self, tokens: Tensor) -> list[Tensor]:
        """Tokens in this order, (B H W, C), by shapes of windows: (windows, rows, columns, C) each."""
        parts = torch.split(tokens, [rows * columns * count for rows, columns, count in self.windows])
        return [x.view(count, rows, columns, -1) for x, (rows, columns, count) in zip(parts, self.windows, strict=True)]

    def join(self, parts: list[Tensor]) -> Tensor:
        """Inverse of `split`."""
        flat = [part.reshape(-1, part.shape[-1]) for part in parts]
        return torch.cat(flat) if len(flat) > 1 else flat[0]


def _strips(length: int, side: int) -> list[tuple[int, int, int]]:
    """Start, end and window side of the whole windows along a length, and of what is left."""
    whole = length - length % side
    strips = ((0, whole, side), (whole, length, length - whole))
    return [strip for strip in strips if strip[0] < strip[1]]


def filled(windows: Tensor, padding: Tensor, side: int) -> Tensor:
    """Windows (n, rows, columns, C) filled up to their whole side with copies of one token, (C,)."""
    count, rows, columns, _ = windows.shape
    if columns < side:
        windows = torch.cat([windows, padding.to(windows.dtype).expand(count, rows, side - columns, -1)], dim=2)
    if rows < side:
        windows = torch.cat([windows, padding.to(windows.dtype).expand(count, side - rows, side, -1)], dim=1)
    return windows


def _reordered(rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Rows (N, C) in another order, (N,), of which the inverse is known too."""
    return cast(Tensor, _Reordered.apply(rows, order, inverse))  # type: ignore[no-untyped-call]


class _Reordered(torch.autograd.Function):
    """Rows in another order; the gradient goes back by the inverse order, without sums into zeros."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        """(N, C) to the same."""
        ctx.save_for_backward(inverse)
        return rows.index_select(0, order)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Gradient of the rows."""
        (inverse,) = ctx.saved_tensors
        return gradient.index_select(0, inverse), None, None

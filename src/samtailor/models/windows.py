"""Square windows of token grids, padded with zeros at the far sides."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def split_windows(tokens: Tensor, side: int) -> Tensor:
    """Windows of a grid of tokens.

    Args:
        tokens: (B, h, w, C).
        side: Side n of a window.

    Returns:
        (B * windows, n, n, C), row by row.
    """
    tokens = F.pad(tokens, (0, 0, 0, -tokens.shape[2] % side, 0, -tokens.shape[1] % side))
    batch, height, width, channels = tokens.shape
    grid = tokens.view(batch, height // side, side, width // side, side, channels)
    return grid.transpose(2, 3).reshape(-1, side, side, channels)


def join_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """Inverse of `split_windows`.

    Args:
        windows: (B * windows, n, n, C).
        height: Rows h of the grid.
        width: Columns w of the grid.

    Returns:
        (B, h, w, C).
    """
    side, channels = windows.shape[1], windows.shape[3]
    rows, columns = -(-height // side), -(-width // side)
    grid = windows.view(-1, rows, columns, side, side, channels).transpose(2, 3)
    return grid.reshape(-1, rows * side, columns * side, channels)[:, :height, :width]


def window_padding(batch: int, height: int, width: int, side: int, device: torch.device) -> Tensor:
    """Which places of the windows of a grid are padding, (B * windows, n, n, 1).

    Args:
        batch: Grids B.
        height: Rows h of a grid.
        width: Columns w of a grid.
        side: Side n of a window.
        device: Where the answer lies.
    """
    inside = torch.ones(batch, height, width, 1, dtype=torch.uint8, device=device)
    return split_windows(inside, side) == 0

"""GELU in as little memory as it needs: fresh memory is slow, its first touch costs more than the arithmetic on it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from samtailor.models.operators import gelu_


def gelu(fresh: Tensor) -> Tensor:
    """GELU of a tensor that nobody else holds, in place where no gradient asks for it.

    Args:
        fresh: What a layer has just made. (B, C, H, W) in channels-last order is taken as (B, H, W, C), since only
            contiguous tensors get the fast kernel.
    """
    if fresh.dim() == 4 and not fresh.is_contiguous():
        return _contiguous_gelu(fresh.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return _contiguous_gelu(fresh)


def _contiguous_gelu(fresh: Tensor) -> Tensor:
    return F.gelu(fresh) if fresh.requires_grad else gelu_(fresh)


class GELU(nn.Module):
    """`gelu` as a layer."""

    def forward(self, fresh: Tensor) -> Tensor:
        """What `gelu` does."""
        return gelu(fresh)

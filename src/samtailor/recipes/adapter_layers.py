"""The layers of adapters: a bottleneck, and the ways it stands beside a layer of the base."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from samtailor.attend import attend


class Bottleneck(nn.Module):
    """ReLU(x W_down) W_up, without the skip connection; zero at the start."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, width // reduction)
        self.up = nn.Linear(width // reduction, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., C) to the same."""
        return cast(Tensor, self.up(F.relu(self.down(tokens))))


class _Adapted(nn.Module):
    """A layer and the adapter beside it."""

    def __init__(self, layer: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.layer = layer
        self.adapter = adapter


class AdaptedOutput(_Adapted):
    """A layer followed by an adapter with its own skip connection."""

    def forward(self, tokens: Tensor, *padding: Tensor) -> Tensor:
        """What the layer takes and gives."""
        output = self.layer(tokens, *padding)
        return cast(Tensor, output + self.adapter(output))


class AdaptedInput(_Adapted):
    """An adapter with its own skip connection followed by a layer."""

    def forward(self, tokens: Tensor) -> Tensor:
        """What the layer takes and gives."""
        return cast(Tensor, self.layer(tokens + self.adapter(tokens)))


class ParallelAdapter(_Adapted):
    """A layer plus a scaled adapter of the same input, without skip connection (AdaptFormer)."""

    def __init__(self, layer: nn.Module, adapter: Bottleneck, scale: float) -> None:
        super().__init__(layer, adapter)
        self.scale = scale

    def forward(self, tokens: Tensor) -> Tensor:
        """What the layer takes and gives."""
        return cast(Tensor, self.layer(tokens) + self.scale * self.adapter(tokens))


class DepthAdapter(_Adapted):
    """A layer whose input takes in the same place of neighbouring slices, through attention and an adapter.

    The attention has no weights of its own: queries, keys and values are the tokens, so that the adapter is all that is
    trained (the depth branch of Med-SA, arXiv 2304.12620, made free of the space branch's projections).
    """

    images: int
    """Images in the batch; set before every pass through the block, since windows hide the number."""

    def __init__(self, layer: nn.Module, adapter: Bottleneck, heads: int, slices: int) -> None:
        super().__init__(layer, adapter)
        self.heads = heads
        self.slices = self.images = slices

    def forward(self, tokens: Tensor, *padding: Tensor) -> Tensor:
        """What the layer takes and gives; images are groups of neighbouring slices."""
        # A padding token is the same in all slices: attention across them gives it back.
        padding = tuple(token + self.adapter(token) for token in padding)
        return cast(Tensor, self.layer(tokens + self.adapter(self._across(tokens)), *padding))

    def _across(self, tokens: Tensor) -> Tensor:
        """Attention of every token over the slices, (images * windows, ..., C) to the same."""
        if self.images % self.slices:
            raise ValueError(f"expected groups of {self.slices} neighbouring slices, found {self.images} images")
        width = tokens.shape[-1]
        slices = tokens.reshape(self.images // self.slices, self.slices, -1, width).transpose(1, 2)
        heads = slices.reshape(*slices.shape[:3], self.heads, -1).transpose(2, 3)
        attended = attend(heads, heads, heads).transpose(2, 3).flatten(3)
        return attended.transpose(1, 2).reshape(tokens.shape)


def tell_images(adapter: DepthAdapter, block: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    """Tell a depth adapter how many images are in the batch that its block is about to take."""
    adapter.images = arguments[0].shape[0]


def width_of(norm: nn.Module) -> int:
    """Width of the tokens that a layer norm takes."""
    assert isinstance(norm, nn.LayerNorm)
    return norm.normalized_shape[0]

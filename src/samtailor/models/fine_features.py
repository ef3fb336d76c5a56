"""Maps finer than the image embedding, for the mask decoder's upscaling, as SAM 2 has them."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from samtailor.data.channels import COLOURS

_WIDTH = 32
"""Channels of the stem at four times the embedding's resolution; twice as many at two times."""


class FineFeatures(nn.Module):
    """What the image itself, and an early map of the image encoder, add to the upscaling; nothing at the start.

    A stem of 3 x 3 convolutions sees the image; it and the early map pass 1 x 1 convolutions that are zero at the start
    (after ControlNet, arXiv 2302.05543), and are added where SAM 2 adds its own finer maps (arXiv 2408.00714). HQ-SAM
    (arXiv 2306.01567) takes early maps to SAM's decoder alike.
    """

    def __init__(self, channels: int, stride: int, early: tuple[int, int] | None) -> None:
        """Build for an image embedding.

        Args:
            channels: Channels of the embedding, C.
            stride: Pixels per cell of the embedding: 4, 8 or 16.
            early: Channels of the early map, and pixels per cell; None if there is none.
        """
        super().__init__()
        first, second = {4: (1, 1), 8: (2, 1), 16: (2, 2)}[stride]
        self.stem = nn.Sequential(_convolved(COLOURS, _WIDTH, first), _convolved(_WIDTH, _WIDTH, second))
        self.stem_below = _convolved(_WIDTH, 2 * _WIDTH, 2)
        self.of_stem = nn.ModuleList([_Zero(_WIDTH, channels // 8), _Zero(2 * _WIDTH, channels // 4)])
        self.of_early = nn.ModuleList()
        if early is not None:
            width, cell = early
            targets = ((channels // 8, stride // 4), (channels // 4, stride // 2))
            self.of_early.extend(_Zero(width, outputs, cell, target) for outputs, target in targets)

    def forward(self, images: Tensor, early: Tensor | None) -> tuple[Tensor, Tensor]:
        """Normalised images (B, 3, H, W) and their early maps to (B, C / 8, 4h, 4w) and (B, C / 4, 2h, 2w)."""
        finer = self.stem(images)
        maps = [project(map) for project, map in zip(self.of_stem, (finer, self.stem_below(finer)), strict=True)]
        if early is not None:
            maps = [map + project(early) for map, project in zip(maps, self.of_early, strict=True)]
        return maps[0], maps[1]


class _Zero(nn.Conv2d):
    """A 1 x 1 convolution that gives zero at the start, from cells of so many pixels to cells of another size.

    Smaller cells are averaged before it; of a larger cell it gives all those in it.
    """

    def __init__(self, inputs: int, outputs: int, cell: int = 1, target: int = 1) -> None:
        self.enlarged, self.averaged = max(1, cell // target), max(1, target // cell)
        super().__init__(inputs, outputs * self.enlarged**2, kernel_size=1)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.get_parameter("bias"))

    def forward(self, map: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H', W')."""
        if self.averaged > 1:
            map = F.avg_pool2d(map, self.averaged)
        return F.pixel_shuffle(super().forward(map), self.enlarged)


def _convolved(inputs: int, outputs: int, stride: int) -> nn.Module:
    """A 3 x 3 convolution and GELU, which keep the size of numbers."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    nn.init.zeros_(cast(nn.Parameter, convolution.bias))
    return nn.Sequential(convolution, nn.GELU())

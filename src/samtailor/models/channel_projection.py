"""The learned projection in front of the image encoder, for images of neither one nor three channels."""

from __future__ import annotations

from torch import nn

from samtailor.data.channels import COLOURS, needs_projection


class ChannelProjection(nn.Conv2d):
    """A learned 1 x 1 projection, (B, C, H, W) to (B, 3, H, W), of images in [0, 1].

    It starts as the mean of the channels: an image whose channels are equal passes unchanged, as a gray one would.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, COLOURS, kernel_size=1)
        nn.init.constant_(self.weight, 1 / channels)
        nn.init.zeros_(self.get_parameter("bias"))


def projection_of(channels: int) -> nn.Module:
    """What brings network inputs of images of so many channels to three; nothing where they have three already."""
    return ChannelProjection(channels) if needs_projection(channels) else nn.Identity()

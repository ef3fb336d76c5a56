"""The peers: 2-D U-Nets, with nnU-Net's recipe and with a plain one, and SegFormer-B0; all from random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from monai.networks.nets import BasicUNet, DynUNet
from torch import Tensor, nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

Patch = tuple[int, int]
"""Rows and columns of what a network sees at once, in pixels of the data."""

_LEAST = 4  # pixels of the coarsest feature map, at least (nnU-Net's UNet_featuremap_min_edge_length)
_WIDEST = 512  # channels (nnU-Net's UNet_max_features_2d)
_LARGEST = 512  # pixels of a patch's side: nnU-Net's own patch of abdominal CT


@dataclass(frozen=True)
class Peer:
    """A network and how it is optimised.

    Attributes:
        title: What it is, in words.
        build: The network with random weights, from channels, classes and patch; in training it may give logits of
            several decoder stages, (B, stages, K, H, W), the finest first, else (B, K, H, W).
        optimizer: Of its parameters.
        rate: Learning rate, as a fraction of the largest, by the share of the time that has passed.
        clip: Largest gradient norm.
        batch: Patches per step.
    """

    title: str
    build: Callable[[int, int, Patch], nn.Module]
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    rate: Callable[[float], float]
    clip: float
    batch: int


def patch_of(height: float, width: float) -> Patch:
    """nnU-Net's patch for images of a median size: as large, rounded up to what the network halves."""
    rows, columns = (min(round(side), _LARGEST) for side in (height, width))
    rows, columns = (max(side, 8 * _LEAST) for side in (rows, columns))
    factors = [2 ** sum(step[axis] == 2 for step in strides_of((rows, columns))) for axis in (0, 1)]
    return -(-rows // factors[0]) * factors[0], -(-columns // factors[1]) * factors[1]


def strides_of(patch: Patch) -> list[tuple[int, int]]:
    """Strides of each stage, by nnU-Net's rule: a side is halved as long as four pixels are left."""
    sides, strides = tuple(map(float, patch)), [(1, 1)]
    while max(sides) >= 2 * _LEAST:
        step = tuple(2 if side >= 2 * _LEAST else 1 for side in sides)
        strides.append((step[0], step[1]))
        sides = tuple(side / by for side, by in zip(sides, step, strict=True))
    return strides


def unet(width: int) -> Callable[[int, int, Patch], nn.Module]:
    """MONAI's DynUNet as nnU-Net's 2-D plan has it, with that many channels in its first stage (nnU-Net: 32)."""

    def build(channels: int, classes: int, patch: Patch) -> nn.Module:
        strides = strides_of(patch)
        network: nn.Module = DynUNet(
            spatial_dims=2,
            in_channels=channels,
            out_channels=classes,
            kernel_size=[(3, 3)] * len(strides),
            strides=strides,
            upsample_kernel_size=strides[1:],
            filters=[min(_WIDEST, width * 2**stage) for stage in range(len(strides))],
            norm_name=("instance", {"affine": True}),
            deep_supervision=True,
            deep_supr_num=len(strides) - 3,  # nnU-Net leaves the coarsest output out
        )
        return network

    return build


def _plain_unet(channels: int, classes: int, patch: Patch) -> nn.Module:
    """MONAI's BasicUNet, whose five stages halve any patch of `patch_of`.

    With batch norm: instance norm, the default, takes the mean colour from each patch, which tells land cover apart.
    """
    widths = (16, 32, 64, 128, 256, 16)
    network: nn.Module = BasicUNet(
        spatial_dims=2, in_channels=channels, out_channels=classes, features=widths, norm="batch"
    )
    return network


class _HalfUNet(nn.Module):
    """The same, which sees its input at half the size; logits as large as the input."""

    def __init__(self, channels: int, classes: int, patch: Patch) -> None:
        super().__init__()
        self.network = _plain_unet(channels, classes, patch)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W) of images (B, C, H, W), whose sides are multiples of 32."""
        logits = self.network(F.avg_pool2d(images, 2))
        return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)


class _SegFormer(nn.Module):
    """transformers' SegFormer with the configuration B0 and random weights; logits as large as its input."""

    def __init__(self, channels: int, classes: int, patch: Patch) -> None:
        super().__init__()
        self.network = SegformerForSemanticSegmentation(SegformerConfig(num_channels=channels, num_labels=classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W) of images (B, C, H, W)."""
        logits = self.network(pixel_values=images).logits
        return F.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=False)


def _poly(share: float) -> float:
    """Polynomial decay to zero, as nnU-Net's."""
    return float((1 - share) ** 0.9)


def _warm_poly(share: float) -> float:
    """The same after a linear warm-up of a twentieth of the time."""
    return min(1.0, share / 0.05 + 0.01) * _poly(share)


def _sgd(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.99, nesterov=True, weight_decay=3e-5)


def _adamw(lr: float) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
    return partial(torch.optim.AdamW, lr=lr, weight_decay=0.01)


def _nnunet(width: int) -> Peer:
    title = f"2-D U-Net (MONAI DynUNet, {width} to 512 channels) with nnU-Net's recipe, from random weights"
    return Peer(title, unet(width), _sgd, _poly, clip=12.0, batch=2)  # nnU-Net's smallest: two cores make few steps


DYNUNET = _nnunet(32)
"""As wide as nnU-Net's."""
DYNUNET_HALF = _nnunet(16)
"""Half as wide as nnU-Net's, which sees more patches in the same time."""
_PLAIN = "2-D U-Net (MONAI BasicUNet, 16 to 256 channels), cross entropy + Dice, AdamW, from random weights"
UNET = Peer(_PLAIN, _plain_unet, _adamw(1e-3), _warm_poly, clip=1.0, batch=8)
"""What one writes first, and what learns in few steps."""
UNET_HALF = replace(UNET, title=f"{_PLAIN}; of images at half their size", build=_HalfUNet)
"""Of images at half their size, of which it sees four times as many in the same time."""
SEGFORMER = Peer(
    "SegFormer-B0 (transformers) from RANDOM weights: pretrained ones could not be had on this machine",
    _SegFormer,
    _adamw(5e-4),
    _warm_poly,
    clip=1.0,
    batch=8,
)

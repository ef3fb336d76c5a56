"""TinyViT image encoder of LiteMedSAM and MobileSAM.

Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers", ECCV 2022, in the variants of
MobileSAM (arXiv 2306.14289: an image of 1024 x 1024 gives embeddings of 64 x 64) and LiteMedSAM (MedSAM challenge, CVPR
2024: a patch embedding without stride, so that 256 x 256 does). Fully convolutional and windowed: any multiple of the
stride is a valid image side.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.sam.modeling_sam import SamLayerNorm

from samtailor.models.blocks import added, needs_graph, run_between, transform_
from samtailor.models.linear import linear
from samtailor.models.mlp import MLP
from samtailor.models.operators import GELU, gelu
from samtailor.models.window_attention import WindowAttention


@dataclass(frozen=True)
class TinyViTConfig:
    """Shape of a TinyViT; the defaults are LiteMedSAM's.

    Attributes:
        widths: Embedding width of each stage; the first stage is convolutional.
        depths: Blocks of each stage.
        heads: Attention heads of each stage; that of the first is unused.
        windows: Window side of each stage, in tokens; that of the first is unused.
        patch_strides: Strides of the two convolutions of the patch embedding; where both are 1 they see single pixels.
        strides: Stride between a stage and the next.
        expansion: Width of a block's hidden layer over its own.
        output_channels: Channels of the image embedding.
    """

    widths: tuple[int, int, int, int] = (64, 128, 160, 320)
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    heads: tuple[int, int, int, int] = (2, 4, 5, 10)
    windows: tuple[int, int, int, int] = (7, 7, 14, 7)
    patch_strides: tuple[int, int] = (1, 1)
    strides: tuple[int, int, int] = (2, 2, 1)
    expansion: int = 4
    output_channels: int = 256

    @property
    def stride(self) -> int:
        """Pixels per cell of the image embedding."""
        return prod(self.patch_strides) * prod(self.strides)


MOBILE_VIT = TinyViTConfig(patch_strides=(2, 2))
"""MobileSAM's: a patch embedding of stride 4 before the same stages."""


class FrozenBatchNorm(nn.Module):
    """Scale and shift of a batch normalisation whose statistics stay those of the pretraining.

    Fine-tuning batches are too small for statistics of their own, and masks must not depend on what else is in
    the batch.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Factor and summand of each channel, both (C,)."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale


STRIP = 2**20
"""Values of an inverted bottleneck's hidden layer computed at once where no gradient is asked for; 4 MB in float32.

Measured on the machine of docs/benchmarks.md, a block of an image of side 256: 102 ms with 2**17, 49 ms with 2**19, 44
ms with 2**20 and 2**21, 78 ms with 2**22, 87 ms with all at once; of side 128 the same order.
"""


class ConvNorm(nn.Module):
    """Convolution and frozen batch normalisation, computed as one convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = FrozenBatchNorm(outputs)

    def forward(self, images: Tensor, with_gelu: bool = False) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride), and GELU if asked for."""
        scale, shift = self.norm.scale_and_shift()
        weight = self.conv.weight * scale[:, None, None, None]
        if self.conv.kernel_size == (1, 1) and self.conv.stride == (1, 1):
            return linear(images.permute(0, 2, 3, 1), weight.flatten(1), shift, with_gelu).permute(0, 3, 1, 2)
        output = F.conv2d(images, weight, shift, self.conv.stride, self.conv.padding, groups=self.conv.groups)
        return gelu(output) if with_gelu else output


class MBConv(nn.Module):
    """Inverted bottleneck with a depth-wise convolution and a skip connection."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        hidden = width * expansion
        self.conv1 = ConvNorm(width, hidden)
        self.conv2 = ConvNorm(hidden, hidden, kernel=3, groups=hidden)
        self.conv3 = ConvNorm(hidden, width)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to the same, channels last."""
        if images.device.type != "cpu" or needs_graph(self, images):
            return self._rows(images, 0, images.shape[2])
        output = torch.empty_like(images)
        step = max(1, STRIP // (self.conv1.conv.out_channels * images.shape[3]))
        for image, result in zip(torch.split(images, 1), torch.split(output, 1), strict=True):
            for start in range(0, images.shape[2], step):
                end = min(start + step, images.shape[2])
                result[:, :, start:end] = self._rows(image, start, end)
        return output

    def _rows(self, images: Tensor, start: int, end: int) -> Tensor:
        """Some rows of the output, (B, C, end - start, W); one row more on either side goes in."""
        first, last = max(start - 1, 0), min(end + 1, images.shape[2])
        hidden = self.conv2(self.conv1(images[:, :, first:last], with_gelu=True))
        hidden = gelu(hidden[:, :, start - first : end - first])
        return gelu(images[:, :, start:end] + cast(Tensor, self.conv3(hidden)))


class PatchMerging(nn.Module):
    """Change of width, and of resolution where the stride is 2, between two stages."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, kernel=3, stride=stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride)."""
        return cast(Tensor, self.conv3(self.conv2(self.conv1(images, with_gelu=True), with_gelu=True)))


class TinyViTBlock(nn.Module):
    """Window attention, depth-wise convolution and MLP, the first and the last with skip connections."""

    def __init__(self, width: int, heads: int, window: int, expansion: int) -> None:
        super().__init__()
        self.window = window
        self.layer_norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window)
        self.local_conv = ConvNorm(width, width, kernel=3, groups=width)
        self.layer_norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, width * expansion)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        tokens: Tensor = images.permute(0, 2, 3, 1)
        # Windows are padded with zeros before the layer norm, of which its bias is left.
        update = cast(Tensor, self.attn(self.layer_norm1(tokens), self.layer_norm1.bias))
        plain = not torch.is_grad_enabled()
        tokens = added(update, tokens) if plain else tokens + update
        tokens = cast(Tensor, self.local_conv(tokens.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        if plain:
            return transform_(tokens, self.layer_norm2, self.mlp).permute(0, 3, 1, 2)
        tokens = tokens + cast(Tensor, self.mlp(self.layer_norm2(tokens)))
        return tokens.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Blocks of one width, then the change to the next stage's width."""

    def __init__(self, blocks: list[nn.Module], merging: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = merging


class TinyViT(nn.Module):
    """Image encoder: (B, 3, H, W) to an image embedding (B, 256, H / stride, W / stride)."""

    def __init__(self, config: TinyViTConfig) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.keeps_early = False
        """Whether the first stage's blocks' output goes on beside what is made of it (see `FineFeatures`)."""
        self.early_steps = config.depths[0]
        widths = config.widths
        # MobileSAM embeds patches with 3 x 3 convolutions, LiteMedSAM, which must not shrink, with 1 x 1 ones.
        first, second = config.patch_strides
        kernel = 1 if config.patch_strides == (1, 1) else 3
        self.patch_embed = nn.Sequential(
            ConvNorm(3, widths[0] // 2, kernel, first), GELU(), ConvNorm(widths[0] // 2, widths[0], kernel, second)
        )
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, config.depths, strict=True)):
            blocks: list[nn.Module] = [
                TinyViTBlock(width, config.heads[i], config.windows[i], config.expansion)
                if i
                else MBConv(width, config.expansion)
                for _ in range(depth)
            ]
            merging = PatchMerging(width, widths[i + 1], config.strides[i]) if i < 3 else None
            self.stages.append(Stage(blocks, merging))
        self.neck = nn.Sequential(
            nn.Conv2d(widths[-1], config.output_channels, 1, bias=False),
            SamLayerNorm(config.output_channels, data_format="channels_first"),
            nn.Conv2d(config.output_channels, config.output_channels, 3, padding=1, bias=False),
            SamLayerNorm(config.output_channels, data_format="channels_first"),
        )

    def forward(self, pixel_values: Tensor, **_: object) -> BaseModelOutput:
        """Normalised images (B, 3, H, W), sides multiples of the stride, to (B, 256, H / stride, W / stride)."""
        embedding = self.suffix(self.prefix(pixel_values, 0), 0)[0]
        return BaseModelOutput(last_hidden_state=embedding)

    @property
    def steps(self) -> list[nn.Module]:
        """Blocks of all stages, and the changes between the stages, in their order."""
        stages = [cast(Stage, stage) for stage in self.stages]
        steps = [step for stage in stages for step in (*stage.blocks, stage.downsample)]
        return [step for step in steps if step is not None]

    def prefix(self, images: Tensor, count: int) -> tuple[Tensor, ...]:
        """Feature map after the first steps, (B, C, h, w), behind the early one if that is kept and was passed."""
        # Channels last, so that a 1 x 1 convolution is a matrix product and attention needs no copies.
        hidden = self.patch_embed(images.contiguous(memory_format=torch.channels_last))
        return self._run((hidden,), 0, count)

    def suffix(self, state: tuple[Tensor, ...], count: int) -> tuple[Tensor, ...]:
        """The image embedding, and the early map if that is kept, from what `prefix` gave."""
        hidden = state[-1].contiguous(memory_format=torch.channels_last)
        *early, hidden = self._run((*state[:-1], hidden), count, len(self.steps))
        return (self.neck(hidden), *early)

    def prefix_shapes(self, side: int, count: int) -> list[tuple[int, int, int]]:
        """Shapes of what `prefix` gives of one square image of that side."""
        first, last = (cast(ConvNorm, self.patch_embed[i]).conv for i in (0, 2))
        width, side = last.out_channels, side // (first.stride[0] * last.stride[0])
        early: list[tuple[int, int, int]] = []
        for i, step in enumerate(self.steps[:count]):
            if self.keeps_early and i == self.early_steps:
                early.append((width, side, side))
            if isinstance(step, PatchMerging):
                width, side = step.conv2.conv.out_channels, side // step.conv2.conv.stride[0]
        return [*early, (width, side, side)]

    def early_shape(self, side: int) -> tuple[int, int, int]:
        """Shape (C, h, w) of the early map of one square image of that side."""
        return self.prefix_shapes(side, self.early_steps)[-1]

    def _run(self, state: tuple[Tensor, ...], first: int, last: int) -> tuple[Tensor, ...]:
        """Go on from the state before a step to that before a later one."""
        kept = self.early_steps if self.keeps_early else None
        return run_between(self.steps, state, first, last, kept, self.gradient_checkpointing)

"""A class-aware SAM written in plain tensor operations, for exporters that trace a network for any batch and size.

What predicts fastest on a CPU is no such network: it computes strip by strip in buffers, sorts windows by their shape,
and calls torch's operators by private names. A tracer would keep the strips of the example, the values in the buffers,
or fail. So whatever of the network does that is replaced by a class of the same parameters with a plain forward pass.
"""

from __future__ import annotations

import copy
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samtailor.attend import attend
from samtailor.models.attention import RelativeAttention, max_pool
from samtailor.models.linear import Linear
from samtailor.models.mlp import MLP
from samtailor.models.operators import GELU
from samtailor.models.sam import VitBlock, VitEncoder, interpolate_positions
from samtailor.models.sam2 import HieraBlock
from samtailor.models.tiny_vit import ConvNorm, MBConv, TinyViTBlock
from samtailor.models.window_attention import WindowAttention
from samtailor.models.windows import join_windows, split_windows

Network = TypeVar("Network", bound=nn.Module)


def plain(network: Network) -> Network:
    """Copy of a network that computes the same in plain tensor operations, in evaluation mode, on the CPU.

    LoRA's updates must be merged: peft's layers are none of ours.
    """
    copied = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    for module in copied.modules():
        if type(module) in _PLAIN:
            module.__class__ = _PLAIN[type(module)]
    return copied


class PlainGELU(GELU):
    """GELU in memory of its own."""

    def forward(self, values: Tensor) -> Tensor:
        """(...) to the same."""
        return F.gelu(values)


class PlainLinear(Linear):
    """A linear layer of torch."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., C_in) to (..., C_out)."""
        return F.linear(tokens, self.weight, self.bias)


class PlainMLP(MLP):
    """Two linear layers with GELU between them, all tokens at once."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., C) to the same."""
        return cast(Tensor, self.lin2(F.gelu(self.lin1(tokens))))


class PlainConvNorm(ConvNorm):
    """One convolution."""

    def forward(self, images: Tensor, with_gelu: bool = False) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride), and GELU if asked for."""
        scale, shift = self.norm.scale_and_shift()
        weight = self.conv.weight * scale[:, None, None, None]
        output = F.conv2d(images, weight, shift, self.conv.stride, self.conv.padding, groups=self.conv.groups)
        return F.gelu(output) if with_gelu else output


class PlainMBConv(MBConv):
    """An inverted bottleneck, all rows at once."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        hidden = self.conv2(self.conv1(images, with_gelu=True), with_gelu=True)
        return F.gelu(images + cast(Tensor, self.conv3(hidden)))


class PlainTinyViTBlock(TinyViTBlock):
    """A block of a TinyViT without anything in place."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        tokens = images.permute(0, 2, 3, 1)
        tokens = tokens + self.attn(self.layer_norm1(tokens), self.layer_norm1.bias)
        tokens = cast(Tensor, self.local_conv(tokens.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        return (tokens + cast(Tensor, self.mlp(self.layer_norm2(tokens)))).permute(0, 3, 1, 2)


class PlainVitBlock(VitBlock):
    """A block of SAM's ViT, all windows at once."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, C) to the same."""
        tokens = tokens + cast(Tensor, self.attn(self.layer_norm1(tokens)))
        return tokens + cast(Tensor, self.mlp(self.layer_norm2(tokens)))


class PlainVitEncoder(VitEncoder):
    """SAM's ViT without a way of its own for images of the pretraining's size."""

    def _positions(self, height: int, width: int) -> Tensor:
        """Position embeddings of a grid, (1, h, w, C)."""
        return interpolate_positions(self.pos_embed, height, width)


class PlainHieraBlock(HieraBlock):
    """A block of Hiera without anything in place."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, C_in) to (B, h, w, C_out), or to half the sides in the first block of a stage."""
        normed = cast(Tensor, self.layer_norm1(tokens))
        if self.pool:
            tokens = max_pool(self.proj(normed), self.pool)
        attended = cast(Tensor, self.attn(split_windows(normed, self.window) if self.window else normed))
        tokens = tokens + (join_windows(attended, *tokens.shape[1:3]) if self.window else attended)
        return tokens + cast(Tensor, self.mlp(self.layer_norm2(tokens)))


class PlainWindowAttention(WindowAttention):
    """Attention inside windows that are padded as they are defined to be."""

    def forward(self, tokens: Tensor, padding: Tensor) -> Tensor:
        """(B, H, W, C) to the same; `padding` (C,) stands where windows reach over the far sides of the grid."""
        # Zeros are padded: the padding is taken off before and put on again behind.
        windows = split_windows(tokens - padding, self.window) + padding
        query, key, value = (self.split(proj(windows)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        attended = attend(query, key, value, self.attention_biases[:, self.bias_index][None])
        output = cast(Tensor, self.out_proj(attended.transpose(1, 2).reshape(windows.shape)))
        return join_windows(output, *tokens.shape[1:3])


class PlainRelativeAttention(RelativeAttention):
    """Attention with decomposed relative positions, the bias of all pairs of tokens at once."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, C) to the same; windows that reach over the grid's end see zero tokens there."""
        areas = split_windows(tokens, self.window) if self.window else tokens
        count, height, width, _ = areas.shape
        query, key, value = (self.split(proj(areas)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        grid = query.reshape(count, self.heads, height, width, query.shape[-1])
        vertical = grid @ _of_pairs(self.rel_pos_h, height).transpose(1, 2)
        horizontal = (grid.transpose(2, 3) @ _of_pairs(self.rel_pos_w, width).transpose(1, 2)).transpose(2, 3)
        bias = (vertical[..., None] + horizontal[..., None, :]).flatten(4).flatten(2, 3)
        attended = attend(query, key, value, bias).transpose(1, 2).reshape(areas.shape)
        output = cast(Tensor, self.out_proj(attended))
        return join_windows(output, *tokens.shape[1:3]) if self.window else output


def _of_pairs(embeddings: Tensor, length: int) -> Tensor:
    """Embedding of the distance of every query (first axis) and key on a side of n tokens, (n, n, d)."""
    resized = F.interpolate(embeddings.T[None], 2 * length - 1, mode="linear")[0].T
    place = torch.arange(length)
    return resized[place[:, None] - place + length - 1]


_PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    GELU: PlainGELU,
    Linear: PlainLinear,
    MLP: PlainMLP,
    ConvNorm: PlainConvNorm,
    MBConv: PlainMBConv,
    TinyViTBlock: PlainTinyViTBlock,
    VitBlock: PlainVitBlock,
    VitEncoder: PlainVitEncoder,
    HieraBlock: PlainHieraBlock,
    WindowAttention: PlainWindowAttention,
    RelativeAttention: PlainRelativeAttention,
}

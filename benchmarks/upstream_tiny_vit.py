"""TinyViT in the operations of its authors' published code, stated anew from the paper's description: the peer.

Batch normalisation is a layer of its own, images are (B, C, H, W) and tokens (B, L, C), queries, keys and values come
from one fused projection, windows are padded, and attention holds the weights of all pairs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samtailor.models.tiny_vit import ConvNorm, MBConv, PatchMerging, TinyViT, TinyViTBlock


def _conv_norm(ours: nn.Module) -> nn.Sequential:
    assert isinstance(ours, ConvNorm)
    norm = nn.BatchNorm2d(ours.conv.out_channels, ours.norm.eps)
    norm.load_state_dict(ours.norm.state_dict())
    return nn.Sequential(ours.conv, norm)


class _Bottleneck(nn.Module):
    """MBConv, or patch merging, which has neither skip connection nor last activation."""

    def __init__(self, ours: MBConv | PatchMerging) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv_norm(conv) for conv in (ours.conv1, ours.conv2, ours.conv3))
        self.skip = isinstance(ours, MBConv)

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.convs[2](F.gelu(self.convs[1](F.gelu(self.convs[0](images)))))
        return F.gelu(images + hidden) if self.skip else hidden


class _Attention(nn.Module):
    def __init__(self, ours: TinyViTBlock) -> None:
        super().__init__()
        attention = ours.attn
        self.heads, width = attention.heads, attention.q_proj.in_features
        self.norm = ours.layer_norm1
        self.qkv = nn.Linear(width, 3 * width)
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        with torch.no_grad():
            # Head by head: query, key, value.
            weights = torch.stack([p.weight.view(self.heads, -1, width) for p in projections], dim=1)
            self.qkv.weight.copy_(weights.reshape(3 * width, width))
            self.qkv.bias.copy_(torch.stack([p.bias.view(self.heads, -1) for p in projections], dim=1).flatten())
        self.proj = attention.out_proj
        self.biases, self.index = attention.attention_biases, attention.bias_index

    def forward(self, tokens: Tensor) -> Tensor:
        batch, length, width = tokens.shape
        heads = self.qkv(self.norm(tokens)).view(batch, length, self.heads, -1)
        query, key, value = (x.permute(0, 2, 1, 3) for x in heads.chunk(3, dim=3))
        pairs = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5 + self.biases[:, self.index]
        attended = (pairs.softmax(dim=-1) @ value).transpose(1, 2).reshape(batch, length, width)
        output: Tensor = self.proj(attended)
        return output


class _Block(nn.Module):
    def __init__(self, ours: TinyViTBlock) -> None:
        super().__init__()
        self.window = ours.window
        self.attn = _Attention(ours)
        self.local_conv = _conv_norm(ours.local_conv)
        self.norm, self.lin1, self.lin2 = ours.layer_norm2, ours.mlp.lin1, ours.mlp.lin2

    def forward(self, images: Tensor) -> Tensor:
        batch, width, rows, columns = images.shape
        tokens = images.flatten(2).transpose(1, 2)
        tokens = tokens + self._attend(tokens.view(batch, rows, columns, width)).reshape(batch, -1, width)
        tokens = self.local_conv(tokens.transpose(1, 2).reshape(images.shape)).flatten(2).transpose(1, 2)
        tokens = tokens + self.lin2(F.gelu(self.lin1(self.norm(tokens))))
        return tokens.transpose(1, 2).reshape(images.shape)

    def _attend(self, grid: Tensor) -> Tensor:
        (batch, rows, columns, width), side = grid.shape, self.window
        grid = F.pad(grid, (0, 0, 0, -columns % side, 0, -rows % side))
        down, across = grid.shape[1] // side, grid.shape[2] // side
        windows = grid.view(batch, down, side, across, side, width).transpose(2, 3).reshape(-1, side * side, width)
        windows = self.attn(windows).view(batch, down, across, side, side, width).transpose(2, 3)
        return windows.reshape(batch, down * side, across * side, width)[:, :rows, :columns]


class UpstreamTinyViT(nn.Module):
    """(B, 3, H, W) to the image embedding, (B, 256, H / stride, W / stride), with the weights of one of ours."""

    def __init__(self, ours: TinyViT) -> None:
        """Take over weights; all but the fused projections and the norms' are shared."""
        super().__init__()
        self.patch_embed = nn.Sequential(_conv_norm(ours.patch_embed[0]), nn.GELU(), _conv_norm(ours.patch_embed[2]))
        layers: list[nn.Module] = []
        for stage in ours.stages:
            for block in stage.blocks:
                layers.append(_Block(block) if isinstance(block, TinyViTBlock) else _Bottleneck(block))
            if stage.downsample is not None:
                layers.append(_Bottleneck(stage.downsample))
        self.layers = nn.Sequential(*layers)
        self.neck = ours.neck
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 256, H / stride, W / stride)."""
        output: Tensor = self.neck(self.layers(self.patch_embed(images)))
        return output

"""SAM 2 and 2.1 for images, with a Hiera image encoder, at any image size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Sam2Config, Sam2Model
from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig
from transformers.models.sam2.modeling_sam2 import Sam2FeedForward, Sam2HieraDetModelOutput, Sam2PatchEmbeddings

from samtailor.models.attention import PoolingAttention, max_pool
from samtailor.models.blocks import positioned, run_block, transform_
from samtailor.models.sam import AnySize, decoder_config
from samtailor.models.windows import join_windows, split_windows

State = TypeVar("State")

FEATURE_STRIDES = (4, 8, 16)
"""Pixels per cell of the feature maps that the mask decoder takes, the image embedding last."""


@dataclass(frozen=True)
class HieraSize:
    """Size of a Hiera image encoder; width and heads double from stage to stage.

    Attributes:
        width: Width of the tokens of the first stage.
        heads: Attention heads of the first stage.
        depths: Blocks of each stage.
        global_blocks: Blocks whose attention spans the whole image; the others attend inside windows.
        windows: Window side of each stage, in tokens.
        background: Side of the position embedding that is stretched over the image.
        image_size: Image side of the pretraining, in pixels.
        output_channels: Channels of the image embedding.
    """

    width: int
    heads: int
    depths: tuple[int, int, int, int]
    global_blocks: tuple[int, ...]
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    background: int = 7
    image_size: int = 1024
    output_channels: int = 256

    @property
    def widths(self) -> list[int]:
        """Width of each stage."""
        return [self.width * 2**i for i in range(4)]


class HieraBlock(nn.Module):
    """Attention and MLP, each with a skip connection; the first block of a stage doubles width and halves sides."""

    def __init__(self, config: Sam2HieraDetConfig, stage: int, first: bool, is_global: bool) -> None:
        super().__init__()
        before = stage - 1 if first and stage else stage
        inputs, outputs = config.embed_dim_per_stage[before], config.embed_dim_per_stage[stage]
        self.window = 0 if is_global else config.window_size_per_stage[before]
        self.pool = 2 if before != stage else None
        self.layer_norm1 = nn.LayerNorm(inputs, eps=config.layer_norm_eps)
        self.attn = PoolingAttention(inputs, outputs, config.num_attention_heads_per_stage[stage], self.pool)
        self.layer_norm2 = nn.LayerNorm(outputs, eps=config.layer_norm_eps)
        hidden = int(outputs * config.mlp_ratio)
        self.mlp = Sam2FeedForward(outputs, hidden, outputs, num_layers=2, activation=config.hidden_act)
        if inputs != outputs:
            self.proj = nn.Linear(inputs, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, C_in) to (B, h, w, C_out), or to half the sides in the first block of a stage."""
        normed = self.layer_norm1(tokens)
        if self.pool:
            tokens = max_pool(self.proj(normed), self.pool)
        attended = self.attn(split_windows(normed, self.window) if self.window else normed)
        tokens = tokens + (join_windows(attended, *tokens.shape[1:3]) if self.window else attended)
        if not torch.is_grad_enabled():
            return transform_(tokens, self.layer_norm2, self.mlp)
        return cast(Tensor, tokens + self.mlp(self.layer_norm2(tokens)))


class Hiera(nn.Module):
    """Hiera, the trunk of SAM 2's image encoder, with transformers' names."""

    def __init__(self, config: Sam2HieraDetConfig) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.patch_embed = Sam2PatchEmbeddings(config)
        window = config.window_size_per_stage[0]
        background = config.window_positional_embedding_background_size
        self.pos_embed = nn.Parameter(torch.zeros(1, config.hidden_size, *background))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, config.hidden_size, window, window))
        self.stage_ends = [end - 1 for end in accumulate(config.blocks_per_stage)]
        places = [(stage, i == 0) for stage, depth in enumerate(config.blocks_per_stage) for i in range(depth)]
        whole = config.global_attention_blocks
        self.blocks = nn.ModuleList(HieraBlock(config, *place, i in whole) for i, place in enumerate(places))

    def forward(self, pixel_values: Tensor, **_: object) -> Sam2HieraDetModelOutput:
        """Images (B, 3, H, W) to the tokens of the stages, (B, H / s, W / s, C) for strides s of 4, 8, 16 and 32."""
        stages = self.suffix(self.prefix(pixel_values, 0), 0)
        return Sam2HieraDetModelOutput(last_hidden_state=stages[-1], intermediate_hidden_states=stages)

    def prefix(self, images: Tensor, count: int) -> tuple[Tensor, ...]:
        """Tokens of every stage that the first blocks finish, then the last block's own if it finishes none.

        Without a block, the tokens of the patches.
        """
        tokens = self.patch_embed(images)
        tokens = positioned(tokens, self._positions(tokens.shape[1], tokens.shape[2]))
        return self._run((tokens,), 0, count)

    def suffix(self, state: tuple[Tensor, ...], count: int) -> tuple[Tensor, ...]:
        """The tokens of the four stages, from what `prefix` gave."""
        return self._run(state, count, len(self.blocks))

    def prefix_shapes(self, side: int, count: int) -> list[tuple[int, int, int]]:
        """Shapes of what `prefix` gives of one square image of that side."""
        side, width = side // FEATURE_STRIDES[0], self.pos_embed.shape[1]
        shapes = [(side, side, width)]
        for i in range(count):
            block = self.blocks[i]
            assert isinstance(block, HieraBlock)
            side, width = side // (block.pool or 1), block.layer_norm2.normalized_shape[0]
            shapes = [*self._finished(shapes, i), (side, side, width)]
        return shapes

    def _run(self, state: tuple[Tensor, ...], first: int, last: int) -> tuple[Tensor, ...]:
        """Go on from the state before a block to that before a later one."""
        for i in range(first, last):
            tokens = run_block(self.blocks[i], state[-1], self.gradient_checkpointing)
            state = (*self._finished(state, i), tokens)
        return state

    def _finished(self, state: Sequence[State], block: int) -> Sequence[State]:
        """What a block leaves of the state before it: its input is kept where that is the end of a stage."""
        return state if block - 1 in self.stage_ends else state[:-1]

    def _positions(self, height: int, width: int) -> Tensor:
        """Stretched background plus repeated window embedding, (1, h, w, C) (arXiv 2311.05613)."""
        window = self.pos_embed_window
        background = F.interpolate(self.pos_embed, (height, width), mode="bicubic")
        side = window.shape[-1]
        return (background + window.tile(1, 1, height // side, width // side)).permute(0, 2, 3, 1)


class HieraSam(AnySize, Sam2Model):  # type: ignore[misc]
    """transformers' `Sam2Model` at any image size, attention projections as layers of their own."""

    def __init__(self, config: Sam2Config) -> None:
        # The trunk that Sam2Model builds is replaced at once: one block per stage keeps that cheap.
        trunk = config.vision_config.backbone_config
        depths, trunk.blocks_per_stage = trunk.blocks_per_stage, [1, 1, 1, 1]
        super().__init__(config)
        trunk.blocks_per_stage = depths
        self.vision_encoder.backbone = Hiera(trunk)

    def set_image_size(self, side: int) -> None:
        """Set the image side, in pixels, that the coordinates of prompts refer to; `forward` does this by itself."""
        super().set_image_size(side)
        self.prompt_encoder.mask_input_size = (side // 4, side // 4)
        self.backbone_feature_sizes = [[side // stride] * 2 for stride in FEATURE_STRIDES]

    @torch.no_grad()
    def get_image_embeddings(self, pixel_values: Tensor, **flags: Any) -> list[Tensor]:
        """Feature maps of images (B, 3, N, N) as `Sam2Model` gives them, the image embedding last."""
        self.set_image_size(pixel_values.shape[-1])
        maps: list[Tensor] = super().get_image_embeddings(pixel_values, **flags)
        return maps


def hiera_sam(size: HieraSize) -> HieraSam:
    """SAM 2 of a size, with random weights."""
    return HieraSam(sam2_config(size))


def sam2_config(size: HieraSize) -> Sam2Config:
    """Transformers' configuration of a SAM 2 of that size."""
    decoder = decoder_config(size.output_channels)
    del decoder["layer_norm_eps"]  # Sam2Model has it right, and no such setting
    return Sam2Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": size.width,
                "num_attention_heads": size.heads,
                "image_size": [size.image_size, size.image_size],
                "blocks_per_stage": list(size.depths),
                "embed_dim_per_stage": size.widths,
                "num_attention_heads_per_stage": [size.heads * 2**i for i in range(4)],
                "window_size_per_stage": list(size.windows),
                "global_attention_blocks": list(size.global_blocks),
                "window_positional_embedding_background_size": [size.background, size.background],
            },
            "backbone_channel_list": size.widths[::-1],
            "backbone_feature_sizes": [[size.image_size // stride] * 2 for stride in FEATURE_STRIDES],
            "fpn_hidden_size": size.output_channels,
        },
        prompt_encoder_config={"image_size": size.image_size, "hidden_size": size.output_channels},
        mask_decoder_config=decoder,
    )

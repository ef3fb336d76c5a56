"""SAM with a ViT image encoder, at any image size; SAM ViT-B, ViT-L, ViT-H and MedSAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, SamConfig, SamModel, SamVisionConfig
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.sam.modeling_sam import SamPatchEmbeddings, SamVisionNeck

from samtailor.models.attention import RelativeAttention
from samtailor.models.blocks import added, positioned, run_between, transform_
from samtailor.models.mlp import MLP

# Meta trained with LayerNorm's default; transformers' default of 1e-6 moves the logits by 1e-3 (design.md).
TWO_WAY_LAYER_NORM_EPS = 1e-5


class AnySize(PreTrainedModel):  # type: ignore[misc]
    """What makes a SAM of transformers take its image size from the image, not from its configuration."""

    @property
    def stride(self) -> int:
        """Pixels per cell of the image embedding."""
        return int(self.config.prompt_encoder_config.patch_size)

    def set_image_size(self, side: int) -> None:
        """Set the image side, in pixels, that the coordinates of prompts refer to; `forward` does this by itself."""
        self.prompt_encoder.input_image_size = side
        self.prompt_encoder.image_embedding_size = (side // self.stride, side // self.stride)

    def get_image_wide_positional_embeddings(self) -> Tensor:
        """Positional encoding of the image embedding's cells, (1, C, h, w)."""
        return grid_positions(self.shared_image_embedding, *self.prompt_encoder.image_embedding_size)

    def forward(self, pixel_values: Tensor | None = None, *, image_embeddings: Any = None, **prompts: Any) -> Any:
        """What transformers' network gives, for square images of any side that is a multiple of the stride.

        Args:
            pixel_values: Normalised images, (B, 3, N, N).
            image_embeddings: Image embeddings instead, (B, C, N / stride, N / stride); for SAM 2 a list of feature
                maps, the image embedding last.
            **prompts: Whatever else the network takes.
        """
        if pixel_values is not None:
            self.set_image_size(pixel_values.shape[-1])
        elif image_embeddings is not None:
            self.set_image_size(image_embeddings[-1].shape[-1] * self.stride)
        return super().forward(pixel_values, image_embeddings=image_embeddings, **prompts)


class AnySizeSam(AnySize, SamModel):  # type: ignore[misc]
    """transformers' `SamModel` that takes its image size from the image, not from its configuration."""


def grid_positions(encoding: nn.Module, height: int, width: int) -> Tensor:
    """Positional encoding of the centres of a grid's cells, (1, C, h, w), by SAM's random Fourier features."""
    like = encoding.positional_embedding
    assert isinstance(like, Tensor)
    y = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    x = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    grid = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=-1)
    return cast(Tensor, encoding(grid).permute(2, 0, 1)[None])


@dataclass(frozen=True)
class VitSize:
    """Size of a ViT image encoder.

    Attributes:
        width: Width of the tokens.
        depth: Blocks.
        heads: Attention heads.
        global_blocks: Blocks whose attention spans the whole image; the others attend inside windows.
        window: Window side in tokens.
        patch: Patch side in pixels.
        image_size: Image side of the pretraining, in pixels.
        output_channels: Channels of the image embedding.
    """

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    window: int = 14
    patch: int = 16
    image_size: int = 1024
    output_channels: int = 256


class VitBlock(nn.Module):
    """Attention, global or inside windows, and MLP, each with a skip connection."""

    def __init__(self, config: SamVisionConfig, window: int) -> None:
        super().__init__()
        self.window = window
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        grid = window or config.image_size // config.patch_size
        self.attn = RelativeAttention(config.hidden_size, config.num_attention_heads, grid, window)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = MLP(config.hidden_size, config.mlp_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, C) to the same."""
        if not torch.is_grad_enabled():
            return self._in_strips(tokens) if self.window else self._inferred(tokens)
        tokens = tokens + self.attn(self.layer_norm1(tokens))
        return cast(Tensor, tokens + self.mlp(self.layer_norm2(tokens)))

    def _in_strips(self, tokens: Tensor) -> Tensor:
        """The same without gradients, one row of windows after another: what lies in between fits into the cache."""
        output = torch.empty_like(tokens)
        for strip, result in zip(*(torch.split(x, self.window, dim=1) for x in (tokens, output)), strict=True):
            result.copy_(self._inferred(strip))
        return output

    def _inferred(self, tokens: Tensor) -> Tensor:
        """The same without gradients."""
        update: Tensor = self.attn(self.layer_norm1(tokens))
        return transform_(added(update, tokens), self.layer_norm2, self.mlp)


class VitEncoder(nn.Module):
    """SAM's ViT image encoder, with transformers' names: (B, 3, H, W) to an embedding (B, 256, H / 16, W / 16)."""

    def __init__(self, config: SamVisionConfig) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.keeps_early = False
        """Whether the tokens of the patches go on beside what is made of them (see `FineFeatures`)."""
        self.patch_embed = SamPatchEmbeddings(config)
        grid = config.image_size // config.patch_size
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, config.hidden_size))
        blocks, whole = range(config.num_hidden_layers), config.global_attn_indexes
        self.layers = nn.ModuleList(VitBlock(config, 0 if i in whole else config.window_size) for i in blocks)
        self.neck = SamVisionNeck(config)

    def forward(self, pixel_values: Tensor, **_: object) -> BaseModelOutput:
        """Normalised images (B, 3, H, W), sides multiples of the patch, to (B, 256, H / 16, W / 16)."""
        embedding = self.suffix(self.prefix(pixel_values, 0), 0)[0]
        return BaseModelOutput(last_hidden_state=embedding)

    @property
    def steps(self) -> list[nn.Module]:
        """Blocks in their order."""
        return list(self.layers)

    def prefix(self, images: Tensor, count: int) -> tuple[Tensor, ...]:
        """Tokens after the first blocks, (B, h, w, C), behind those of the patches if these are kept."""
        tokens = self.patch_embed.projection(images).permute(0, 2, 3, 1)
        tokens = positioned(tokens, self._positions(tokens.shape[1], tokens.shape[2]))
        return self._run((tokens,), 0, count)

    def suffix(self, state: tuple[Tensor, ...], count: int) -> tuple[Tensor, ...]:
        """The image embedding, and the patches' map (B, C, h, w) if that is kept, from what `prefix` gave."""
        *early, tokens = self._run(state, count, len(self.steps))
        return (self.neck(tokens), *(patches.permute(0, 3, 1, 2) for patches in early))

    def prefix_shapes(self, side: int, count: int) -> list[tuple[int, int, int]]:
        """Shapes of what `prefix` gives of one square image of that side."""
        cells = side // self.patch_embed.projection.stride[0]
        return [(cells, cells, self.pos_embed.shape[-1])] * (2 if self.keeps_early and count > 0 else 1)

    def early_shape(self, side: int) -> tuple[int, int, int]:
        """Shape (C, h, w) of the patches' map of one square image of that side."""
        cells, _, width = self.prefix_shapes(side, 0)[0]
        return width, cells, cells

    def _positions(self, height: int, width: int) -> Tensor:
        """Position embeddings of a grid, (1, h, w, C)."""
        return resize_positions(self.pos_embed, height, width)

    def _run(self, state: tuple[Tensor, ...], first: int, last: int) -> tuple[Tensor, ...]:
        """Go on from the state before a block to that before a later one."""
        kept = 0 if self.keeps_early else None
        return run_between(self.steps, state, first, last, kept, self.gradient_checkpointing)


def resize_positions(positions: Tensor, height: int, width: int) -> Tensor:
    """Position embeddings (1, h0, w0, C) for another grid, (1, h, w, C), bilinear as in SAMed (arXiv 2304.13785)."""
    if positions.shape[1:3] == (height, width):
        return positions
    return interpolate_positions(positions, height, width)


def interpolate_positions(positions: Tensor, height: int, width: int) -> Tensor:
    """What `resize_positions` gives, computed for every grid, also for the embeddings' own."""
    resized = F.interpolate(positions.permute(0, 3, 1, 2), (height, width), mode="bilinear", align_corners=False)
    return resized.permute(0, 2, 3, 1)


class VitSam(AnySizeSam):
    """SAM with a ViT image encoder whose attention projections are layers of their own."""

    def __init__(self, config: SamConfig) -> None:
        # The encoder that SamModel builds is replaced at once: no layers keep that cheap.
        depth, config.vision_config.num_hidden_layers = config.vision_config.num_hidden_layers, 0
        super().__init__(config)
        config.vision_config.num_hidden_layers = depth
        self.vision_encoder = VitEncoder(config.vision_config)


def vit_sam(size: VitSize) -> VitSam:
    """SAM of a size, with random weights."""
    return VitSam(sam_config(size))


def sam_config(size: VitSize) -> SamConfig:
    """Transformers' configuration of a SAM of that size."""
    sizes = {"image_size": size.image_size, "patch_size": size.patch}
    return SamConfig(
        vision_config={
            "hidden_size": size.width,
            "num_hidden_layers": size.depth,
            "num_attention_heads": size.heads,
            "global_attn_indexes": list(size.global_blocks),
            "window_size": size.window,
            "mlp_dim": 4 * size.width,
            "output_channels": size.output_channels,
            "num_pos_feats": size.output_channels // 2,
            **sizes,
        },
        prompt_encoder_config={"hidden_size": size.output_channels, **sizes},
        mask_decoder_config=decoder_config(size.output_channels),
    )


def decoder_config(width: int) -> dict[str, Any]:
    """Settings of a mask decoder; one thinner than SAM's 256 channels, for tests, is thinner everywhere."""
    settings: dict[str, Any] = {"layer_norm_eps": TWO_WAY_LAYER_NORM_EPS, "hidden_size": width}
    if width != 256:
        settings |= {"mlp_dim": 2 * width, "num_attention_heads": 2, "iou_head_hidden_dim": width}
    return settings

"""The mask decoder of SAM and SAM 2 for many prompts of one image, at a fraction of the plain decoder's work.

What the image alone decides is computed once. The image's tokens, which the plain decoder holds and projects for every
prompt, differ between prompts by few numbers: each image-to-token attention adds a combination of T (7 or 8) values per
head. So they are kept as `LowRankTokens` and every product with them is taken factor by factor. The scores come before
the masks: who drops a mask by its predicted IoU never pays for upscaling it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.sam.modeling_sam import SamMaskDecoder
from transformers.models.sam2.modeling_sam2 import Sam2MaskDecoder

from samtailor.attend import attend
from samtailor.models.low_rank_tokens import ImageTokens, LowRankTokens, output_projection, split_heads
from samtailor.models.operators import gelu_


@dataclass(frozen=True)
class Decoded:
    """What the transformer makes of some prompts; masks can be had of any of them.

    Attributes:
        iou: Predicted IoU of every mask token, (B, M), SAM's single mask first.
        mask_tokens: (B, M, C).
        image: The image's tokens after the transformer.
    """

    iou: Tensor
    mask_tokens: Tensor
    image: LowRankTokens


class SharedDecoder:
    """A mask decoder with one image in it."""

    def __init__(
        self, decoder: SamMaskDecoder | Sam2MaskDecoder, features: tuple[Tensor, ...], positions: Tensor, dense: Tensor
    ) -> None:
        """Compute what all prompts share.

        Of one image: features as `ClassAwareSam.encode` gives them, the positional encoding of the embedding's grid,
        (1, C, h, w), and the "no mask" embedding, (1, C, 1, 1).
        """
        self.decoder = decoder
        self.grid = (features[0].shape[2], features[0].shape[3])
        self.layers = list(decoder.transformer.layers)
        self.is_sam2 = isinstance(decoder, Sam2MaskDecoder)
        first = [decoder.obj_score_token.weight] if self.is_sam2 else []
        self.output_tokens = torch.cat([*first, decoder.iou_token.weight, decoder.mask_tokens.weight])
        self.iou_place = len(first)
        embedding = (features[0] + dense).flatten(2)[0]
        # The output projection of the first image-to-token attention adds the same bias to every cell.
        bias = output_projection(self.layers[0].cross_attn_image_to_token).bias
        self.image = ImageTokens(embedding + bias[:, None], positions.flatten(2)[0])
        attention = self.layers[0].cross_attn_token_to_image
        heads = attention.num_attention_heads
        placed = (embedding + self.image.positions).T
        self.first_keys = split_heads(attention.k_proj(placed)[None], heads).contiguous()
        self.first_values = split_heads(attention.v_proj(embedding.T)[None], heads).contiguous()
        projected = self.layers[0].cross_attn_image_to_token.q_proj(placed).T
        self.first_queries = projected.reshape(heads, -1, projected.shape[1])  # (H, d, N)
        self.finer = _by_cell(features[1], 4) if self.is_sam2 else None
        self.fine = _by_cell(features[2], 2) if self.is_sam2 else None

    def transform(self, sparse: Tensor) -> Decoded:
        """Run the two-way transformer on embedded points and boxes, (B, P, C)."""
        tokens = torch.cat([self.output_tokens.expand(len(sparse), -1, -1), sparse], dim=1)
        queries = tokens
        rows = self.first_keys.shape[1] * tokens.shape[1] + 1
        image = LowRankTokens(self.image, len(sparse), len(self.layers) * rows - 1)
        for i, layer in enumerate(self.layers):
            asked = queries if i == 0 else queries + tokens
            attended = _attention(layer.self_attn, asked, asked, queries)
            queries = layer.layer_norm1(attended if i == 0 else queries + attended)
            queries = layer.layer_norm2(queries + self._to_image(layer, i, queries + tokens, image))
            queries = layer.layer_norm3(queries + layer.mlp(queries))
            attention = layer.cross_attn_image_to_token
            heads = attention.num_attention_heads
            keys = split_heads(attention.k_proj(queries + tokens), heads) * attention.scaling
            scores = image.times_shared(keys, self.first_queries) if i == 0 else image.scores(keys, attention.q_proj)
            values = split_heads(attention.v_proj(queries), heads)
            output = output_projection(attention)
            image.add(scores.softmax(dim=2), values, output.weight, None if i == 0 else output.bias)
            image.normalise(layer.layer_norm4)
        transformer = self.decoder.transformer
        queries = queries + image.attended(transformer.final_attn_token_to_image, queries + tokens)
        queries = transformer.layer_norm_final_attn(queries)
        masks = queries[:, self.iou_place + 1 : len(self.output_tokens)]
        return Decoded(self.decoder.iou_prediction_head(queries[:, self.iou_place]), masks, image)

    def masks(self, decoded: Decoded, prompt: int, tokens: list[int]) -> Tensor:
        """Logits of some masks of one prompt of the batch, (len(tokens), 4h, 4w)."""
        height, width = self.grid
        decoder = self.decoder
        first, second = decoder.upscale_conv1, decoder.upscale_conv2
        # A transposed convolution of stride 2 and side 2 is a linear layer whose outputs are four pixels.
        upscaled = decoded.image.projected(prompt, _as_linear(first.weight), first.bias.repeat(4))
        upscaled = upscaled.view(len(upscaled), 4, -1)  # (N, 4, C / 4)
        if self.fine is not None:
            upscaled = upscaled + self.fine
        norm = decoder.upscale_layer_norm
        upscaled = gelu_(F.layer_norm(upscaled, upscaled.shape[-1:], norm.weight, norm.bias, norm.eps))
        upscaled = F.linear(upscaled.flatten(0, 1), _as_linear(second.weight), second.bias.repeat(4))
        upscaled = upscaled.view(-1, second.weight.shape[1])  # (16 N, C / 8)
        if self.finer is not None:
            upscaled = upscaled + self.finer
        networks = decoder.output_hypernetworks_mlps
        hyper = torch.stack([networks[token](decoded.mask_tokens[prompt, token]) for token in tokens])
        masks = hyper @ gelu_(upscaled).T
        cells = masks.view(-1, height, width, 2, 2, 2, 2)  # the two halvings' rows and columns
        return cells.permute(0, 1, 3, 5, 2, 4, 6).reshape(len(tokens), 4 * height, 4 * width)

    def _to_image(self, layer: Any, index: int, queries: Tensor, image: LowRankTokens) -> Tensor:
        """Tokens attend to the image; before the first update all prompts see the same keys and values."""
        attention = layer.cross_attn_token_to_image
        if index > 0:
            return image.attended(attention, queries)
        asked = split_heads(attention.q_proj(queries), attention.num_attention_heads)
        batch, heads, count, width = asked.shape
        rows = asked.transpose(0, 1).reshape(1, heads, batch * count, width)
        found = attend(rows, self.first_keys, self.first_values, scale=attention.scaling)
        joined = found.view(heads, batch, count, width).permute(1, 2, 0, 3).flatten(2)
        return cast(Tensor, output_projection(attention)(joined))


def _attention(attention: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention among few tokens, (B, T, C)."""
    projected = (attention.q_proj(query), attention.k_proj(key), attention.v_proj(value))
    q, k, v = (split_heads(tokens, attention.num_attention_heads) for tokens in projected)
    found = ((q * attention.scaling) @ k.transpose(2, 3)).softmax(dim=-1) @ v
    return cast(Tensor, output_projection(attention)(found.transpose(1, 2).flatten(2)))


def _as_linear(weight: Tensor) -> Tensor:
    """Weight (C_in, C_out, 2, 2) of a transposed convolution as that of a linear layer, (4 C_out, C_in)."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])


def _by_cell(feature: Tensor, factor: int) -> Tensor:
    """A map (1, C, f h, f w) as the upscaled tokens lie, halving by halving: (N, 4, C) for f = 2, (16 N, C) for 4."""
    _, channels, height, width = feature.shape
    if factor == 2:
        cells = feature.view(channels, height // 2, 2, width // 2, 2).permute(1, 3, 2, 4, 0)
        return cells.reshape(-1, 4, channels)
    cells = feature.view(channels, height // 4, 2, 2, width // 4, 2, 2).permute(1, 4, 2, 5, 3, 6, 0)
    return cells.reshape(-1, channels)

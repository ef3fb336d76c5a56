"""LiteMedSAM: a TinyViT image encoder under SAM's prompt encoder and mask decoder, 9.8 M parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor
from transformers import SamConfig, SamModel

from samtailor.models.tiny_vit import TinyViT, TinyViTConfig

# Meta trained with LayerNorm's default; transformers' default of 1e-6 moves the logits by 1e-3 (design.md).
TWO_WAY_LAYER_NORM_EPS = 1e-5

_RENAMES = (
    # Image encoder
    (r"^image_encoder\.patch_embed\.seq\.(\d)\.", r"vision_encoder.patch_embed.\1."),
    (r"^image_encoder\.layers\.", r"vision_encoder.stages."),
    (r"^image_encoder\.neck\.", r"vision_encoder.neck."),
    (r"\.attn\.norm\.", r".layer_norm1."),
    (r"\.mlp\.norm\.", r".layer_norm2."),
    (r"\.attn\.proj\.", r".attn.out_proj."),
    (r"\.mlp\.fc(\d)\.", r".mlp.lin\1."),
    (r"^(vision_encoder\..*)\.c\.weight$", r"\1.conv.weight"),
    (r"^(vision_encoder\..*)\.bn\.", r"\1.norm."),
    # Prompt encoder
    (
        r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$",
        r"shared_image_embedding.positional_embedding",
    ),
    (r"^prompt_encoder\.point_embeddings\.", r"prompt_encoder.point_embed."),
    (r"^prompt_encoder\.mask_downscaling\.0\.", r"prompt_encoder.mask_embed.conv1."),
    (r"^prompt_encoder\.mask_downscaling\.1\.", r"prompt_encoder.mask_embed.layer_norm1."),
    (r"^prompt_encoder\.mask_downscaling\.3\.", r"prompt_encoder.mask_embed.conv2."),
    (r"^prompt_encoder\.mask_downscaling\.4\.", r"prompt_encoder.mask_embed.layer_norm2."),
    (r"^prompt_encoder\.mask_downscaling\.6\.", r"prompt_encoder.mask_embed.conv3."),
    # Mask decoder
    (r"\.output_upscaling\.0\.", r".upscale_conv1."),
    (r"\.output_upscaling\.1\.", r".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", r".upscale_conv2."),
    (r"^(mask_decoder\.transformer\.layers\.\d)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"\.norm_final_attn\.", r".layer_norm_final_attn."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d|iou_prediction_head))\.layers\.0\.", r"\1.proj_in."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d|iou_prediction_head))\.layers\.1\.", r"\1.layers.0."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d|iou_prediction_head))\.layers\.2\.", r"\1.proj_out."),
)


class LiteMedSam(SamModel):  # type: ignore[misc]
    """transformers' `SamModel` with a TinyViT as image encoder; called as `SamModel` is."""

    def __init__(self, encoder: TinyViTConfig | None = None) -> None:
        # The ViT that SamModel builds is replaced at once: one thin layer keeps that cheap.
        config = SamConfig(
            vision_config={"image_size": 256, "patch_size": 4, "num_hidden_layers": 0, "hidden_size": 48},
            prompt_encoder_config={"image_size": 256, "patch_size": 4},
            mask_decoder_config={"layer_norm_eps": TWO_WAY_LAYER_NORM_EPS},
        )
        super().__init__(config)
        self.encoder_config = encoder or TinyViTConfig()
        self.vision_encoder = TinyViT(self.encoder_config)


def convert_published(state: Mapping[str, Tensor], heads: tuple[int, ...]) -> dict[str, Tensor]:
    """Rename the keys of the authors' file and split the fused attention projections.

    Args:
        state: State dict of the published checkpoint.
        heads: Attention heads of each stage of the encoder; the fused projection interleaves them: head by
            head its query, key and value.

    Returns:
        State dict of `LiteMedSam`.
    """
    converted: dict[str, Tensor] = {}
    for key, value in state.items():
        for pattern, replacement in _RENAMES:
            key = re.sub(pattern, replacement, key)
        match = re.match(r"^(vision_encoder\.stages\.(\d)\..*\.attn)\.qkv\.(weight|bias)$", key)
        if match is None:
            converted[key] = value
            continue
        prefix, stage, kind = match.groups()
        per_head = value.reshape(heads[int(stage)], 3, -1, *value.shape[1:])
        for i, name in enumerate("qkv"):
            converted[f"{prefix}.{name}_proj.{kind}"] = per_head[:, i].flatten(0, 1).contiguous()
    # The Fourier features are one tensor with two names in transformers.
    features = "shared_image_embedding.positional_embedding"
    if features in converted:
        converted["prompt_encoder.shared_embedding.positional_embedding"] = converted[features]
    return converted

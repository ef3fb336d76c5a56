"""From the key names of published weights, the authors' or transformers', to those of our networks.

Our names are transformers', but for the image encoder's attention, whose fused `qkv` is three layers here and whose
output projection is called `out_proj` everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from samtailor.models.sam2_video_keys import TRANSFORMERS_KEYS, VIDEO_KEYS

Renames = tuple[tuple[str, str], ...]

_MLP = r"(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head))\.layers"

# Prompt encoder and mask decoder, alike in all families.
_PROMPTS_AND_MASKS: Renames = (
    (r"^sam_(prompt_encoder|mask_decoder)\.", r"\1."),
    (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", "shared_image_embedding.positional_embedding"),
    (r"^prompt_encoder\.point_embeddings\.", "prompt_encoder.point_embed."),
    (r"^prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
    (r"^prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
    (r"^prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
    (r"^prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
    (r"^prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"^(mask_decoder\.transformer\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (rf"^{_MLP}\.0\.", r"\1.proj_in."),
    (rf"^{_MLP}\.1\.", r"\1.layers.0."),
    (rf"^{_MLP}\.2\.", r"\1.proj_out."),
)

VIT: Renames = (
    (r"^image_encoder\.", "vision_encoder."),
    (r"^vision_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"^vision_encoder\.blocks\.", "vision_encoder.layers."),
    (r"^(vision_encoder\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"^(vision_encoder\..*\.attn)\.proj\.", r"\1.out_proj."),
    (r"^vision_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"^vision_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"^vision_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"^vision_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
    *_PROMPTS_AND_MASKS,
)
"""SAM and MedSAM."""

TINY_VIT: Renames = (
    (r"^image_encoder\.patch_embed\.seq\.(\d)\.", r"vision_encoder.patch_embed.\1."),
    (r"^image_encoder\.layers\.", "vision_encoder.stages."),
    (r"^image_encoder\.", "vision_encoder."),
    (r"^(vision_encoder\..*)\.attn\.norm\.", r"\1.layer_norm1."),
    (r"^(vision_encoder\..*)\.mlp\.norm\.", r"\1.layer_norm2."),
    (r"^(vision_encoder\..*\.attn)\.proj\.", r"\1.out_proj."),
    (r"^(vision_encoder\..*\.mlp)\.fc(\d)\.", r"\1.lin\2."),
    (r"^(vision_encoder\..*)\.c\.weight$", r"\1.conv.weight"),
    (r"^(vision_encoder\..*)\.bn\.", r"\1.norm."),
    *_PROMPTS_AND_MASKS,
)
"""LiteMedSAM and MobileSAM."""

HIERA: Renames = (
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.convs\.(\d)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^vision_encoder\.backbone\.patch_embed\.proj\.", "vision_encoder.backbone.patch_embed.projection."),
    (r"^(vision_encoder\.backbone\.blocks\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"^(vision_encoder\.backbone\..*\.attn)\.proj\.", r"\1.out_proj."),
    (r"^no_mem_embed$", "no_memory_embedding"),
    *_PROMPTS_AND_MASKS,
    (r"^(mask_decoder\.transformer\..*)\.out_proj\.", r"\1.o_proj."),
    (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
    (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
)
"""SAM 2 and 2.1."""

TRANSFORMERS: Renames = ((r"^(vision_encoder\..*\.attn)\.proj\.", r"\1.out_proj."),)
"""All families, in transformers' names; what we saved ourselves stays as it is."""

_CLASSIFIER = re.compile(r"^image_encoder\.(norm_)?head\.(weight|bias)$")
"""TinyViT's pretraining has left it in MobileSAM's file; it belongs to no part of a SAM."""

_FEATURES = "shared_image_embedding.positional_embedding"
_SAME_FEATURES = "prompt_encoder.shared_embedding.positional_embedding"


def convert_vit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of `VitSam` from a SAM in the authors' or in transformers' names."""
    return _converted(state, VIT)


def convert_tiny_vit(state: Mapping[str, Tensor], heads: tuple[int, ...]) -> dict[str, Tensor]:
    """State of `TinySam` from the authors' names.

    The fused projection of a stage interleaves its heads: head by head their query, key, value.
    """
    used = {key: value for key, value in state.items() if not _CLASSIFIER.match(key)}
    return _converted(used, TINY_VIT, heads)


def convert_hiera(state: Mapping[str, Tensor], version: str) -> dict[str, Tensor]:
    """State of `HieraSam` from a SAM 2 in the authors' or in transformers' names, without the video memory.

    Either all keys of that version's video memory are there, or none; others stay, to be refused as left over.
    """
    known = (TRANSFORMERS_KEYS if _is_transformers(state) else VIDEO_KEYS)[version]
    found = known & state.keys()
    complete = found if found == known else frozenset()
    used = {key: value for key, value in state.items() if key not in complete}
    converted = _converted(used, HIERA)
    points = [f"prompt_encoder.point_embed.{i}.weight" for i in range(4)]
    if all(key in converted for key in points):
        converted["prompt_encoder.point_embed.weight"] = torch.cat([converted.pop(key) for key in points])
    return converted


def rename(state: Mapping[str, Tensor], renames: Renames) -> dict[str, Tensor]:
    """The same tensors under the names that come out of all renames, one after the other."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        for pattern, replacement in renames:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def _converted(state: Mapping[str, Tensor], authors: Renames, heads: tuple[int, ...] = ()) -> dict[str, Tensor]:
    """State under our names: the same name may mean different layers to the authors and to transformers."""
    converted = _split_projections(rename(state, TRANSFORMERS if _is_transformers(state) else authors), heads)
    # The Fourier features are one tensor with two names in transformers; files hold either or both.
    for one, other in ((_FEATURES, _SAME_FEATURES), (_SAME_FEATURES, _FEATURES)):
        if one in converted:
            converted.setdefault(other, converted[one])
    return converted


def _split_projections(state: Mapping[str, Tensor], heads: tuple[int, ...] = ()) -> dict[str, Tensor]:
    """Fused projections of the image encoder as three: by thirds, or head by head in stages whose heads are given."""
    split: dict[str, Tensor] = {}
    for key, value in state.items():
        match = re.match(r"^(vision_encoder\.(?:stages\.(\d)\.)?.*\.attn)\.qkv\.(weight|bias)$", key)
        if match is None:
            split[key] = value
            continue
        groups = heads[int(match[2])] if heads and match[2] else 1
        parts = value.reshape(groups, 3, -1, *value.shape[1:])
        for i, name in enumerate("qkv"):
            split[f"{match[1]}.{name}_proj.{match[3]}"] = parts[:, i].flatten(0, 1).contiguous()
    return split


def _is_transformers(state: Mapping[str, Tensor]) -> bool:
    return any(key.startswith("vision_encoder.") for key in state)

"""Keys of SAM 2's video memory, by name: an image model does not use them, and nothing else may be left over.

Sources: the released checkpoints of facebookresearch/sam2, and transformers' `Sam2VideoModel`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product


def _both(*layers: str) -> Iterator[str]:
    """Weight and bias of layers."""
    return (f"{layer}.{kind}" for layer, kind in product(layers, ("weight", "bias")))


def _attention(norm: str, output: str) -> Iterable[str]:
    """Memory attention: four layers of self attention, cross attention and MLP."""
    for layer in range(4):
        for attention, projection in product(("self_attn", "cross_attn_image"), ("q_proj", "k_proj", "v_proj", output)):
            yield f"memory_attention.layers.{layer}.{attention}.{projection}"
        for name in ("linear1", "linear2", f"{norm}1", f"{norm}2", f"{norm}3"):
            yield f"memory_attention.layers.{layer}.{name}"
    yield f"memory_attention.{norm}"


_AUTHORS = frozenset(
    {
        "maskmem_tpos_enc",
        "no_mem_pos_enc",
        "no_obj_ptr",
        *(f"memory_encoder.fuser.layers.{i}.gamma" for i in range(2)),
        *_both(
            "mask_downsample",
            *_attention("norm", "out_proj"),
            *(f"memory_encoder.mask_downsampler.encoder.{i}" for i in (0, 1, 3, 4, 6, 7, 9, 10, 12)),
            "memory_encoder.pix_feat_proj",
            *(
                f"memory_encoder.fuser.layers.{i}.{layer}"
                for i, layer in product(range(2), ("dwconv", "norm", "pwconv1", "pwconv2"))
            ),
            "memory_encoder.out_proj",
            *(f"obj_ptr_proj.layers.{i}" for i in range(3)),
        ),
    }
)

_TRANSFORMERS = frozenset(
    {
        "memory_temporal_positional_encoding",
        "no_memory_positional_encoding",
        "no_object_pointer",
        *(f"memory_encoder.memory_fuser.layers.{i}.scale" for i in range(2)),
        *_both(
            "mask_downsample",
            *_attention("layer_norm", "o_proj"),
            *(
                f"memory_encoder.mask_downsampler.layers.{i}.{layer}"
                for i, layer in product(range(4), ("conv", "layer_norm"))
            ),
            "memory_encoder.mask_downsampler.final_conv",
            "memory_encoder.feature_projection",
            *(
                f"memory_encoder.memory_fuser.layers.{i}.{layer}"
                for i, layer in product(
                    range(2), ("depthwise_conv", "layer_norm", "pointwise_conv1", "pointwise_conv2")
                )
            ),
            "memory_encoder.projection",
            "object_pointer_proj.proj_in",
            "object_pointer_proj.layers.0",
            "object_pointer_proj.proj_out",
        ),
    }
)

VIDEO_KEYS = {
    "2": _AUTHORS,
    "2.1": _AUTHORS | {"no_obj_embed_spatial", *_both("obj_ptr_tpos_proj")},
}
"""Keys in the authors' files, by version of SAM 2."""

TRANSFORMERS_KEYS = {
    "2": _TRANSFORMERS,
    "2.1": _TRANSFORMERS
    | {"occlusion_spatial_embedding_parameter", *_both("temporal_positional_encoding_projection_layer")},
}
"""Keys in transformers' files, by version of SAM 2."""

"""Keys of SAM 2's video memory, by name: an image model does not use them, and nothing else may be left over.

Sources: the released checkpoints of facebookresearch/sam2, and transformers' `Sam2VideoModel`.
"""

from __future__ import annotations

import re
from itertools import product


def _expanded(*patterns: str) -> frozenset[str]:
    """All names that patterns stand for; {a,b} is a or b."""
    parts = ([part.split(",") for part in re.split("[{}]", pattern)] for pattern in patterns)
    return frozenset("".join(chosen) for alternatives in parts for chosen in product(*alternatives))


_AUTHORS = _expanded(
    "{maskmem_tpos_enc,no_mem_pos_enc,no_obj_ptr}",
    "mask_downsample.{weight,bias}",
    "memory_attention.layers.{0,1,2,3}.{self_attn,cross_attn_image}.{q,k,v,out}_proj.{weight,bias}",
    "memory_attention.layers.{0,1,2,3}.{linear1,linear2,norm1,norm2,norm3}.{weight,bias}",
    "memory_attention.norm.{weight,bias}",
    "memory_encoder.mask_downsampler.encoder.{0,1,3,4,6,7,9,10,12}.{weight,bias}",
    "memory_encoder.fuser.layers.{0,1}.gamma",
    "memory_encoder.fuser.layers.{0,1}.{dwconv,norm,pwconv1,pwconv2}.{weight,bias}",
    "memory_encoder.{pix_feat_proj,out_proj}.{weight,bias}",
    "obj_ptr_proj.layers.{0,1,2}.{weight,bias}",
)

_TRANSFORMERS = _expanded(
    "{memory_temporal_positional_encoding,no_memory_positional_encoding,no_object_pointer}",
    "mask_downsample.{weight,bias}",
    "memory_attention.layers.{0,1,2,3}.{self_attn,cross_attn_image}.{q,k,v,o}_proj.{weight,bias}",
    "memory_attention.layers.{0,1,2,3}.{linear1,linear2,layer_norm1,layer_norm2,layer_norm3}.{weight,bias}",
    "memory_attention.layer_norm.{weight,bias}",
    "memory_encoder.mask_downsampler.layers.{0,1,2,3}.{conv,layer_norm}.{weight,bias}",
    "memory_encoder.mask_downsampler.final_conv.{weight,bias}",
    "memory_encoder.memory_fuser.layers.{0,1}.scale",
    "memory_encoder.memory_fuser.layers.{0,1}.{depthwise_conv,layer_norm,pointwise_conv1,pointwise_conv2}.{weight,bias}",
    "memory_encoder.{feature_projection,projection}.{weight,bias}",
    "object_pointer_proj.{proj_in,layers.0,proj_out}.{weight,bias}",
)

VIDEO_KEYS = {"2": _AUTHORS, "2.1": _AUTHORS | _expanded("no_obj_embed_spatial", "obj_ptr_tpos_proj.{weight,bias}")}
"""Keys in the authors' files, by version of SAM 2."""

TRANSFORMERS_KEYS = {
    "2": _TRANSFORMERS,
    "2.1": _TRANSFORMERS
    | _expanded("occlusion_spatial_embedding_parameter", "temporal_positional_encoding_projection_layer.{weight,bias}"),
}
"""Keys in transformers' files, by version of SAM 2."""

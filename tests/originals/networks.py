"""The tiny networks whose numbers are compared with the originals', in our own terms."""

from __future__ import annotations

from samtailor.models.sam import AnySizeSam, VitSize, vit_sam
from samtailor.models.sam2 import HieraSam, HieraSize, sam2_config
from samtailor.models.tiny_sam import tiny_sam
from samtailor.models.tiny_vit import TinyViTConfig

SAM = VitSize(32, 4, 2, (1, 3), window=3, image_size=64, output_channels=32)
MOBILE_SAM = TinyViTConfig((8, 16, 16, 16), (1, 1, 2, 1), (1, 2, 2, 2), (2, 2, 3, 2), (2, 2), output_channels=32)
LITE_MEDSAM = TinyViTConfig((8, 16, 16, 16), (1, 1, 2, 1), (1, 2, 2, 2), (2, 2, 3, 2), output_channels=32)
SAM2 = HieraSize(8, 1, (1, 2, 3, 1), (4,), (4, 2, 4, 2), background=3, image_size=64, output_channels=32)

SIDES = {"sam": (64, 96), "mobile-sam": (64, 96), "lite-medsam": (16, 24), "sam2": (64, 96)}
"""Image sides of the comparisons: that of the pretraining, and another one."""


def build(name: str) -> AnySizeSam | HieraSam:
    """One of the tiny networks."""
    match name:
        case "sam":
            return vit_sam(SAM)
        case "mobile-sam":
            return tiny_sam(MOBILE_SAM, 64)
        case "lite-medsam":
            return tiny_sam(LITE_MEDSAM, 16)
        case _:
            config = sam2_config(SAM2)
            # The original's decoder is as thin as its image encoder, but keeps heads and hidden layers.
            decoder = config.mask_decoder_config
            decoder.num_attention_heads, decoder.mlp_dim, decoder.iou_head_hidden_dim = 8, 2048, 256
            return HieraSam(config)

"""Small real networks for tests, one of each family, with random weights."""

from __future__ import annotations

from pathlib import Path

import torch

from samtailor.models.sam import AnySizeSam, VitSize, vit_sam
from samtailor.models.sam2 import HieraSam, HieraSize, hiera_sam
from samtailor.models.tiny_sam import tiny_sam
from samtailor.models.tiny_vit import TinyViTConfig
from samtailor.models.zoo import Base, Family

WIDTH = 32
"""Channels of the image embedding, and of the mask decoder, of all of them."""
ENCODER = TinyViTConfig(widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), heads=(1, 2, 2, 2), output_channels=WIDTH)
NAMES: dict[Family, str] = {"tiny-vit": "tiny-sam", "sam": "tiny-vit-sam", "sam2": "tiny-sam2"}
STRIDES: dict[Family, int] = {"tiny-vit": 4, "sam": 16, "sam2": 32}


def build(family: Family) -> AnySizeSam | HieraSam:
    """The network of a family, with random weights."""
    match family:
        case "tiny-vit":
            return tiny_sam(ENCODER, 32)
        case "sam":
            return vit_sam(VitSize(16, 3, 2, (1,), window=3, image_size=64, output_channels=WIDTH))
        case "sam2":
            return hiera_sam(HieraSize(8, 1, (1, 2, 2, 1), (4,), (4, 2, 4, 2), image_size=64, output_channels=WIDTH))


def tiny_base(weights: Path, family: Family = "tiny-vit") -> Base:
    """A base for the zoo, and its weights file, which is written if it does not exist."""
    if not weights.exists():
        torch.manual_seed(0)
        network = build(family)
        for name, parameter in network.named_parameters():
            if "pos" in name or name == "no_memory_embedding":  # zero in a new network, not in a pretrained one
                torch.nn.init.normal_(parameter, std=0.2)
            elif parameter.ndim > 1 and "mask_decoder" in name:  # else so thin a network gives the same for all images
                torch.nn.init.xavier_normal_(parameter)
        # Images and prompts have the same positions; transformers' SAM 2 keeps the two apart.
        network.prompt_encoder.shared_embedding.load_state_dict(network.shared_image_embedding.state_dict())
        torch.save(network.state_dict(), weights)
    return Base(
        name=NAMES[family],
        family=family,
        image_size=32 if family == "tiny-vit" else 64,
        stride=STRIDES[family],
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        licence="none",
        source="random weights",
        weights=weights,
        build=lambda: build(family),
        convert=dict,
    )

"""A small real network for tests: LiteMedSAM with a thin image encoder and random weights."""

from __future__ import annotations

from pathlib import Path

import torch

from samtailor.models.lite_medsam import LiteMedSam
from samtailor.models.tiny_vit import TinyViTConfig
from samtailor.models.zoo import Base

ENCODER = TinyViTConfig(widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), heads=(1, 2, 2, 2))


def tiny_base(weights: Path) -> Base:
    """A base for the zoo, and its weights file, which is written if it does not exist."""
    if not weights.exists():
        torch.manual_seed(0)
        torch.save(LiteMedSam(ENCODER).state_dict(), weights)
    return Base(
        name="tiny-sam",
        image_size=32,
        stride=4,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        licence="none",
        source="random weights",
        build=lambda: LiteMedSam(ENCODER),
        convert=dict,
        cached=lambda: weights,
        fetch=lambda: weights,
    )

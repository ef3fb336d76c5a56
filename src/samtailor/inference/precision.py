"""In which precision a network computes."""

from __future__ import annotations

from typing import Literal

import torch

from samtailor.settings import Precision

_HALVES = {"bf16": torch.bfloat16, "16": torch.float16}


def chosen_precision(precision: Precision, device: torch.device) -> Literal["32", "bf16", "16"]:
    """What 'auto' means on a device; any other precision as it is."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "32"


def computed_in(precision: Precision, device: torch.device) -> torch.autocast:
    """Context in which networks on a device compute in a precision; weights stay in single precision."""
    chosen = chosen_precision(precision, device)
    if chosen == "32":
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, _HALVES[chosen])

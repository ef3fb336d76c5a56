"""The blocks of an image encoder that a recipe adapts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def attention_blocks(image_encoder: nn.Module, last: int | None) -> list[str]:
    """Names of the transformer blocks (with attention `attn` and MLP `mlp`) of an image encoder.

    Args:
        image_encoder: Image encoder of any base.
        last: How many, counted from the end; all if None or if there are fewer.
    """
    names = [
        name for name, module in image_encoder.named_modules() if hasattr(module, "attn") and hasattr(module, "mlp")
    ]
    return names if last is None else names[max(0, len(names) - last) :]

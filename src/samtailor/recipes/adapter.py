"""Bottleneck adapters in transformer blocks (Eq. 5 of the report, after Med-SA, arXiv 2304.12620)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from samtailor.recipes.config import Adapter


class Bottleneck(nn.Module):
    """ReLU(x W_down) W_up, without the skip connection; zero at the start."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, width // reduction)
        self.up = nn.Linear(width // reduction, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., C) to the same."""
        output: Tensor = self.up(F.relu(self.down(tokens)))
        return output


class AdaptedOutput(nn.Module):
    """A layer followed by an adapter with its own skip connection."""

    def __init__(self, layer: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.layer = layer
        self.adapter = adapter

    def forward(self, tokens: Tensor) -> Tensor:
        """What the layer takes and gives."""
        output = self.layer(tokens)
        adapted: Tensor = output + self.adapter(output)
        return adapted


class AdaptedInput(nn.Module):
    """An adapter with its own skip connection followed by a layer."""

    def __init__(self, layer: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.layer = layer
        self.adapter = adapter

    def forward(self, tokens: Tensor) -> Tensor:
        """What the layer takes and gives."""
        output: Tensor = self.layer(tokens + self.adapter(tokens))
        return output


class ParallelAdapter(nn.Module):
    """A layer plus a scaled adapter of the same input, without skip connection (AdaptFormer)."""

    def __init__(self, layer: nn.Module, adapter: Bottleneck, scale: float) -> None:
        super().__init__()
        self.layer = layer
        self.adapter = adapter
        self.scale = scale

    def forward(self, tokens: Tensor) -> Tensor:
        """What the layer takes and gives."""
        output: Tensor = self.layer(tokens) + self.scale * self.adapter(tokens)
        return output


def insert_adapters(image_encoder: nn.Module, transformer: nn.Module, recipe: Adapter) -> None:
    """Put two adapters into every transformer block of the image encoder and of the mask decoder.

    Image encoder: one after the attention, one parallel to the MLP. Mask decoder: one parallel to the MLP, one
    after the residual of the image-to-token cross attention, which is before the norm that follows it.

    Args:
        image_encoder: Encoder whose transformer blocks have `attn`, `mlp` and `layer_norm2`.
        transformer: SAM's two-way transformer, with `layers`.
        recipe: Size and scale of the adapters.
    """
    for block in list(image_encoder.modules()):
        if hasattr(block, "attn") and hasattr(block, "mlp"):
            width = _width(block.get_submodule("layer_norm2"))
            block.attn = AdaptedOutput(block.get_submodule("attn"), Bottleneck(width, recipe.reduction))
            mlp = block.get_submodule("mlp")
            block.mlp = ParallelAdapter(mlp, Bottleneck(width, recipe.reduction), recipe.scale)
    for layer in transformer.get_submodule("layers").children():
        norm, mlp = layer.get_submodule("layer_norm4"), layer.get_submodule("mlp")
        width = _width(norm)
        layer.mlp = ParallelAdapter(mlp, Bottleneck(width, recipe.reduction), recipe.scale)
        layer.layer_norm4 = AdaptedInput(norm, Bottleneck(width, recipe.reduction))


def _width(norm: nn.Module) -> int:
    """Width of the tokens that a layer norm takes."""
    assert isinstance(norm, nn.LayerNorm)
    return norm.normalized_shape[0]

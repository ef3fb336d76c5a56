"""Bottleneck adapters in transformer blocks (Eq. 5 of the report, after Med-SA, arXiv 2304.12620)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

from samtailor.errors import ConfigError
from samtailor.recipes.recipe import BACKBONE, Recipe, attention_blocks
from samtailor.settings import Count, Finite, Within

if TYPE_CHECKING:
    from torch import nn

DEPTH_SLICES = 3
"""Neighbouring slices that a depth adapter sees at once."""


@dataclass(frozen=True)
class Adapter(Recipe):
    """Bottleneck adapters in every transformer block of encoder and decoder (Eq. 5 of the report).

    Prompt encoder and segmentation head are fully trained, the rest is frozen. Adapters are not linear and cannot be
    merged into weights.

    Attributes:
        reduction: Width of the block over the width of its adapter's bottleneck.
        scale: Factor s of the adapter parallel to the MLP.
        depth: Add a third adapter to each block, which attends across neighbouring slices of a volume; a sample is
            then a group of slices.
        last_blocks: Adapt this many attention blocks of the image encoder, counted from its end; by default all.
    """

    name: ClassVar[str] = "adapter"
    learning_rate: ClassVar[float] = 1e-3
    is_mergeable: ClassVar[bool] = False

    reduction: Annotated[int, Within(1, 4096)] = 4
    scale: Finite = 0.5
    depth: bool = False
    last_blocks: Count | None = None

    @property
    def starts_frozen(self) -> bool:
        """Whether some first blocks are not adapted; with `depth`, samples are groups, which are not cached."""
        return self.last_blocks is not None and not self.depth

    @property
    def group(self) -> int:
        """The slices that depth adapters see at once."""
        return DEPTH_SLICES if self.depth else 1

    def trains(self, parameter: str) -> bool:
        """Whether it is an adapter's, or outside the backbone."""
        return ".adapter." in parameter or not parameter.startswith(BACKBONE)

    def insert(self, network: nn.Module) -> None:
        """Put adapters into the transformer blocks of the image encoder and of the mask decoder.

        Image encoder: one after the attention, one parallel to the MLP, and with `depth` one across slices before the
        attention. Mask decoder: one parallel to the MLP, one after the residual of the image-to-token cross attention,
        which is before the norm that follows it.

        Raises:
            ConfigError: If the reduction leaves nothing of the width of a block.
        """
        import samtailor.recipes.adapter_layers as layers

        def bottleneck(norm: nn.Module) -> layers.Bottleneck:
            width = layers.width_of(norm)
            if self.reduction > width:
                found = f"the width of one of the blocks; found {self.reduction}, with which no adapter is left there"
                raise ConfigError(f"reduction: expected at most {width}, {found}")
            return layers.Bottleneck(width, self.reduction)

        encoder = network.get_submodule("image_encoder")
        for name in attention_blocks(encoder, self.last_blocks):
            block = encoder.get_submodule(name)
            attention, norm = block.get_submodule("attn"), block.get_submodule("layer_norm2")
            block.attn = layers.AdaptedOutput(attention, bottleneck(norm))
            if self.depth:
                adapter, heads = bottleneck(block.get_submodule("layer_norm1")), cast(int, attention.heads)
                block.attn = layers.DepthAdapter(block.attn, adapter, heads, DEPTH_SLICES)
                block.register_forward_pre_hook(partial(layers.tell_images, block.attn))
            block.mlp = layers.ParallelAdapter(block.get_submodule("mlp"), bottleneck(norm), self.scale)
        for layer in network.get_submodule("mask_decoder.transformer.layers").children():
            norm = layer.get_submodule("layer_norm4")
            layer.mlp = layers.ParallelAdapter(layer.get_submodule("mlp"), bottleneck(norm), self.scale)
            layer.layer_norm4 = layers.AdaptedInput(norm, bottleneck(norm))

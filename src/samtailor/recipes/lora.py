"""LoRA by peft, on query and value projections or on more (Eq. 3 and 4 of the report; Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from samtailor.recipes.recipe import BACKBONE, DECODER, ENCODER, Recipe, adapted_modules, attention_blocks, is_norm
from samtailor.settings import Count, Within

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn


Layers = Literal["query-value", "linear", "all"]
"""Which layers have an update."""

RSLORA_ALPHA = 2
"""The root of rank 4: the usual rank learns with rsLoRA as without it, and higher ones by steps of the same size.

rsLoRA's alpha is a constant (arXiv 2312.03732, Theorem 3.2): one that grows with the rank brings back what it cures.
"""


@dataclass(frozen=True)
class LoRA(Recipe):
    """Low-rank updates of query and value projections of encoder and decoder (Eq. 3 and 4 of the report), or of more.

    Prompt encoder and segmentation head are fully trained, the rest is frozen.

    Attributes:
        rank: Rank r of the low-rank update B A.
        dora: Also train the length of each weight vector beside its direction (DoRA, arXiv 2402.09353).
        rslora: Scale the update by alpha / sqrt(r), so that steps are as large at high ranks as at low ones (rsLoRA,
            arXiv 2312.03732).
        alpha: Scale of the update, over r (over its root with `rslora`). By default r, so that the update is B A; with
            `rslora` 2, so that it is B A at rank 4.
        last_blocks: Adapt this many attention blocks of the image encoder, counted from its end, and what comes after
            the first of them; by default all of it.
        layers: Which layers have an update: 'query-value'; 'linear': also keys, output projections and MLPs; 'all':
            also the convolutions of the image encoder. Those with fewer weights than an update has, such as depth-wise
            ones, are trained themselves.
        norms: Also train scale and shift of the norms of the image encoder and the mask decoder's transformer; batch
            normalisation keeps its statistics.
    """

    name: ClassVar[str] = "lora"
    learning_rate: ClassVar[float] = 1e-3

    rank: Annotated[int, Within(1, 4096)] = 4
    dora: bool = False
    rslora: bool = False
    alpha: Count | None = None
    last_blocks: Count | None = None
    layers: Layers = "query-value"
    norms: bool = False

    @property
    def starts_frozen(self) -> bool:
        """Whether some first blocks are not adapted."""
        return self.last_blocks is not None

    def trains(self, parameter: str) -> bool:
        """Whether it is A, B or DoRA's length, or outside the backbone."""
        return ".lora_" in parameter or not parameter.startswith(BACKBONE)

    def insert(self, network: nn.Module) -> None:
        """Put A (Kaiming) and B (zero) beside every adapted layer.

        By default those are the queries and values of the attentions of the image encoder's last blocks and of all of
        the mask decoder's transformer (self attention, both cross attentions, final attention).
        """
        from peft import LoraConfig, inject_adapter_in_model

        from samtailor.recipes.lora_layers import make_lean

        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha or (RSLORA_ALPHA if self.rslora else self.rank),
            target_modules=list(self._updated(network)),
            use_dora=self.dora,
            use_rslora=self.rslora,
        )
        make_lean(inject_adapter_in_model(config, network))

    def _updated(self, network: nn.Module) -> Iterator[str]:
        """Names of the layers that have an update."""
        from torch import nn

        blocks = attention_blocks(network.get_submodule(ENCODER), self.last_blocks)
        places = (*(f"{ENCODER}.{block}." for block in blocks), f"{DECODER}.")
        endings = (".q_proj", ".v_proj") if self.layers == "query-value" else ""
        for name, module in network.named_modules():
            if isinstance(module, nn.Linear) and name.startswith(places) and name.endswith(endings):
                yield name
        for name, convolution in self._convolutions(network):
            if not self._is_small(convolution):
                yield name

    def trained_beside(self, network: nn.Module) -> Iterator[nn.Parameter]:
        """Kernels that are no larger than an update of them, and norms, as far as they are adapted."""
        for _, convolution in self._convolutions(network):
            if self._is_small(convolution):
                yield convolution.get_parameter("weight")
        for _, module in adapted_modules(network, self.last_blocks) if self.norms else ():
            if is_norm(module):
                yield from module.parameters()

    def _convolutions(self, network: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
        """The image encoder's adapted convolutions by their names."""
        from torch import nn

        for name, module in adapted_modules(network, self.last_blocks) if self.layers == "all" else ():
            if isinstance(module, nn.Conv2d):
                yield name, module

    def _is_small(self, convolution: nn.Conv2d) -> bool:
        """Whether a convolution has no more weights than its update would have, as depth-wise ones never do."""
        kernel = math.prod(convolution.kernel_size)
        update = self.rank * (kernel * convolution.in_channels + convolution.out_channels)
        return convolution.weight.numel() <= update

    def merge(self, network: nn.Module) -> None:
        """Add every update B A to the weights it stands beside and remove it."""
        from samtailor.recipes.lora_layers import merge_updates

        merge_updates(network)

    def is_merged(self, network: nn.Module) -> bool:
        """Whether no A is left."""
        return not any(".lora_A." in name for name, _ in network.named_parameters())

    def peft_config(self, network: nn.Module) -> PeftConfig | None:
        """Peft's `LoraConfig`."""
        configs = network.peft_config
        assert isinstance(configs, dict)
        return cast("PeftConfig", configs["default"])

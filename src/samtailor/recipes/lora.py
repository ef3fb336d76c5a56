"""LoRA on query and value projections, by peft (Eq. 3 and 4 of the report; Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

from samtailor.recipes.recipe import BACKBONE, Recipe, attention_blocks
from samtailor.settings import Count, Within

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn


RSLORA_ALPHA = 2
"""The root of rank 4: the usual rank learns with rsLoRA as without it, and higher ones by steps of the same size.

rsLoRA's alpha is a constant (arXiv 2312.03732, Theorem 3.2): one that grows with the rank brings back what it cures.
"""


@dataclass(frozen=True)
class LoRA(Recipe):
    """Low-rank updates of the query and value projections of encoder and decoder (Eq. 3 and 4 of the report).

    Prompt encoder and segmentation head are fully trained, the rest is frozen.

    Attributes:
        rank: Rank r of the low-rank update B A.
        dora: Also train the length of each weight vector beside its direction (DoRA, arXiv 2402.09353).
        rslora: Scale the update by alpha / sqrt(r), so that steps are as large at high ranks as at low ones (rsLoRA,
            arXiv 2312.03732).
        alpha: Scale of the update, over r (over its root with `rslora`). If None, r, so that the update is B A; with
            `rslora` 2, so that it is B A at rank 4.
        last_blocks: Adapt this many attention blocks of the image encoder, counted from its end; all if None.
    """

    name: ClassVar[str] = "lora"
    learning_rate: ClassVar[float] = 1e-3

    rank: Annotated[int, Within(1, 4096)] = 4
    dora: bool = False
    rslora: bool = False
    alpha: Count | None = None
    last_blocks: Count | None = None

    @property
    def starts_frozen(self) -> bool:
        """Whether some first blocks are not adapted."""
        return self.last_blocks is not None

    def trains(self, parameter: str) -> bool:
        """Whether it is A, B or DoRA's length, or outside the backbone."""
        return ".lora_" in parameter or not parameter.startswith(BACKBONE)

    def insert(self, network: nn.Module) -> None:
        """Put A (Kaiming) and B (zero) beside every adapted query and value projection.

        Those are the attentions of the image encoder's last blocks and all of the mask decoder's transformer (self
        attention, both cross attentions, final attention).
        """
        from peft import LoraConfig, inject_adapter_in_model

        from samtailor.recipes.lora_layers import make_lean

        blocks = attention_blocks(network.get_submodule("image_encoder"), self.last_blocks)
        attentions = [f"image_encoder.{block}.attn" for block in blocks]
        decoder = network.get_submodule("mask_decoder.transformer")
        modules = decoder.named_modules(prefix="mask_decoder.transformer")
        attentions += [name for name, module in modules if hasattr(module, "q_proj")]
        targets = [f"{attention}.{projection}" for attention in attentions for projection in ("q_proj", "v_proj")]
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha or (RSLORA_ALPHA if self.rslora else self.rank),
            target_modules=targets,
            use_dora=self.dora,
            use_rslora=self.rslora,
        )
        make_lean(inject_adapter_in_model(config, network))

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

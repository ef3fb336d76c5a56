"""What every recipe answers: what it inserts into a network, what it trains, what can be merged or cached."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from samtailor.settings import Checked

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

BACKBONE = ("image_encoder.", "mask_decoder.transformer.")
"""Where the parameters lie that LoRA and adapters leave frozen."""

_NEVER_TRAINED = ("prompt_encoder.shared_embedding.", "mask_decoder.pred_obj_score_head.")


@dataclass(frozen=True)
class Recipe(Checked, ABC):
    """Which parameters of a class-aware SAM are adapted, and how; the fields of a recipe are its settings.

    Attributes:
        name: Its name on the command line and in files.
        learning_rate: Peak learning rate, unless the user sets one.
        is_mergeable: Whether `merge` leaves nothing of the recipe beside the weights.
        freezes_encoder: Whether the image encoder stays as it is, so that its embeddings are computed once.
    """

    name: ClassVar[str]
    learning_rate: ClassVar[float]
    is_mergeable: ClassVar[bool] = True
    freezes_encoder: ClassVar[bool] = False

    @property
    def starts_frozen(self) -> bool:
        """Whether the blocks before the first adapted one give the same in every epoch, so that it can be kept."""
        return False

    @property
    def group(self) -> int:
        """Neighbouring slices that must be computed together; 1 where slices know nothing of each other."""
        return 1

    def apply(self, network: nn.Module) -> None:
        """Insert the recipe's modules into a class-aware SAM, whose output does not change, and mark what is trained.

        Prompt encoder and segmentation head (mask tokens, hypernetworks, upscaling, IoU head) are trained under every
        recipe; under none the Fourier features of positions, a constant of SAM, and SAM 2's object score, which touches
        no mask.
        """
        self.insert(network)
        for name, parameter in network.named_parameters():
            parameter.requires_grad = self.trains(name) and not name.startswith(_NEVER_TRAINED)

    def insert(self, network: nn.Module) -> None:
        """Put the recipe's modules into a class-aware SAM; most recipes have none."""
        return

    @abstractmethod
    def trains(self, parameter: str) -> bool:
        """Whether the recipe trains the parameter of that name, SAM's constants aside."""

    def merge(self, network: nn.Module) -> None:
        """Fold the recipe's modules into the weights beside them, which are replaced, not changed in place."""
        return

    def is_merged(self, network: nn.Module) -> bool:
        """Whether `merge` has taken the recipe's modules out of a network it was applied to."""
        return False

    def peft_config(self, network: nn.Module) -> PeftConfig | None:
        """Peft's own description of what was inserted; None if peft does not know the recipe."""
        return None


def attention_blocks(image_encoder: nn.Module, last: int | None) -> list[str]:
    """Names of the last (or all) transformer blocks, with attention `attn` and MLP `mlp`, of an image encoder."""
    modules = image_encoder.named_modules()
    names = [name for name, module in modules if hasattr(module, "attn") and hasattr(module, "mlp")]
    return names if last is None else names[max(0, len(names) - last) :]

"""What every recipe answers: what it inserts into a network, what it trains, what can be merged or cached."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from samtailor.settings import Checked

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

ENCODER, DECODER = "image_encoder", "mask_decoder.transformer"
BACKBONE = (f"{ENCODER}.", f"{DECODER}.")
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
        beside = {id(parameter) for parameter in self.trained_beside(network)}
        self.insert(network)
        for name, parameter in network.named_parameters():
            is_trained = self.trains(name) or id(parameter) in beside
            parameter.requires_grad = is_trained and not name.startswith(_NEVER_TRAINED)

    def insert(self, network: nn.Module) -> None:
        """Put the recipe's modules into a class-aware SAM; most recipes have none."""
        return

    @abstractmethod
    def trains(self, parameter: str) -> bool:
        """Whether the recipe trains the parameter of that name, SAM's constants aside."""

    def trained_beside(self, network: nn.Module) -> Iterable[nn.Parameter]:
        """Parameters of a network without the recipe's modules that it trains too; most recipes know theirs by name."""
        return ()

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


def adapted_modules(network: nn.Module, last: int | None) -> Iterator[tuple[str, nn.Module]]:
    """Modules of a class-aware SAM by their names, from the image encoder's first adapted block on.

    That is all of the encoder, patch embedding included, if `last` is None, and the mask decoder's transformer.
    """
    first = f"{ENCODER}.{attention_blocks(network.get_submodule(ENCODER), last)[0]}"
    has_begun = last is None
    for name, module in network.named_modules():  # in the order in which they are passed
        has_begun = has_begun or name == first
        if has_begun and name.startswith(BACKBONE):
            yield name, module


def is_norm(module: nn.Module) -> bool:
    """Whether it is a layer norm, or a batch normalisation with frozen statistics."""
    from torch import nn

    return isinstance(module, nn.LayerNorm) or hasattr(module, "running_var")

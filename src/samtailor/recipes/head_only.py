"""Training the mask decoder and the prompt encoder on embeddings that are computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from samtailor.recipes.recipe import Recipe

# SAM 2's finer features are cached as the decoder's first convolutions give them.
_CACHED = ("image_encoder.", "mask_decoder.conv_s0.", "mask_decoder.conv_s1.")


@dataclass(frozen=True)
class HeadOnly(Recipe):
    """Image encoder frozen and its embeddings cached; prompt encoder and the whole mask decoder trained."""

    name: ClassVar[str] = "head-only"
    # The decoder's transformer normalises after its residuals and does not bear large steps: where it is trained
    # itself, 1e-3 learned far slower than 3e-4.
    learning_rate: ClassVar[float] = 3e-4
    freezes_encoder: ClassVar[bool] = True

    def trains(self, parameter: str) -> bool:
        """Whether the parameter comes after the cached embeddings."""
        return not parameter.startswith(_CACHED)

"""How a segmenter was trained, and how it predicts unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from samtailor.settings import Finite, Flip, Fraction, hints_of, require

PromptTraining = Literal["none", "drawn", "outline"]
"""What a training did with prompts, by the names of its setting."""


@dataclass(frozen=True)
class Practice:
    """What is saved with a segmenter beside its network, its classes and its preprocessing.

    Attributes:
        refinement: What is done to a label in the end: plain values of `samtailor.refinement`'s steps.
        prompts: Prompts that some images of its training had; None if that is not known.
        flip: Axes that the images of its training were flipped along; None if that is not known.
        tta: Flips that its predictions are averaged over.
        wide: Weight, in the mean of its predictions, of what the network says of twice as large a window.
        bias: Offsets that are added to the class logits in prediction, (K,); None if there are none.
    """

    refinement: tuple[Mapping[str, Any], ...] = ()
    prompts: PromptTraining | None = None
    flip: Flip | None = None
    tta: Flip = "none"
    wide: Fraction = 0.0
    bias: tuple[Finite, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values by name, those that are not the default."""
        own = vars(self)
        chosen = {field.name: own[field.name] for field in fields(self) if own[field.name] != field.default}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`, among other values.

        Raises:
            ConfigError: If a value is of another type. Steps of the refinement are looked at where they are applied.
        """
        own: dict[str, Any] = {field.name: content[field.name] for field in fields(cls) if field.name in content}
        own = {name: tuple(value) if isinstance(value, list) else value for name, value in own.items()}
        require(own, hints_of(cls))
        return cls(**own)

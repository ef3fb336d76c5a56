"""Training everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from samtailor.recipes.recipe import Recipe


@dataclass(frozen=True)
class Full(Recipe):
    """Every parameter trained (batch normalisation keeps its pretrained statistics)."""

    name: ClassVar[str] = "full"
    learning_rate: ClassVar[float] = 1e-4

    def trains(self, parameter: str) -> bool:
        """Every parameter."""
        return True

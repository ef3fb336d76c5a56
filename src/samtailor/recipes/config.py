"""Recipes: which parameters of a base model are adapted, and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class LoRA:
    """Low-rank updates of the query and value projections of encoder and decoder (Eq. 3 and 4 of the report).

    Prompt encoder and segmentation head are fully trained, the rest is frozen.

    Attributes:
        rank: Rank r of the update B A.
    """

    rank: int = 4


@dataclass(frozen=True)
class Adapter:
    """Bottleneck adapters in every transformer block of encoder and decoder (Eq. 5 of the report).

    Prompt encoder and segmentation head are fully trained, the rest is frozen.

    Attributes:
        reduction: Width of the block over width of the bottleneck.
        scale: Factor s of the adapter parallel to the MLP.
    """

    reduction: int = 4
    scale: float = 0.5


@dataclass(frozen=True)
class HeadOnly:
    """Image encoder frozen and its embeddings cached; prompt encoder and the whole mask decoder trained."""


@dataclass(frozen=True)
class Full:
    """Every parameter trained (batch normalisation keeps its pretrained statistics)."""


Recipe = LoRA | Adapter | HeadOnly | Full
RecipeName = Literal["lora", "adapter", "head-only", "full"]

_KINDS: dict[RecipeName, type[Recipe]] = {
    "lora": LoRA,
    "adapter": Adapter,
    "head-only": HeadOnly,
    "full": Full,
}


def make_recipe(name: RecipeName, rank: int, reduction: int, scale: float) -> Recipe:
    """Recipe of that name; it takes the settings that are its own.

    Args:
        name: Name of the recipe.
        rank: Rank of LoRA.
        reduction: Width of a block over the width of its adapter's bottleneck.
        scale: Factor of the adapter parallel to the MLP.
    """
    match name:
        case "lora":
            return LoRA(rank)
        case "adapter":
            return Adapter(reduction, scale)
        case "head-only":
            return HeadOnly()
        case "full":
            return Full()


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """Plain dictionary, the inverse of `recipe_from_json`."""
    name = next(name for name, kind in _KINDS.items() if isinstance(recipe, kind))
    return {"name": name, **asdict(recipe)}


def recipe_from_json(content: dict[str, Any]) -> Recipe:
    """Recipe of a plain dictionary: its name and its own settings."""
    return _KINDS[content["name"]](**{k: v for k, v in content.items() if k != "name"})

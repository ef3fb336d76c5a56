"""Recipes: which parameters of a base model are adapted, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True)
class LoRA:
    """Low-rank updates of the query and value projections of encoder and decoder (Eq. 3 and 4 of the report).

    Prompt encoder and segmentation head are fully trained, the rest is frozen.

    Attributes:
        rank: Rank r of the update B A.
        dora: Train the length of every weight vector beside its direction (DoRA, arXiv 2402.09353).
        rslora: Scale the update by sqrt(r), which keeps high ranks stable (rsLoRA, arXiv 2312.03732).
        last_blocks: Attention blocks of the image encoder that are adapted, counted from its end; all if None.
    """

    rank: int = 4
    dora: bool = False
    rslora: bool = False
    last_blocks: int | None = None


@dataclass(frozen=True)
class Adapter:
    """Bottleneck adapters in every transformer block of encoder and decoder (Eq. 5 of the report).

    Prompt encoder and segmentation head are fully trained, the rest is frozen.

    Attributes:
        reduction: Width of the block over width of the bottleneck.
        scale: Factor s of the adapter parallel to the MLP.
        depth: Whether every block has a third adapter, which attends across neighbouring slices of a volume.
        last_blocks: Attention blocks of the image encoder that are adapted, counted from its end; all if None.
    """

    reduction: int = 4
    scale: float = 0.5
    depth: bool = False
    last_blocks: int | None = None


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


def make_recipe(name: RecipeName, settings: Mapping[str, Any]) -> Recipe:
    """Recipe of that name; it takes the settings that are its own.

    Args:
        name: Name of the recipe.
        settings: Settings of all recipes, and whatever else stands beside them, by name.
    """
    kind = _KINDS[name]
    return kind(**{field.name: settings[field.name] for field in fields(kind)})


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """Plain dictionary, the inverse of `recipe_from_json`."""
    name = next(name for name, kind in _KINDS.items() if isinstance(recipe, kind))
    return {"name": name, **asdict(recipe)}


def recipe_from_json(content: dict[str, Any]) -> Recipe:
    """Recipe of a plain dictionary: its name and its own settings."""
    return _KINDS[content["name"]](**{k: v for k, v in content.items() if k != "name"})

"""Recipes, one file each: which parameters of a base model are adapted, and how.

Light to import, for the command line builds its flags from the recipes; what computes is imported when it is used.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, Literal

from samtailor.recipes.adapter import Adapter as Adapter
from samtailor.recipes.full import Full as Full
from samtailor.recipes.head_only import HeadOnly as HeadOnly
from samtailor.recipes.lora import LoRA as LoRA
from samtailor.recipes.recipe import Recipe as Recipe

RecipeName = Literal["lora", "adapter", "head-only", "full"]

RECIPES: dict[str, type[Recipe]] = {kind.name: kind for kind in (LoRA, Adapter, HeadOnly, Full)}
"""Every recipe by its name."""

USUAL: Recipe = Adapter()
"""The recipe that is taken unless another is named; on all data sets of docs/results.md it learns faster than LoRA."""

NEWER = frozenset({"layers", "norms"})
"""Settings that version 4 of a saved segmenter has words for."""


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """Plain dictionary, the inverse of `recipe_from_json`."""
    return {"name": recipe.name, **asdict(recipe)}


def recipe_from_json(content: dict[str, Any]) -> Recipe:
    """Recipe of a plain dictionary: its name and its own settings."""
    return RECIPES[content["name"]](**{k: v for k, v in content.items() if k != "name"})


def recipe_for_segmenter(recipe: Recipe) -> dict[str, Any]:
    """Plain dictionary for a saved segmenter; settings that older libraries do not know stand there if they matter."""
    defaults = {field.name: field.default for field in fields(recipe)}
    content = recipe_to_json(recipe)
    return {k: v for k, v in content.items() if k not in NEWER or v != defaults[k]}


def recipe_of_segmenter(content: dict[str, Any]) -> Recipe:
    """Recipe of a saved segmenter; before `alpha` was a setting, rsLoRA's was the rank."""
    is_older = content.get("rslora") and "alpha" not in content
    return recipe_from_json({**content, "alpha": content["rank"]} if is_older else content)

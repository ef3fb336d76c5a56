"""A recipe among other settings, as flags and YAML files have it: its name, and its own settings beside it."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from samtailor.errors import ConfigError, not_one_of
from samtailor.recipes import RECIPES, USUAL, Recipe, recipe_from_json, recipe_to_json
from samtailor.settings import require


def flat_fields() -> dict[str, list[tuple[type[Recipe], Field[Any]]]]:
    """Settings of all recipes by their names, with the recipes that have them."""
    found: dict[str, list[tuple[type[Recipe], Field[Any]]]] = {}
    for kind in RECIPES.values():
        for field in fields(kind):
            found.setdefault(field.name, []).append((kind, field))
    return found


def flatten(recipe: Recipe) -> dict[str, Any]:
    """The recipe's name as 'recipe', and its own settings."""
    content = recipe_to_json(recipe)
    return {"recipe": content.pop("name"), **content}


def take_recipe(content: dict[str, Any]) -> Recipe:
    """Take a recipe and the settings of all recipes out of settings; what is not said is its default."""
    name = content.pop("recipe", USUAL.name)
    require({"recipe": name}, {"recipe": str})
    if name not in RECIPES:
        raise ConfigError(f"recipe: {not_one_of(RECIPES, name)}")
    own: dict[str, Any] = {}
    for setting, owners in flat_fields().items():
        if setting not in content:
            continue
        value = content.pop(setting)
        if any(kind is RECIPES[name] for kind, _ in owners):
            own[setting] = value
        elif value != owners[0][1].default:  # a file may hold the defaults of all recipes
            others = " or ".join(other for other, kind in RECIPES.items() if any(kind is owner for owner, _ in owners))
            raise ConfigError(
                f"{setting}: expected with the recipe {others}, found it with {name}; leave it out, or change recipe"
            )
    return recipe_from_json({"name": name, **own})

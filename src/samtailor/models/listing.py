"""Listing the base models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samtailor.errors import ConfigError
from samtailor.recipes import LoRA, Recipe
from samtailor.reporting.table import Table

if TYPE_CHECKING:
    from samtailor.models.zoo import Base


def list_models(recipe: Recipe | None = None, classes: int = 14) -> Table:
    """List the base models, with the parameters that a recipe adds to each.

    Args:
        recipe: Which parameters are adapted, and how; LoRA by default.
        classes: Classes, background included.

    Returns:
        Names, parameters, image sizes, licences and sources, and whether the weights are here.

    Raises:
        ConfigError: If there are fewer than two classes.
    """
    from samtailor.models.counts import count_parameters
    from samtailor.models.sources import cached_path
    from samtailor.models.zoo import BASES

    if classes < 2:
        raise ConfigError(f"classes: expected at least 2, found {classes}")
    recipe = recipe or LoRA()
    rows = []
    for base in BASES.values():
        count = count_parameters(base, recipe, classes)
        cached = "yes" if cached_path(base.weights) else "no"
        numbers = (f"{count.total:,}", f"{count.trainable:,}", str(base.image_size))
        rows.append((base.name, *numbers, _normalisation(base), base.licence, base.source, cached))
    header = ("base", "total", "trainable", "input", "normalisation", "licence", "source", "cached")
    notes = (
        f"Parameters with {recipe} and {classes} classes. Input: image side of the pretraining; any "
        "multiple of 16 (SAM, MobileSAM), 32 (SAM 2) or 4 (lite-medsam) will do.",
        "Other weights: --weights with a file of the authors, a folder in transformers' format, or a hub name.",
    )
    return Table(header, tuple(rows), notes)


def _normalisation(base: Base) -> str:
    """How a base wants its images, in words."""
    from samtailor.models.zoo import IMAGENET, ZERO_ONE

    names = {ZERO_ONE: "[0, 1]", IMAGENET: "ImageNet's"}
    if (base.mean, base.std) in names:
        return names[base.mean, base.std]
    mean, std = (", ".join(f"{value:.3g}" for value in values) for values in (base.mean, base.std))
    return f"mean {mean}, std {std}"

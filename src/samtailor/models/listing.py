"""Listing the base models."""

from __future__ import annotations

from typing import Annotated

from samtailor.recipes import USUAL, Recipe
from samtailor.reporting.table import Table
from samtailor.settings import Within, checked


@checked
def list_models(recipe: Recipe = USUAL, classes: Annotated[int, Within(2, 10_000)] = 14) -> Table:
    """List the base models, with the parameters that a recipe adds to each.

    Args:
        recipe: Which parameters are adapted, and how.
        classes: Classes, background included.

    Returns:
        Names, parameters, image sizes, licences and sources, and whether the weights are here.

    Raises:
        ConfigError: If there are fewer than two classes.
    """
    from samtailor.data.channels import COLOURS
    from samtailor.models.counts import count_parameters
    from samtailor.models.sources import cached_path
    from samtailor.models.zoo import BASES, ZERO_ONE

    rows = []
    for base in BASES.values():
        count = count_parameters(base, recipe, classes)
        cached = "yes" if cached_path(base.weights) else "no"
        normalisation = "[0, 1]" if (base.mean, base.std) == ZERO_ONE else "ImageNet's"
        numbers = (f"{count.total:,}", f"{count.trainable:,}", str(base.image_size))
        rows.append((base.name, *numbers, normalisation, base.licence, base.source, cached))
    header = ("base", "total", "trainable", "input", "normalisation", "licence", "source", "cached")
    notes = (
        f"Parameters with {recipe} and {classes} classes. Input: image side of the pretraining; any "
        "multiple of 16 (SAM, MobileSAM), 32 (SAM 2) or 4 (lite-medsam) will do.",
        f"Images of C channels, neither one nor three, add a projection: {COLOURS} C + {COLOURS} parameters, trained.",
        "Other weights: --weights with a file of the authors, a folder in transformers' format, or a hub name.",
    )
    return Table(header, tuple(rows), notes)

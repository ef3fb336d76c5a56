"""Parameter counts of base models under a recipe, without weights and without memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from samtailor.data.channels import COLOURS
from samtailor.models.class_aware import ClassAwareSam
from samtailor.models.zoo import Base
from samtailor.recipes import Recipe


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of one base with class-aware head and recipe.

    Attributes:
        total: All parameters, those of the recipe included.
        trainable: Parameters that are trained.
    """

    total: int
    trainable: int


def count_parameters(base: Base, recipe: Recipe, classes: int, channels: int = COLOURS) -> ParameterCount:
    """Build the network for images of so many channels on the meta device and count."""
    with torch.device("meta"):
        network = ClassAwareSam(base.build(), classes, channels)
        recipe.apply(network)
    sizes = [(p.numel(), p.requires_grad) for p in network.parameters()]
    return ParameterCount(sum(n for n, _ in sizes), sum(n for n, trained in sizes if trained))

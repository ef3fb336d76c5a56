"""Table 3 of the report: parameters of LoRA and adapters on SAM ViT-B with 14 classes, published and counted."""

from __future__ import annotations

import torch

from samtailor.models.class_aware import ClassAwareSam
from samtailor.models.counts import count_parameters
from samtailor.models.zoo import find_base
from samtailor.recipes import Adapter, LoRA, Recipe
from samtailor.reporting.table import Table

BASE = "sam-vit-b"
CLASSES = 14

NOTE = (
    "SAM ViT-B, 14 classes (13 organs and background), millions of parameters. The published adapter figures come out "
    "of three adapters per encoder block (with the depth adapter) and count only the adapters as trainable; with two "
    "adapters per block it is {two_total:.1f} in total and {two_trainable:.2f} with prompt encoder and head."
)

Figures = tuple[float, float]
"""Total and trainable parameters, in millions."""


def table3() -> dict[str, tuple[Figures, Figures]]:
    """Published and counted figures of each method; the networks are built without memory."""
    adapters = Adapter(depth=True)
    return {
        "LoRA (r=1)": ((95.3, 2.4), _millions(LoRA(1))),
        "LoRA (r=4)": ((95.5, 2.5), _millions(LoRA(4))),
        "LoRA (r=8)": ((95.6, 2.7), _millions(LoRA(8))),
        "Adapter": ((106.1, 10.8), (_millions(adapters)[0], _adapters_alone(adapters))),
    }


def to_table() -> Table:
    """The table, with the sentence that says how the adapter's figures are counted."""
    rows = tuple((method, *(f"{a:.1f} / {b:.1f}" for a, b in figures)) for method, figures in table3().items())
    total, trainable = _millions(Adapter())
    note = NOTE.format(two_total=total, two_trainable=trainable)
    return Table(("total / trainable", "published", "counted"), rows, (note,))


def _millions(recipe: Recipe) -> Figures:
    count = count_parameters(find_base(BASE), recipe, CLASSES)
    return count.total / 1e6, count.trainable / 1e6


def _adapters_alone(recipe: Adapter) -> float:
    """Parameters of the adapters themselves, in millions."""
    with torch.device("meta"):
        network = ClassAwareSam(find_base(BASE).build(), CLASSES)
        recipe.apply(network)
    return sum(p.numel() for name, p in network.named_parameters() if ".adapter." in name) / 1e6

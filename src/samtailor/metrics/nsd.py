"""Normalised surface Dice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from samtailor.metrics.class_metric import ClassMasks, ClassMetric
from samtailor.metrics.class_names import key_of
from samtailor.metrics.empty import EmptyValues


@dataclass(frozen=True)
class NSD(ClassMetric):
    """The share of both surfaces that lies no farther than a tolerance from the other.

    Attributes:
        tolerances: Tolerance in mm of classes that have their own, by the key of their name.
        tolerance: Tolerance in mm of all other classes.
        floor: NSD is 0 where DSC is less.
    """

    key = "nsd"
    title = "NSD"
    needs_mm = True

    tolerances: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 2.0
    floor: float = 0.0

    def tolerance_of(self, name: str) -> float:
        """Tolerance of a class, in mm."""
        return self.tolerances.get(key_of(name), self.tolerance)

    def score(self, masks: ClassMasks) -> float:
        """Area-weighted, as surface-distance has it; 0 where nothing is predicted."""
        from samtailor.metrics.surfaces import surface_dice

        both, wrong, missed = masks.counts
        if not both + wrong or 2 * both / (2 * both + wrong + missed) < self.floor:
            return 0.0
        return surface_dice(masks.surfaces, self.tolerance_of(masks.name))

    def absent(self, rule: EmptyValues, is_predicted: bool) -> float:
        """As DSC."""
        return rule.false_positive if is_predicted else rule.both_empty

    def rules(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """The definition, the tolerance of each class, and the floor."""
        return {
            "nsd": "share of both surfaces, by area, that lies within the tolerance of the other (surface-distance); "
            "mm, with the file's spacing; not for pictures, which have no millimetres",
            "nsd_tolerance_mm": {name: self.tolerance_of(name) for name in classes[1:]},
            "nsd_zero_below_dsc": self.floor,
        }

    def sentence(self, classes: tuple[str, ...]) -> str:
        """The definition and the tolerances."""
        definition, tolerances = super().sentence(classes), self.rules(classes)["nsd_tolerance_mm"]
        if len(set(tolerances.values())) == 1:
            return f"{definition}; tolerance {next(iter(tolerances.values())):g} mm"
        return f"{definition}; tolerances in mm: " + ", ".join(f"{name} {mm:g}" for name, mm in tolerances.items())

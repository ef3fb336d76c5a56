"""The one number that epochs and offsets of the classes are chosen by on validation cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from samtailor.metrics.confusion import nan_mean
from samtailor.metrics.overlap import Overlap, score
from samtailor.metrics.protocols import PROTOCOLS, ProtocolName


@dataclass(frozen=True)
class MeanDsc:
    """Mean DSC of the classes, by nnU-Net's rule for absent ones; zero where nothing but background is found.

    Attributes:
        is_pooled: The DSC of a class is that of the pixels of all cases together, rather than the mean over the cases
            in which it counts.
        has_background: The background is a class like the others.
    """

    is_pooled: bool = False
    has_background: bool = False

    @classmethod
    def of_protocol(cls, name: ProtocolName) -> Self:
        """Pooled where the protocol scores all cases together: there a speck of an absent class costs what it covers.

        The mean over cases would take it for a whole case that is missed: on small tiles it jumps from epoch to epoch.
        With the background where the protocol's own mean has it: on land cover it is what is mistaken most.
        """
        overall = PROTOCOLS[name].overall
        return cls(is_pooled=bool(overall), has_background="miou" in overall)

    def by_class(self, counts: Overlap) -> NDArray[np.float64]:
        """DSC of each class, (..., K), of counts (..., cases, K); NaN of a class that counts nowhere."""
        if self.is_pooled:
            return score(Overlap(*(one.sum(axis=-2) for one in counts)), "dsc", "nnunet")
        return nan_mean(score(counts, "dsc", "nnunet"), axis=-2)

    def along(self, counts: Overlap) -> NDArray[np.float64]:
        """Mean of each of some counts (..., cases, K), (...)."""
        by_class = self.by_class(counts)
        foreground = nan_mean(by_class[..., 1:])
        return np.where(foreground > 0, nan_mean(by_class), foreground) if self.has_background else foreground

    def __call__(self, counts: Overlap) -> float:
        """Mean of counts (cases, K); NaN where no class counts."""
        return float(self.along(counts))


def foreground_mean(row: Mapping[str, float], names: Sequence[str]) -> float:
    """Mean DSC of the classes but the first in an epoch of a run's history; NaN where none counts."""
    return float(nan_mean(np.array([row.get(f"dsc/{name}", math.nan) for name in names[1:]])))

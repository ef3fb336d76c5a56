"""A score of one class in one case: its name, its rule, its number; light, for protocols are read before any work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from samtailor.metrics.empty import EmptyValues

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from samtailor.metrics.surfaces import Surface


def counted_voxels(truth: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Voxels in both masks, in the prediction only, in the truth only."""
    both = int((truth & prediction).sum())
    return both, int(prediction.sum()) - both, int(truth.sum()) - both


class ClassMasks:
    """Truth and prediction of a class in a case, cut to a box around both.

    Attributes:
        name: The class.
        truth: Two or three axes, at least one voxel set.
        prediction: Of the truth's shape.
        spacing: Distance of voxels along each axis, in mm or pixels.
        counts: Voxels in both, in the prediction only, in the truth only.
    """

    def __init__(
        self, name: str, truth: NDArray[np.bool_], prediction: NDArray[np.bool_], spacing: tuple[float, ...]
    ) -> None:
        self.name, self.truth, self.prediction, self.spacing = name, truth, prediction, spacing
        self.counts = counted_voxels(truth, prediction)
        self._surfaces: tuple[Surface, Surface] | None = None

    @property
    def surfaces(self) -> tuple[Surface, Surface]:
        """Surfaces of truth and prediction, neither empty; computed once for all metrics."""
        from samtailor.metrics.surfaces import surfaces

        # No cached_property: before Python 3.12 it has one lock for all instances, and cases are measured in threads.
        if self._surfaces is None:
            self._surfaces = surfaces(self.truth, self.prediction, self.spacing)
        return self._surfaces


@dataclass(frozen=True)
class ClassMetric(ABC):
    """A score that is measured on the masks of each class in each case; its fields are its rule, set by a protocol.

    Attributes:
        key: Its name in files and on the command line.
        title: Its name in tables and figures.
        lower_is_better: Whether less of it is better.
        needs_mm: Whether it is left out of pictures, which have no millimetres.
        needs_pixels: Whether it is left out of volumes that have them.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    lower_is_better: ClassVar[bool] = False
    needs_mm: ClassVar[bool] = False
    needs_pixels: ClassVar[bool] = False

    def suits(self, in_mm: bool) -> bool:
        """Whether it is measured where distances are in mm, or are not."""
        return not (self.needs_pixels if in_mm else self.needs_mm)

    @abstractmethod
    def score(self, masks: ClassMasks) -> float:
        """The score of a class that the truth has."""

    @abstractmethod
    def absent(self, rule: EmptyValues, is_predicted: bool) -> float:
        """The score of a class that the truth does not have, by the protocol's rule; NaN leaves it out."""

    @abstractmethod
    def rules(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """What its numbers depend on, for `metrics.json`; under its own key in a sentence.

        Args:
            classes: Class names, the background first.
        """

    def sentence(self, classes: tuple[str, ...]) -> str:
        """Its rule, for the notes of a table."""
        return str(self.rules(classes)[self.key])

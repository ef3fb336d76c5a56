"""What every corruption is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

SEVERITIES = (1, 2, 3, 4, 5)  # `samtailor.settings.Severity`

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Plane:
    """A slice that is to be corrupted, and what is known of its case.

    Intensities are counted in the robust range of each channel of the case: 0 and 1 are its percentiles 0.5 and 99.5,
    so that a severity means the same for 8-bit pictures and Hounsfield units.

    Attributes:
        image: Intensities, (C, H, W).
        extremes: Smallest and largest intensity of each channel of the case, (2, C, 1, 1).
        mean: Mean of each channel of the case, (C, 1, 1).
        spacing: Distance in mm of rows and columns; None for pictures.
        height: Where the slice lies in its case: -1 the first, 1 the last.
        own: Random numbers of this slice.
        shared: Random numbers that are the same for each slice of the case.
    """

    image: Image
    extremes: Image
    mean: Image
    spacing: tuple[float, float] | None
    height: float
    own: np.random.Generator
    shared: np.random.Generator

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.image.shape[1], self.image.shape[2]

    @property
    def signal(self) -> Image:
        """Intensities without those below the robust range, which noise that grows with the signal does not know."""
        return np.maximum(self.image, 0)


class Corruption(ABC):
    """One kind of damage, in five severities.

    Attributes:
        levels: How much of it the severities 1 to 5 are, in the corruption's own unit.
    """

    levels: ClassVar[tuple[float, float, float, float, float]]

    @abstractmethod
    def __call__(self, plane: Plane, level: float) -> Image:
        """The corrupted intensities of a slice, (C, H, W); those of the plane are left as they are."""


def normal(random: np.random.Generator, *shape: int) -> Image:
    """Independent numbers with mean 0 and standard deviation 1."""
    return random.standard_normal(shape, dtype=np.float32)

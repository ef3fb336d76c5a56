"""What every step of the preprocessing is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class PreprocessingStep(ABC):
    """Changes the image of a case before its intensities become [0, 1].

    Its fields, plain values with defaults, are saved with the segmenter and are part of the keys of the caches.
    """

    @abstractmethod
    def __call__(self, image: NDArray[Any], spacing: tuple[float, float, float] | None) -> NDArray[Any]:
        """The changed image.

        Args:
            image: Intensities as in the file, (C, S, H, W); left as they are.
            spacing: Distance in mm of slices, rows, columns; None for pictures.

        Returns:
            (C, S, H, W).
        """

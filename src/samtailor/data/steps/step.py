"""What every step of the preprocessing is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from samtailor.settings import Checked


@dataclass(frozen=True)
class PreprocessingStep(Checked, ABC, group="denoise"):
    """Changes the image of a case before its intensities become [0, 1].

    Its fields, plain values with defaults and ranges, are saved with the segmenter and are part of the caches' keys.
    """

    def require_ready(self) -> None:
        """Refuse, or fetch, before any work, what the step needs.

        Raises:
            ConfigError: If something is not installed that the step needs.
            WeightsError: If weights cannot be had.
        """
        return

    @abstractmethod
    def __call__(self, image: NDArray[Any], spacing: tuple[float, float, float] | None) -> NDArray[Any]:
        """The changed image.

        Args:
            image: Intensities as in the file, (C, S, H, W); left as they are.
            spacing: Distance in mm of slices, rows, columns; None for pictures.

        Returns:
            (C, S, H, W).
        """

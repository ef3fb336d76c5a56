"""What every step of the refinement is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import Slices
from samtailor.settings import Checked


@dataclass(frozen=True)
class RefinementStep(Checked, ABC, group="refine"):
    """Changes the label of a whole case once all its windows are stitched.

    Its fields, plain values with defaults and ranges, are saved with the segmenter.

    Attributes:
        needs_probabilities: Whether it looks at the class probabilities; they are kept for the whole case then.
    """

    needs_probabilities: ClassVar[bool] = False

    def require_ready(self) -> None:
        """Refuse, before any work, what cannot work here.

        Raises:
            ConfigError: If something is not installed that the step needs.
        """
        return

    @abstractmethod
    def __call__(
        self,
        label: NDArray[np.int16],
        probabilities: NDArray[np.float16] | None,
        slices: Slices,
        spacing: tuple[float, float, float] | None,
    ) -> NDArray[np.int16]:
        """The refined label.

        Args:
            label: Class indices, (S, H, W).
            probabilities: Softmax over classes, (K, S, H, W), may lie on disk; None if no step needs them and nobody
                has asked for them.
            slices: What the network saw, in [0, 1], (S, C, H, W).
            spacing: Distance in mm of slices, rows, columns; None for pictures.

        Returns:
            (S, H, W).
        """

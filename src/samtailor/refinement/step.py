"""What every step of the refinement is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from samtailor.data.intensity import Slices
from samtailor.settings import Checked

if TYPE_CHECKING:
    from torch import Tensor

    from samtailor.models.class_aware import ClassAwareSam, Features


@dataclass(frozen=True)
class Step(Checked, ABC, group="refine"):
    """Changes what the network says of a case.

    Its fields, plain values with defaults and ranges, are saved with the segmenter.
    """

    def require_ready(self) -> None:
        """Refuse, before any work, what cannot work here.

        Raises:
            ConfigError: If something is not installed that the step needs.
        """
        return


@dataclass(frozen=True)
class SecondPass(Step):
    """Applies the network once more to a batch of windows, before they are stitched; the image is not encoded again."""

    @abstractmethod
    def __call__(
        self,
        network: ClassAwareSam,
        features: Features,
        logits: Tensor,
        images: Tensor,
        labels: Sequence[NDArray[np.integer]] | None = None,
    ) -> Tensor:
        """The class logits after it.

        Args:
            network: The class-aware network.
            features: Its feature maps of the windows (see `ClassAwareSam.encode`).
            logits: Class logits of the first pass, (B, K, n, n).
            images: The windows in [0, 1], (B, C, N, N).
            labels: Class indices, (n, n) each, that it goes by instead of the first pass's.

        Returns:
            (B, K, n, n).
        """


@dataclass(frozen=True)
class RefinementStep(Step):
    """Changes the label of a whole case once all its windows are stitched.

    Attributes:
        needs_probabilities: Whether it looks at the class probabilities; they are kept for the whole case then.
    """

    needs_probabilities: ClassVar[bool] = False

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

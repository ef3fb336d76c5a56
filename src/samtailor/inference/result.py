"""Segmenting one case that has been read: prepared as in training, predicted, ready to be saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Case
from samtailor.data.intensity import Scaled
from samtailor.inference.predictor import Predictor
from samtailor.inference.room import room_for
from samtailor.labels import LabelSpace


@dataclass(frozen=True)
class Result:
    """What a segmenter found in a case.

    Attributes:
        case: The case, without label.
        slices: What the network saw of it, in [0, 1], (S, C, H, W); computed where they are looked at.
        label: Class indices, (S, H, W).
        labels: The classes.
        probabilities: Softmax over classes, (K, S, H, W), if asked for; before the refinement.
    """

    case: Case
    slices: Scaled
    label: NDArray[np.int16]
    labels: LabelSpace
    probabilities: NDArray[np.float16] | None = None

    def save(self, path: str | Path) -> None:
        """Write the label in the geometry of the input.

        Args:
            path: File to write. Its suffix says which of the kinds that the input's format has: `.nii.gz` and `.nii`
                for volumes, `.png` for pictures.

        Raises:
            FileError: If the suffix is of none of them.
        """
        self.case.geometry.write_label(Path(path), self.label, self.labels)

    def save_probabilities(self, path: str | Path) -> None:
        """Write the probabilities in the input's geometry.

        Raises:
            ValueError: If they were not asked for.
        """
        if self.probabilities is None:
            raise ValueError("predict with probabilities=True first")
        self.case.geometry.write_probabilities(Path(path), self.probabilities)


def segment(predictor: Predictor, case: Case, probabilities: bool = False, scratch: Path | None = None) -> Result:
    """Segment a case of the segmenter's number of channels; a nameless file in `scratch` may hold the probabilities."""
    slices = predictor.model.preprocessing.prepare(case)
    softmax = room_for(predictor.probabilities_shape(slices), scratch) if probabilities else None
    label = predictor.label(slices, case.geometry.spacing, probabilities=softmax)
    return Result(case, slices, label, predictor.model.labels, softmax)

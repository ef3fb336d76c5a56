"""Bright objects on a dark ground whose label is a few voxels off: what steps at boundaries are to put right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samtailor.refinement.step import RefinementStep

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """Truth (S, H, W), slices (S, C, H, W), and a softmax (K, S, H, W) that is not quite right."""

    truth: NDArray[np.int16]
    slices: NDArray[np.float16]
    probabilities: NDArray[np.float16]
    spacing: Spacing | None = None

    @property
    def label(self) -> NDArray[np.int16]:
        return self.probabilities.argmax(axis=0).astype(np.int16)

    def refined(self, step: RefinementStep) -> NDArray[np.int16]:
        return step(self.label, self.probabilities, self.slices, self.spacing)

    def dice(self, label: NDArray[np.int16], class_id: int = 1) -> float:
        one, other = self.truth == class_id, label == class_id
        return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def scene_of(
    truth: NDArray[np.int16],
    predicted: NDArray[np.int16],
    classes: int,
    channels: int = 1,
    spacing: Spacing | None = None,
    blur: float = 2.0,
) -> Scene:
    """Class k has intensity 0.2 + 0.3 k, with a little noise; the softmax is the predicted label, blurred."""
    noise = np.random.default_rng(0).normal(0, 0.03, (len(truth), channels, *truth.shape[1:]))
    slices = np.clip(0.2 + 0.3 * truth[:, None] + noise, 0, 1).astype(np.float16)
    steps = (1.0, 1.0, 1.0) if spacing is None else spacing
    sigma = [0 if spacing is None and axis == 0 else blur / step for axis, step in enumerate(steps)]
    one_hot = [ndimage.gaussian_filter((predicted == k).astype(np.float32), sigma) for k in range(classes)]
    return Scene(truth, slices, np.stack(one_hot).astype(np.float16), spacing)


def disc(
    shape: tuple[int, ...], centre: tuple[float, ...], radius: float, spacing: tuple[float, ...]
) -> NDArray[np.bool_]:
    """A ball of a radius in mm or pixels."""
    places = np.indices(shape) * np.reshape(spacing, (-1, *(1,) * len(shape)))
    return np.asarray(((places - np.reshape(centre, (-1, *(1,) * len(shape)))) ** 2).sum(axis=0) <= radius**2)


def picture(channels: int = 1) -> Scene:
    """A disc that was predicted three pixels too far right and down."""
    truth, predicted = (disc((48, 52), centre, 12, (1, 1))[None] for centre in ((22, 24), (25, 27)))
    return scene_of(truth.astype(np.int16), predicted.astype(np.int16), 2, channels)


def volume(spacing: Spacing = (1.0, 1.0, 1.0)) -> Scene:
    """A ball of 10 mm that was predicted 3 mm off in every slice, in a volume of 30 x 34 x 36 mm."""
    shape = tuple(round(length / step) for length, step in zip((30, 34, 36), spacing, strict=True))
    truth, predicted = (disc(shape, centre, 10, spacing) for centre in ((14, 16, 17), (14, 18, 19)))
    return scene_of(truth.astype(np.int16), predicted.astype(np.int16), 2, spacing=spacing)

"""Random changes of training images, by MONAI; each sample's seed decides them."""

from __future__ import annotations

import math
from typing import Any

from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandAffineGrid,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from torch import Tensor

from samtailor.data.channels import COLOURS
from samtailor.settings import Flip
from samtailor.training.settings import AugmentConfig

AXES: dict[Flip, tuple[int, ...]] = {"none": (), "columns": (1,), "both": (0, 1)}
"""Axes of a slice (H, W) by the name of the flips."""


class _AffineGrid(RandAffineGrid):  # type: ignore[misc]  # MONAI hides its types
    """Rotates, shifts along both axes, and zooms: one factor for both, where MONAI draws one for each.

    MONAI leaves an axis that has no range of its own as it is, so a single number would speak of the rows alone.
    """

    def __init__(self, rotate: float, zoom: float, shift: float) -> None:
        """Take the largest angle in radians, change of size as a fraction, and shift in pixels."""
        super().__init__(rotate_range=rotate, translate_range=(shift, shift), scale_range=(zoom,))

    def randomize(self, data: Any | None = None) -> None:
        """Draw an angle, a shift along each axis and a factor."""
        super().randomize(data)
        self.scale_params: list[float] = 2 * self.scale_params


class Augmentation:
    """Flips, affine maps and changes of intensity of an image and its target alike."""

    def __init__(self, config: AugmentConfig, image_size: int) -> None:
        """Build the transforms; `flip` and `rotate` must not be 'auto' any more."""
        if config.flip == "auto" or config.rotate == "auto":
            raise ValueError("augment.flip and augment.rotate must be resolved before training")
        both = ("image", "target")
        affine = RandAffined(both, prob=config.affine, mode=("bilinear", "nearest"), padding_mode="reflection")
        affine.rand_affine.rand_affine_grid = _AffineGrid(
            math.radians(config.rotate), config.zoom, config.shift * image_size
        )
        flips = (RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in AXES[config.flip])
        self._changes = Compose(  # one for all: of its seed each change gets one of its own
            [
                *flips,
                affine,
                RandAdjustContrastd("image", prob=config.intensity, gamma=(0.7, 1.5)),
                RandScaleIntensityd("image", prob=config.intensity, factors=0.2),
                RandShiftIntensityd("image", prob=config.intensity, offsets=0.1),
                RandGaussianNoised("image", prob=config.intensity, std=0.05),
                RandGaussianSmoothd("image", prob=config.intensity, sigma_x=(0.3, 1.0), sigma_y=(0.3, 1.0)),
            ]
        )

    def __call__(self, image: Tensor, target: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Change one sample, (C, N, N) in [0, 1] and (N, N) class indices; the seed decides every random choice.

        What is gray stays gray: noise does not colour it.
        """
        channels = len(image)
        gray = channels == COLOURS and bool((image == image[:1]).all())
        self._changes.set_random_state(seed)
        sample = self._changes({"image": image[:1] if gray else image, "target": target[None].float()})
        changed = sample["image"].as_tensor().clamp(0, 1).expand(channels, -1, -1)
        return changed, sample["target"].as_tensor()[0].round().long()

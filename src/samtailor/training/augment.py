"""Random changes of training images, by MONAI; each sample's seed decides them."""

from __future__ import annotations

import math
from typing import Literal

from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from torch import Tensor

from samtailor.training.settings import AugmentConfig

_AXES: dict[Literal["none", "columns", "both"], tuple[int, ...]] = {"none": (), "columns": (1,), "both": (0, 1)}


class Augmentation:
    """Flips, affine maps and changes of intensity of an image and its target alike."""

    def __init__(self, config: AugmentConfig, image_size: int) -> None:
        """Build the transforms; `flip` must not be 'auto' any more."""
        if config.flip == "auto":
            raise ValueError("augment.flip must be resolved before training")
        self._spatial = Compose(
            [
                *(RandFlipd(("image", "target"), prob=0.5, spatial_axis=axis) for axis in _AXES[config.flip]),
                RandAffined(
                    ("image", "target"),
                    prob=config.affine,
                    rotate_range=math.radians(config.rotate),
                    scale_range=config.zoom,
                    translate_range=config.shift * image_size,
                    mode=("bilinear", "nearest"),
                    padding_mode="reflection",
                    cache_grid=False,
                ),
            ]
        )
        self._intensity = Compose(
            [
                RandAdjustContrastd("image", prob=config.intensity, gamma=(0.7, 1.5)),
                RandScaleIntensityd("image", prob=config.intensity, factors=0.2),
                RandShiftIntensityd("image", prob=config.intensity, offsets=0.1),
                RandGaussianNoised("image", prob=config.intensity, std=0.05),
                RandGaussianSmoothd("image", prob=config.intensity, sigma_x=(0.3, 1.0), sigma_y=(0.3, 1.0)),
            ]
        )

    def __call__(self, image: Tensor, target: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Change one sample, (3, N, N) in [0, 1] and (N, N) class indices; the seed decides every random choice."""
        self._spatial.set_random_state(seed)
        self._intensity.set_random_state(seed)
        sample = self._intensity(self._spatial({"image": image, "target": target[None].float()}))
        return sample["image"].as_tensor().clamp(0, 1), sample["target"].as_tensor()[0].round().long()

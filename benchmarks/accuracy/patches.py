"""What peers are trained on: patches of slices at their own resolution, changed as nnU-Net changes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandRotated,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
    RandSimulateLowResolutiond,
    RandZoomd,
)
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.accuracy.peers import Patch
from samtailor.labels import IGNORE
from samtailor.settings import Flip
from samtailor.training.augment import AXES
from samtailor.training.samples import SliceReference, label_of, pixel_of

FOREGROUND = 1 / 3
"""Share of the patches that are centred on a pixel of a foreground class (nnU-Net's oversampling)."""

_BOTH = ("image", "target")


class Patches:
    """Random patches of slices."""

    def __init__(
        self, slices: Sequence[SliceReference], patch: Patch, mean: Tensor, std: Tensor, flip: Flip, seed: int
    ) -> None:
        """Draw from slices.

        Args:
            slices: What is drawn from.
            patch: Rows and columns.
            mean: Of each channel, (C, 1, 1).
            std: Of each channel, (C, 1, 1).
            flip: Axes that SamTailor's own augmentation flips: 'none', 'columns', 'both'.
            seed: Of everything random.
        """
        self._slices = slices
        self._patch = patch
        self._mean, self._std = mean, std
        self._random = np.random.default_rng(seed)
        self._change = _augmentation(flip)
        self._change.set_random_state(seed)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Normalised images (B, C, h, w) and targets (B, h, w), `IGNORE` beyond the slices."""
        images, targets = zip(*(self._drawn() for _ in range(size)), strict=True)
        return torch.stack(images), torch.stack(targets)

    def _drawn(self) -> tuple[Tensor, Tensor]:
        random = self._random
        reference = self._slices[random.integers(len(self._slices))]
        label = np.asarray(label_of(reference.case)[reference.index])
        centre = random.integers((0, 0), label.shape)
        present = 1 + np.flatnonzero(reference.case.counts[reference.index, 1:])
        if len(present) and random.random() < FOREGROUND:
            centre = pixel_of(label, random.choice(present), random)
        image = torch.from_numpy(np.asarray(reference.case.image[reference.index], np.float32))
        normalised = ((image - self._mean) / self._std).numpy()
        # Changes fill with zeros: the mean of an image, and here of a target what counts nowhere.
        sample = self._change(
            {
                "image": torch.from_numpy(_cut(normalised, centre, self._patch)),
                "target": torch.from_numpy(_cut(label[None].astype(np.float32) - IGNORE, centre, self._patch)),
            }
        )
        image, target = (convert_to_tensor(sample[name], track_meta=False) for name in _BOTH)
        return image, target[0].round().long() + IGNORE


def _cut(image: NDArray[np.float32], centre: NDArray[np.int64], patch: Patch) -> NDArray[np.float32]:
    """Patch of (C, H, W) around a pixel, moved inside the slice where it fits, filled with zeros where it does not."""
    places, margins = [], []
    for middle, side, length in zip(centre.tolist(), patch, image.shape[1:], strict=True):
        start = max(0, min(middle - side // 2, length - side))
        places.append(slice(start, start + side))
        missing = max(0, side - length)
        margins.append((missing // 2, missing - missing // 2))
    return np.pad(image[:, places[0], places[1]], [(0, 0), *margins])


def _augmentation(flip: Flip) -> Compose:
    """nnU-Net's changes of 2-D patches, with its probabilities, as far as MONAI has them.

    Isensee et al., Nature Methods 18 (2021), supplementary note 4.
    """
    return Compose(
        [
            RandRotated(_BOTH, range_x=math.pi, prob=0.2, mode=("bilinear", "nearest"), padding_mode="zeros"),
            RandZoomd(
                _BOTH, min_zoom=0.7, max_zoom=1.4, prob=0.2, mode=("bilinear", "nearest"), padding_mode="constant"
            ),
            RandGaussianNoised("image", std=0.1, prob=0.1),
            RandGaussianSmoothd("image", sigma_x=(0.5, 1.0), sigma_y=(0.5, 1.0), prob=0.2),
            RandScaleIntensityd("image", factors=0.25, prob=0.15),
            RandScaleIntensityFixedMeand("image", factors=0.25, preserve_range=True, prob=0.15),
            RandSimulateLowResolutiond("image", zoom_range=(0.5, 1.0), upsample_mode="bilinear", prob=0.25),
            RandAdjustContrastd("image", gamma=(0.7, 1.5), invert_image=True, retain_stats=True, prob=0.1),
            RandAdjustContrastd("image", gamma=(0.7, 1.5), retain_stats=True, prob=0.3),
            *(RandFlipd(_BOTH, prob=0.5, spatial_axis=axis) for axis in AXES[flip]),
        ]
    )

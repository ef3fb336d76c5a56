"""From an image to the network's input, as the authors of each base prepare it, and how masks come back.

SAM and those built on it: longest side resized, Pillow's bilinear filter on 8-bit values, padded after normalisation.
MedSAM and LiteMedSAM want images stretched to [0, 1]. SAM 2: resized to a square, as a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from samtailor.errors import ConfigError, DataError
from samtailor.models.zoo import ZERO_ONE, Base
from samtailor.zeroshot.crops import Crop
from samtailor.zeroshot.upsampling import Taps, Upsampling


@dataclass(frozen=True)
class InputRule:
    """How a base wants its images; `side` is that of the network's input, in pixels."""

    base: Base
    side: int

    @classmethod
    def of(cls, base: Base, image_size: int | None) -> InputRule:
        """Rule of a base, at the side of its pretraining if `image_size` is None."""
        side = image_size or base.image_size
        least = max(32, 2 * base.stride)
        if side < least or side % base.stride:
            raise ConfigError(
                f"image_size: expected a multiple of {base.stride}, at least {least}, for {base.name}; found {side}"
            )
        return cls(base, side)

    @property
    def is_square(self) -> bool:
        """Whether images are stretched to a square; otherwise their longest side is resized and they are padded."""
        return self.base.family == "sam2"

    def stretched(self, image: NDArray[Any]) -> NDArray[Any]:
        """The image (H, W, 3) as `tensor` wants it: stretched to all of [0, 1] for bases that were trained so."""
        if (self.base.mean, self.base.std) != ZERO_ONE:
            return image
        low, high = float(image.min()), float(image.max())
        stretched: NDArray[np.float32] = (image.astype(np.float32) - low) / max(high - low, 1e-8)
        return stretched

    def taken(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the network's input that show an image of a size."""
        if self.is_square:
            return self.side, self.side
        scale = self.side / max(size)
        return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)

    def tensor(self, image: NDArray[Any]) -> Tensor:
        """Network input (1, 3, side, side), float32, of an image or a crop (H, W, 3), uint8, or float in [0, 1]."""
        height, width = self.taken((image.shape[0], image.shape[1]))
        if image.dtype == np.uint8 and not self.is_square:
            # Pillow rounds to 8 bits after each of its two passes; so the authors' images are rounded.
            resized = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
            pixels = torch.from_numpy(resized).permute(2, 0, 1)[None].float()
        else:
            floats = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
            pixels = torch.from_numpy(floats)[None] / (255 if image.dtype == np.uint8 else 1)
            pixels = F.interpolate(pixels, (height, width), mode="bilinear", align_corners=False, antialias=True)
        whole = 255.0 if image.dtype == np.uint8 and not self.is_square else 1.0
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) * whole for values in (self.base.mean, self.base.std))
        return F.pad((pixels - mean) / std, (0, self.side - width, 0, self.side - height))

    def upsampling(self, crop: Crop, size: tuple[int, int], cells: int) -> Upsampling:
        """How low-resolution masks (cells, cells) of a crop become masks of the image of a size."""
        taken = self.taken(crop.size)
        rows, columns = (
            Taps.of([(length, length)] if self.is_square else [(self.side, part), (length, length)], cells)
            for length, part in zip(crop.size, taken, strict=True)
        )
        return Upsampling(rows, columns, crop, size)

    def places(self, points: NDArray[np.float64], crop: Crop) -> Tensor:
        """Points in pixels of a crop to pixels of the network's input, (..., 2) to the same; x before y."""
        height, width = crop.size
        if self.is_square:  # in single precision, as SAM 2's authors compute them
            shape = torch.tensor([width, height], dtype=torch.float32)
            return torch.from_numpy(points).float() / shape * self.side
        rows, columns = self.taken(crop.size)
        return torch.from_numpy(points * (columns / width, rows / height))


def as_picture(image: str | Path | NDArray[Any]) -> NDArray[Any]:
    """An image file or array, gray or RGB, as (H, W, 3), uint8 or float in [0, 1]."""
    if isinstance(image, str | Path):
        image = _read(Path(image))
    if image.dtype == np.float16:
        image = image.astype(np.float32)
    is_float = image.dtype.kind == "f"
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or not image.size:
        shape = " x ".join(map(str, image.shape))
        raise DataError(f"image: expected rows x columns, or rows x columns x 3; found {shape}; choose the channels")
    if image.dtype != np.uint8 and not is_float:
        raise DataError(f"image: expected 8-bit integers, or floats in [0, 1]; found {image.dtype}; scale it to [0, 1]")
    if is_float and not (image.min() >= 0 and image.max() <= 1):
        raise DataError(
            f"image: expected floats in [0, 1], found {image.min():g} to {image.max():g}; scale it, or give uint8"
        )
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def _read(path: Path) -> NDArray[Any]:
    """Pixels of a picture file, (H, W, 3); more than 8 bits are scaled by their range."""
    from samtailor.data.formats import read_image
    from samtailor.errors import FileError

    pixels = read_image(path, None).image  # (C, S, H, W)
    if pixels.shape[1] != 1 or pixels.shape[0] not in (1, 3):
        found = f"{pixels.shape[0]} channels and {pixels.shape[1]} slices"
        raise FileError(path, "a gray or RGB picture", found, "give one slice as an array")
    picture = np.moveaxis(pixels[:, 0], 0, -1)
    if picture.dtype != np.uint8:
        low, high = float(picture.min()), float(picture.max())
        picture = ((picture.astype(np.float32) - low) / max(high - low, 1e-8)).astype(np.float32)
    return np.ascontiguousarray(picture if picture.shape[2] == 3 else np.repeat(picture, 3, axis=2))

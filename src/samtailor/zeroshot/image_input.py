"""From an image, or a crop of it, to the network's input as the authors of each base prepare it, and back to masks.

SAM and those built on it: longest side resized, Pillow's bilinear filter on 8-bit values, padded after normalisation.
MedSAM and LiteMedSAM want images stretched to [0, 1]. SAM 2: resized to a square, as a tensor.

The originals enlarge every mask to the network's input and from there to the image, both bilinearly. Both steps are one
short weighted sum along each axis; and where all low-resolution logits are below the lower of the two thresholds, the
enlarged ones are too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from samtailor.errors import ConfigError, DataError, counted
from samtailor.models.zoo import ZERO_ONE, Base
from samtailor.zeroshot.masks import Runs, column_runs, joined

EDGE_TOLERANCE = 20.0
"""Pixels between the sides of a mask's box and of its crop below which the mask counts as cut (both originals)."""
_BLOCK = 1 << 21
"""Pixels of the image that are computed at once."""


@dataclass(frozen=True)
class Crop:
    """A part of an image, `right` and `bottom` excluded; layer 0 is the whole image, larger ones have smaller parts."""

    left: int
    top: int
    right: int
    bottom: int
    layer: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


def point_grid(per_side: int) -> NDArray[np.float64]:
    """Centres of a grid's cells in [0, 1], x and y, row by row, (per_side ** 2, 2)."""
    half = 1 / (2 * per_side)
    along = np.linspace(half, 1 - half, per_side)
    y, x = np.meshgrid(along, along, indexing="ij")
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def crops_of(size: tuple[int, int], layers: int, overlap_ratio: float) -> list[Crop]:
    """The image, then the crops of each layer, 2^i along a side, column by column.

    `overlap_ratio` is the overlap of the first layer's crops, as a fraction of the shorter side;
    it halves from layer to layer.
    """
    height, width = size
    crops = [Crop(0, 0, width, height)]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(overlap_ratio * min(size) * (2 / count))
        side_x, side_y = (math.ceil((overlap * (count - 1) + length) / count) for length in (width, height))
        for i in range(count):
            for j in range(count):
                x, y = (side_x - overlap) * i, (side_y - overlap) * j
                crops.append(Crop(x, y, min(x + side_x, width), min(y + side_y, height), layer))
    # Of an image that is a few pixels wide some are empty.
    return [crop for crop in crops if min(crop.size) > 0]


def is_cut(box: tuple[int, int, int, int], crop: Crop, size: tuple[int, int]) -> bool:
    """Whether a mask's box, in pixels of the image, ends where its crop does although the image goes on."""
    image = (0, 0, size[1], size[0])
    return any(
        abs(side - border) <= EDGE_TOLERANCE and abs(side - end) > EDGE_TOLERANCE
        for side, border, end in zip(box, crop.sides, image, strict=True)
    )


@dataclass(frozen=True)
class InputRule:
    """How a base wants its images; `side` is that of the network's input, in pixels."""

    base: Base
    side: int

    @classmethod
    def from_base(cls, base: Base, image_size: int | None) -> InputRule:
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
        return _to_unit(image) if (self.base.mean, self.base.std) == ZERO_ONE else image

    def taken(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the network's input that show an image of a size."""
        if self.is_square:
            return self.side, self.side
        scale = self.side / max(size)
        rows, columns = (max(1, int(length * scale + 0.5)) for length in size)
        return rows, columns

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
            Taps.from_sides([(length, length)] if self.is_square else [(self.side, part), (length, length)], cells)
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


def _to_unit(image: NDArray[Any]) -> NDArray[np.float32]:
    """An image stretched to all of [0, 1]."""
    low, high = float(image.min()), float(image.max())
    return ((image.astype(np.float32) - low) / max(high - low, 1e-8)).astype(np.float32, copy=False)


def _read(path: Path) -> NDArray[Any]:
    """Pixels of a picture file, (H, W, 3); more than 8 bits are scaled by their range."""
    from samtailor.data.formats import read_image
    from samtailor.errors import FileError

    pixels = read_image(path, None).image  # (C, S, H, W)
    if pixels.shape[1] != 1 or pixels.shape[0] not in (1, 3):
        found = f"{counted(pixels.shape[0], 'channel')} and {counted(pixels.shape[1], 'slice')}"
        raise FileError(path, "a gray or RGB picture", found, "give one slice as an array")
    picture = np.moveaxis(pixels[:, 0], 0, -1)
    if picture.dtype != np.uint8:
        picture = _to_unit(picture)
    return np.ascontiguousarray(picture if picture.shape[2] == 3 else np.repeat(picture, 3, axis=2))


@dataclass(frozen=True)
class Taps:
    """Bilinear enlargement along one axis: of each pixel the first low-resolution one that counts, and the weights."""

    first: NDArray[np.intp]  # (N,)
    weights: NDArray[np.float32]  # of it and the following ones, (taps, N)

    @classmethod
    def from_sides(cls, sides: list[tuple[int, int]], cells: int) -> Taps:
        """Enlargement of low-resolution pixels in steps: the side of each, and how much of that the next step takes."""
        weights = torch.eye(cells)[None]
        for side, taken in sides:
            weights = F.interpolate(weights, side, mode="linear", align_corners=False)[..., :taken]
        dense = weights[0].numpy()  # (cells, N)
        first = (dense != 0).argmax(axis=0)
        last = cells - 1 - (dense[::-1] != 0).argmax(axis=0)
        taps = int((last - first).max()) + 1
        first = np.minimum(first, cells - taps)
        return cls(first, dense[first + np.arange(taps)[:, None], np.arange(dense.shape[1])])

    def reach(self, used: NDArray[np.bool_]) -> slice:
        """Pixels that depend on any of the low-resolution pixels (cells,) in use; nothing if none is."""
        found = np.flatnonzero(used[self.first + np.arange(len(self.weights))[:, None]].any(axis=0))
        return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)

    def apply(self, rows: NDArray[np.float32], part: slice) -> NDArray[np.float32]:
        """A part of the enlargement of the first axis, (cells, M) to (part, M)."""
        first = self.first[part]
        total = rows[first] * self.weights[0, part, None]
        for tap in range(1, len(self.weights)):
            total += rows[first + tap] * self.weights[tap, part, None]
        return total


@dataclass(frozen=True)
class Upsampling:
    """How low-resolution logits lie in a crop of an image of a size, and how their rows and columns are enlarged."""

    rows: Taps
    columns: Taps
    crop: Crop
    size: tuple[int, int]

    def mask(
        self, logits: NDArray[np.float32], threshold: float, offset: float, least_stability: float
    ) -> tuple[Runs, float] | None:
        """The mask of low-resolution logits, and its stability.

        Args:
            logits: (h, w).
            threshold: Logit above which a pixel belongs to the mask.
            offset: How much higher and lower the thresholds of the stability are.
            least_stability: Masks of a lower stability are not wanted; from 0 all masks are.

        Returns:
            Runs in the image, and the IoU of the mask at the higher and at the lower threshold; None if it is not
            wanted.
        """
        possible = logits > threshold - offset
        rows = self.rows.reach(np.any(possible, axis=1))
        columns = self.columns.reach(np.any(possible, axis=0))
        if rows.start == rows.stop:  # not a pixel, even at the lower threshold: the stability is not defined
            return None if least_stability > 0 else (joined(self.size), float("nan"))
        by_column = np.ascontiguousarray(self.rows.apply(logits, rows).T)  # (low-resolution columns, rows)
        step = max(1, _BLOCK // (rows.stop - rows.start))
        parts = []
        higher = lower = 0
        for start in range(columns.start, columns.stop, step):
            block = self.columns.apply(by_column, slice(start, min(start + step, columns.stop)))
            higher += int(np.count_nonzero(block > threshold + offset))
            lower += int(np.count_nonzero(block > threshold - offset))
            left, top = self.crop.left + start, self.crop.top + rows.start
            parts.append(column_runs(block > threshold, left, top, self.size[0]))
        stability = float(np.float32(higher) / np.float32(lower)) if lower else float("nan")
        if least_stability > 0 and not stability >= least_stability:
            return None
        return joined(self.size, parts), stability

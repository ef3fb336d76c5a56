"""What a browser is given of an image: bytes, or whole numbers of 16 bits, and the window that shows them first.

Pictures in colours of 8 bits, and images of one channel in whole numbers that fit into 8 or 16 bits with sign (CT in HU
among them), are given as they are: the page windows them itself. Others are changed, for display only, what networks
and files get is untouched. One channel of floats or wider numbers: least to greatest finite value become 0 to 32767.
Colours that are no bytes: the 0.5th to 99.5th percentile of all three together become 0 to 255. Of more channels the
first three of a picture, and the first of a volume, are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import blocks
from samtailor.data.case import Case, Geometry
from samtailor.data.intensity import CTWindow, Intensity
from samtailor.errors import FileError
from samtailor.reporting.view import drawn_channels

MOST_VOXELS = 64 << 20
"""Voxels of an image that a browser can hold, with its label."""
MOST_SIDE = 8192
"""Pixels along a side of a canvas."""
CT_WINDOWS = (
    ("Soft tissue", 40, 400),
    ("Liver", 60, 160),
    ("Lung", -600, 1500),
    ("Bone", 400, 1800),
    ("Brain", 40, 80),
    ("Mediastinum", 50, 350),
)
"""Names, levels and widths (HU) of the windows that CT is looked at with."""
_AIR = -900
"""HU below which there is air only; no other kind of volume has such numbers."""
_SAMPLES = 1 << 20
"""Numbers that percentiles are taken of."""


@dataclass(frozen=True)
class ShownImage:
    """An image for a browser.

    Attributes:
        pixels: (S, H, W) in bytes or whole numbers of 16 bits with sign; colours (S, H, W, 3) in bytes.
        window: The least number that is shown black, and the greatest that is shown white.
        is_ct: Whether numbers are HU.
    """

    pixels: NDArray[Any]
    window: tuple[float, float]
    is_ct: bool = False

    @property
    def channels(self) -> int:
        """1, or 3 of colours."""
        return 3 if self.pixels.ndim == 4 else 1

    def gray(self, index: int) -> NDArray[np.uint8]:
        """A slice as the window shows it first, (H, W), or its colours, (H, W, 3)."""
        plane = self.pixels[index]
        if self.channels == 3:
            return np.asarray(plane, np.uint8)
        low, high = self.window
        scaled = (plane.astype(np.float32) - low) * (255 / max(high - low, 1e-6))
        return np.asarray(np.clip(scaled, 0, 255).round(), np.uint8)


def require_shown(file: Any, geometry: Geometry) -> None:
    """Refuse an image that a browser cannot hold.

    Raises:
        FileError: Naming its size.
    """
    slices, height, width = geometry.shape
    found = f"{slices} x {height} x {width}"
    fix = "cut it into parts; samtailor predict takes it as it is"
    if slices * height * width > MOST_VOXELS:
        raise FileError(file, f"an image of at most {MOST_VOXELS / 1e6:.0f} million pixels, to be shown", found, fix)
    if slices == 1 and max(height, width) > MOST_SIDE:
        raise FileError(file, f"a picture of at most {MOST_SIDE} pixels along a side, to be shown", found, fix)


def shown_image(case: Case, channels: Sequence[str] = (), intensity: Intensity | None = None) -> ShownImage:
    """What a browser is given of a case.

    It is CT if the data set calls its channel so, or a segmenter sees it through a CT window; or if it is a volume in
    whole numbers with values only air has (below -900), which the data set calls nothing else.

    Args:
        case: The case.
        channels: What the data set calls its channels.
        intensity: How a segmenter sees it, if there is one.
    """
    is_picture = case.geometry.spacing is None
    image = case.image[drawn_channels(len(case.image), is_picture)]
    if len(image) == 3:
        pixels = image if image.dtype == np.uint8 else _as_bytes(image, *_percentiles(image))
        return ShownImage(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)), (0.0, 255.0))
    gray = image[0]
    whole = _as_whole_numbers(gray)
    named = [name.lower() for name in channels[:1]]
    is_ct = not is_picture and (named == ["ct"] or isinstance(intensity, CTWindow))
    if not is_ct and not is_picture and named in ([], ["image"]) and whole is not None:
        is_ct = bool(whole.min() < _AIR)
    if is_ct and whole is None and gray.dtype.kind == "f":  # HU with fractions
        whole = np.asarray(np.clip(gray.round(), -32768, 32767), np.int16)
    if whole is None:
        whole = _stretched(gray)
    if is_ct:
        own = intensity if isinstance(intensity, CTWindow) else CTWindow()
        return ShownImage(whole, own.limits(whole), is_ct=True)
    if whole.dtype == np.uint8 and is_picture:
        return ShownImage(whole, (0.0, 255.0))
    low, high = _percentiles(whole)
    return ShownImage(whole, (low, max(high, low + 1)))


def windows_of(shown: ShownImage) -> list[dict[str, Any]]:
    """Windows by name, of CT; none of other images."""
    if not shown.is_ct:
        return []
    return [{"name": name, "low": level - width / 2, "high": level + width / 2} for name, level, width in CT_WINDOWS]


def _as_whole_numbers(gray: NDArray[Any]) -> NDArray[Any] | None:
    """The same numbers in 8 bits, or 16 with sign; None if they are other ones."""
    if gray.dtype in (np.uint8, np.int16):
        return gray
    low, high = gray.min(), gray.max()
    if not (low >= -32768 and high <= 32767):
        return None
    if gray.dtype.kind == "f" and not all((part == part.round()).all() for part in _parts(gray)):
        return None
    return gray.astype(np.int16)


def _stretched(gray: NDArray[Any]) -> NDArray[np.int16]:
    """The least to the greatest number as 0 to 32767."""
    low, high = float(gray.min()), float(gray.max())
    result = np.empty(gray.shape, np.int16)
    for part in blocks(gray.shape):
        result[part] = ((gray[part].astype(np.float64) - low) * (32767 / max(high - low, 1e-12))).round()
    return result


def _as_bytes(image: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Numbers between two as 0 to 255."""
    result = np.empty(image.shape, np.uint8)
    for part in blocks(image.shape):
        scaled = (image[part].astype(np.float32) - low) * (255 / max(high - low, 1e-12))
        result[part] = np.clip(scaled, 0, 255).round()
    return result


def _percentiles(image: NDArray[Any]) -> tuple[float, float]:
    """The 0.5th and the 99.5th, of every n-th number of a large image."""
    flat = image.reshape(-1)
    low, high = np.percentile(flat[:: max(1, flat.size // _SAMPLES)], (0.5, 99.5))
    return float(low), float(high)


def _parts(array: NDArray[Any]) -> list[NDArray[Any]]:
    return [array[part] for part in blocks(array.shape)]

"""Intensity scaling: file values to [0, 1], chosen in the config and saved with the segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import blocks
from samtailor.errors import ConfigError, DataError
from samtailor.settings import Checked, Finite, IntensityConfig, Within

Percent = Annotated[float, Within(0, 100)]


@dataclass(frozen=True)
class CTWindow(Checked):
    """A CT window: level minus half the width becomes 0, level plus half the width becomes 1 (HU)."""

    level: Finite = 40.0
    width: Annotated[float, Within(0, above=True)] = 400.0

    def limits(self, image: NDArray[Any]) -> tuple[float, float]:
        """Intensities that become 0 and 1."""
        return self.level - self.width / 2, self.level + self.width / 2


@dataclass(frozen=True)
class Range(Checked):
    """A fixed range of intensities; its own values are the range of eight bits."""

    low: Finite = 0.0
    high: Finite = 255.0

    def limits(self, image: NDArray[Any]) -> tuple[float, float]:
        """Intensities that become 0 and 1."""
        return self.low, self.high


@dataclass(frozen=True)
class Percentile(Checked):
    """Percentiles of each case; 0 and 100 is min-max scaling."""

    low: Percent = 0.5
    high: Percent = 99.5

    def limits(self, image: NDArray[Any]) -> tuple[float, float]:
        """Intensities that become 0 and 1."""
        low, high = np.percentile(image, (self.low, self.high))
        return float(low), float(high)


Intensity = CTWindow | Range | Percentile

KINDS: dict[str, type[Intensity]] = {"window": CTWindow, "range": Range, "percentile": Percentile}
"""The ways of scaling, by their names in settings and files."""


def resolve_intensity(config: IntensityConfig, bits: int | None, channels: Sequence[str]) -> IntensityConfig:
    """The kind that bits (of pictures; None for volumes) and channel names suggest, and the kind's own values."""
    kind = config.kind
    if kind == "auto":
        ct = {channel.upper() for channel in channels} == {"CT"}
        kind = "range" if bits == 8 else "window" if ct else "percentile"
    values = config.values or tuple(vars(KINDS[kind]()).values())
    if kind == "window" and values[1] <= 0:
        raise ConfigError(f"intensity.values: expected a width above 0, found {values[1]}")
    if kind != "window" and values[0] >= values[1]:
        raise ConfigError(f"intensity.values: expected low < high, found {list(values)}")
    return IntensityConfig(kind, values)


def intensity_of(config: IntensityConfig) -> Intensity:
    """Intensity scaling of a resolved config."""
    assert config.values is not None
    return KINDS[config.kind](*config.values)


def require_scale(pixels: NDArray[Any], intensity: Intensity) -> None:
    """Refuse a picture of another scale than a fixed range: it would be black or white all over.

    Raises:
        DataError: If the range is that of 8 bits and the picture has more, or the other way round, or goes from 0 to 1.
    """
    if not isinstance(intensity, Range):
        return
    found = ""
    if pixels.dtype == np.uint8:
        found = "" if intensity.high <= 255 else "8 bits"
    elif intensity == Range():
        low, high = pixels.min(), pixels.max()
        if pixels.dtype.kind in "iu" and (low < 0 or high > 255):
            found = f"{pixels.dtype} from {low} to {high}"
        elif pixels.dtype.kind == "f" and 0 < high <= 1:
            found = f"at most {high:g}"
    if found:
        expected = f"intensities from {intensity.low:g} to {intensity.high:g}, as in training"
        fix = "convert the picture to the training's scale, or train with --intensity.kind percentile"
        raise DataError(f"expected {expected}, found {found}; {fix}")


def scale(image: NDArray[Any], intensity: Intensity) -> NDArray[np.float16]:
    """Intensities in [0, 1], clipped.

    Half precision holds 11 bits, finer than any display window, and is what the slice cache stores.
    """
    return scale_between(image, *intensity.limits(image))


def scale_between(image: NDArray[Any], low: float, high: float) -> NDArray[np.float16]:
    """Intensities in [0, 1], clipped; `low` becomes 0 and `high` 1."""
    result = np.empty(image.shape, dtype=np.float16)
    for part in blocks(image.shape):  # a scene of 6800 x 7200 pixels at once would take gigabytes
        scaled = image[part].astype(np.float32)
        scaled -= low
        scaled /= max(high - low, 1e-6)
        result[part] = np.clip(scaled, 0.0, 1.0, out=scaled)
    return result


class Scaled:
    """A view of values as intensities in [0, 1]; part of it is again a view, `np.asarray` computes it."""

    def __init__(self, values: NDArray[Any], limits: tuple[float, float]) -> None:
        """View intensities, (..., H, W), of which the two limits become 0 and 1."""
        self._values = values
        self._limits = limits

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._values.shape

    @property
    def dtype(self) -> np.dtype[np.float16]:
        """Half precision, as the slice cache stores it."""
        return np.dtype(np.float16)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, part: Any) -> Scaled:
        return Scaled(self._values[part], self._limits)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array = scale_between(self._values, *self._limits)
        return array if dtype is None else array.astype(dtype, copy=False)


Slices = NDArray[np.float16] | Scaled
"""Slices in [0, 1], (S, C, H, W)."""

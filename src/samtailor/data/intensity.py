"""Intensity scaling: file values to [0, 1], chosen in the config and saved with the segmenter.

Limits are the intensities that become 0 and 1: two numbers, or two arrays that hold a number for each channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

import numpy as np
from numpy.typing import NDArray

import samtailor.kinds as kinds
from samtailor.chunks import blocks
from samtailor.data.channels import COLOURS
from samtailor.data.distribution import Distribution, percentiles
from samtailor.data.scene import Pixels
from samtailor.errors import ConfigError, DataError, counted
from samtailor.settings import Checked, Finite, IntensityConfig, IntensityName, Within

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
    """Percentiles of each case, of all its channels together; 0 and 100 is min-max scaling."""

    low: Percent = 0.5
    high: Percent = 99.5

    def limits(self, image: NDArray[Any]) -> tuple[float, float]:
        """Intensities that become 0 and 1."""
        low, high = np.percentile(image, (self.low, self.high))
        return float(low), float(high)


OneIntensity = CTWindow | Range | Percentile


@dataclass(frozen=True)
class ByChannel(Checked):
    """An intensity scaling of its own for every channel."""

    channels: tuple[OneIntensity, ...]

    def limits(self, image: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Intensities of an image (C, ...) that become 0 and 1, (C, 1, 1)."""
        pairs = zip(self.channels, image, strict=True)
        low, high = np.array([intensity.limits(channel) for intensity, channel in pairs]).T[:, :, None, None]
        return low, high


Intensity = OneIntensity | ByChannel
Limit = float | NDArray[np.float64]
_NO_VALUES: NDArray[Any] = np.empty(0)

KINDS: dict[str, type[OneIntensity]] = {"window": CTWindow, "range": Range, "percentile": Percentile}
"""The ways of scaling, by their names in settings and files."""


def limits_of(intensity: Intensity, values: Distribution) -> tuple[Limit, Limit]:
    """What `intensity.limits` gives of all values of an image, which need not be held."""
    each = intensity.channels if isinstance(intensity, ByChannel) else (intensity,)
    parts = values if isinstance(intensity, ByChannel) else (values,)
    asked = [(part, (one.low, one.high)) for part, one in zip(parts, each, strict=True) if isinstance(one, Percentile)]
    found = iter(percentiles(asked))
    pairs = [next(found) if isinstance(one, Percentile) else one.limits(_NO_VALUES) for one in each]
    if not isinstance(intensity, ByChannel):
        return pairs[0]
    low, high = np.array(pairs).T[:, :, None, None]
    return low, high


def intensity_to_json(intensity: Intensity) -> dict[str, Any] | list[dict[str, Any]]:
    """Plain dictionary, or one for each channel; the inverse of `intensity_from_json`."""
    if isinstance(intensity, ByChannel):
        return [kinds.to_json(one, KINDS) for one in intensity.channels]
    return kinds.to_json(intensity, KINDS)


def intensity_from_json(content: dict[str, Any] | list[dict[str, Any]]) -> Intensity:
    """Intensity scaling of what `intensity_to_json` gave."""
    if isinstance(content, list):
        return ByChannel(tuple(_one_from_json(one) for one in content))
    return _one_from_json(content)


def _one_from_json(content: dict[str, Any]) -> OneIntensity:
    return cast(OneIntensity, kinds.from_json(content, KINDS, "intensity"))


def resolve_intensity(config: IntensityConfig, bits: int | None, channels: Sequence[str]) -> IntensityConfig:
    """The kinds that bits (of pictures; None for volumes) and channel names suggest, and the kinds' own values.

    One kind and one pair of values if that says the same of all channels; else lists of them. Percentiles are those of
    each channel, and listed, but for the three colours of a picture, which keep their balance unless a list asks for
    more: one kind for several channels means percentiles of all of them together.

    Raises:
        ConfigError: If there are not as many as channels, or values are no limits.
    """
    wanted = _each(config.kind, channels, "kind")
    names = [_kind(kind, bits, channel) for kind, channel in zip(wanted, channels, strict=True)]
    if isinstance(config.values, tuple) and len(set(names)) > 1:
        expected = ", ".join(f"{channel} ({kind})" for channel, kind in zip(channels, names, strict=True))
        raise ConfigError(f"intensity.values: expected a pair for each of {expected}; found {list(config.values)}")
    given = _each(config.values, channels, "values")
    values = [pair or _own_values(kind) for kind, pair in zip(names, given, strict=True)]
    for kind, pair in zip(names, values, strict=True):
        _require_limits(kind, pair)
    are_colours = bits is not None and len(channels) == COLOURS and not isinstance(config.kind, list)
    is_one = len(channels) == 1 or are_colours or "percentile" not in names
    if is_one and len(set(zip(names, values, strict=True))) == 1:
        return IntensityConfig(names[0], values[0])
    return IntensityConfig(names, values)


def _each(given: Any, channels: Sequence[str], name: str) -> list[Any]:
    """What was given for each channel, or once for all of them."""
    if not isinstance(given, list):
        return [given] * len(channels)
    if len(given) != len(channels):
        found = f"{counted(len(channels), 'channel')} ({', '.join(channels)}), found {len(given)}"
        raise ConfigError(f"intensity.{name}: expected one for all or one for each of the {found}")
    return given


def _kind(kind: IntensityName, bits: int | None, channel: str) -> IntensityName:
    """The kind of a channel; what 'auto' means for it."""
    if kind != "auto":
        return kind
    return "range" if bits == 8 else "window" if channel.upper() == "CT" else "percentile"


def _own_values(kind: IntensityName) -> tuple[float, float]:
    """The values of a kind for which none are given."""
    first, second = vars(KINDS[kind]()).values()
    return first, second


def _require_limits(kind: IntensityName, values: tuple[float, float]) -> None:
    if kind == "window" and values[1] <= 0:
        raise ConfigError(f"intensity.values: expected a width above 0, found {values[1]}")
    if kind != "window" and values[0] >= values[1]:
        raise ConfigError(f"intensity.values: expected low < high, found {list(values)}")


def intensity_of(config: IntensityConfig) -> Intensity:
    """Intensity scaling of a resolved config."""
    match config:
        case IntensityConfig(list() as names, list() as values):
            return ByChannel(tuple(KINDS[name](*pair) for name, pair in zip(names, values, strict=True)))
        case IntensityConfig(str() as name, tuple() as pair):
            return KINDS[name](*pair)
    raise ValueError(f"{config} is not resolved")


def require_scale(pixels: NDArray[Any] | Distribution, intensity: Intensity) -> None:
    """Refuse a picture of another scale than a fixed range: it would be black or white all over.

    Raises:
        DataError: If the range is that of 8 bits and the picture has more, or the other way round, or goes from 0 to 1.
    """
    if isinstance(intensity, ByChannel):
        for channel, one in zip(pixels, intensity.channels, strict=True):
            require_scale(channel, one)
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


def scale(image: NDArray[Any], intensity: OneIntensity) -> NDArray[np.float16]:
    """Intensities in [0, 1], clipped.

    Half precision holds 11 bits, finer than any display window, and is what the slice cache stores.
    """
    return scale_between(image, *intensity.limits(image))


def scale_between(image: NDArray[Any], low: Limit, high: Limit) -> NDArray[np.float16]:
    """Intensities in [0, 1], clipped; `low` becomes 0 and `high` 1."""
    result = np.empty(image.shape, dtype=np.float16)
    for part in blocks(image.shape):  # a scene of 6800 x 7200 pixels at once would take gigabytes
        first, last = _number(low, part), _number(high, part)
        scaled = image[part].astype(np.float32)
        scaled -= first
        scaled /= max(last - first, 1e-6)
        result[part] = np.clip(scaled, 0.0, 1.0, out=scaled)
    return result


def _number(limit: Limit, part: tuple[int | slice, ...]) -> float:
    """The limit of rows of a plane, all of which have the same."""
    return float(limit[part].flat[0]) if isinstance(limit, np.ndarray) else limit


def _part(limit: Limit, part: Any) -> Limit:
    """The limit of a part of the values."""
    return limit[part] if isinstance(limit, np.ndarray) else limit


class Scaled:
    """A view of values as intensities in [0, 1]; part of it is again a view, `np.asarray` computes it."""

    def __init__(self, values: NDArray[Any] | Pixels, limits: tuple[Limit, Limit]) -> None:
        """View intensities, (..., H, W), of which the two limits, of a shape that broadcasts, become 0 and 1."""
        self._values = values
        low, high = (x if isinstance(x, float | int) else np.broadcast_to(x, values.shape) for x in limits)
        self._limits: tuple[Limit, Limit] = low, high

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
        low, high = (_part(limit, part) for limit in self._limits)
        return Scaled(self._values[part], (low, high))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array = scale_between(np.asarray(self._values), *self._limits)
        return array if dtype is None else array.astype(dtype, copy=False)


Slices = NDArray[np.float16] | Scaled
"""Slices in [0, 1], (S, C, H, W)."""

"""Corrupting a case: which corruption each slice gets, its random numbers, and the way back to the file's units."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Case
from samtailor.data.conditions import require_intensities
from samtailor.data.corruptions.corruption import Corruption, Image, Plane

VERSION = 2  # of what the corruptions do: results and caches of another one are not used again

_PERCENTILES = (0.5, 99.5)
_LOWEST = -1024.0  # Hounsfield's scale ends there: what is below is padding around the scanner's circle
_SAMPLED = 1_000_000  # pixels of which percentiles are taken
_BITS = (8, 10, 12, 14, 16, 32)


@dataclass(frozen=True)
class Degradation:
    """What is done to the images of cases; labels are left as they are.

    With several corruptions or severities every slice draws its own. Random numbers depend on the seed, the name of the
    case, the corruption and the slice, and on nothing else; not on the severity, so that the noise of a severity is
    that of another one, stronger.

    Attributes:
        corruptions: The kinds of damage, by their names.
        severities: How severe it may be, 1 to 5.
        seed: Numbers that decide all that is random.
    """

    corruptions: Mapping[str, Corruption]
    severities: tuple[int, ...]
    seed: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values that are equal only if the results are."""
        settings = {"corruptions": list(self.corruptions), "severities": self.severities, "seed": self.seed}
        return {"version": VERSION, **settings}

    def __call__(self, case: Case) -> Case:
        """The case with a corrupted image of the same type, rounded and clipped to what the file's type holds.

        Raises:
            FileError: If the image is none, or holds NaN or infinite voxels.
        """
        require_intensities(case)
        channels = len(case.image)
        if channels > 1 and (case.image == case.image[:1]).all():  # gray, repeated: noise does not colour it
            gray = self(replace(case, image=case.image[:1]))
            return replace(gray, image=np.repeat(gray.image, channels, axis=0))
        void = case.geometry.void
        scene = _Scene.of(case if void is None else replace(case, image=void.filled(case.image)))
        image = np.empty_like(case.image)
        slices = image.shape[1]
        for index in range(slices):
            name, severity = self._drawn(case.name, index)
            corruption = self.corruptions[name]
            plane = scene.plane(index, self._random(case.name, name, index), self._random(case.name, name))
            changed = corruption(plane, corruption.levels[severity - 1])
            image[:, index] = scene.in_file_units(index, changed - plane.image)
        if void is not None:
            image[:, void.where] = case.image[:, void.where]
        return replace(case, image=image)

    def _drawn(self, case: str, index: int) -> tuple[str, int]:
        """Corruption and severity of a slice."""
        random = self._random(case, "choice", index)
        names = list(self.corruptions)
        return names[random.integers(len(names))], int(random.choice(self.severities))

    def _random(self, case: str, what: str, index: int | None = None) -> np.random.Generator:
        """Random numbers of a slice, or of all slices together."""
        names = (zlib.crc32(name.encode("utf-8", "surrogateescape")) for name in (case, what))
        return np.random.default_rng((*self.seed, *names, 0 if index is None else 1 + index))


@dataclass(frozen=True)
class _Scene:
    """A case and what is known of its intensities as a whole, each (C, 1, 1)."""

    case: Case
    low: Image
    scale: Image
    extremes: Image
    mean: Image
    limits: tuple[float, float]

    @classmethod
    def of(cls, case: Case) -> _Scene:
        """Look at all pixels that hold something."""
        void = case.geometry.void
        known = case.image.reshape(len(case.image), -1) if void is None else case.image[:, ~void.where]
        extremes = np.stack([known.min(axis=1), known.max(axis=1)]).astype(np.float32)
        some = np.maximum(known[:, :: max(1, known.shape[1] // _SAMPLED)], _LOWEST).astype(np.float32)
        low, high = np.percentile(some, _PERCENTILES, axis=1).astype(np.float32)
        scale = np.where(high > low, high - low, np.maximum(extremes[1] - extremes[0], 0))
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        mean = (some.mean(axis=1) - low) / scale
        shape = (-1, 1, 1)
        return cls(
            case,
            low.reshape(shape),
            scale.reshape(shape),
            ((extremes - low) / scale).reshape(2, *shape),
            mean.astype(np.float32).reshape(shape),
            full_scale(case.image.dtype, float(extremes[0].min()), float(extremes[1].max())),
        )

    def plane(self, index: int, own: np.random.Generator, shared: np.random.Generator) -> Plane:
        """A slice in the robust range."""
        image, spacing = self.case.image, self.case.geometry.spacing
        unit = (image[:, index].astype(np.float32) - self.low) / self.scale
        height = 2 * index / (image.shape[1] - 1) - 1 if image.shape[1] > 1 else 0.0
        return Plane(unit, self.extremes, self.mean, spacing and spacing[1:], height, own, shared)

    def in_file_units(self, index: int, change: Image) -> NDArray[Any]:
        """A changed slice as the file would hold it; exactly as it was where nothing is changed."""
        image = self.case.image[:, index]
        changed = np.clip(image + (change * self.scale), *self.limits)
        kept: NDArray[Any] = (np.rint(changed) if image.dtype.kind in "iu" else changed).astype(image.dtype)
        return kept


def full_scale(dtype: np.dtype[Any], smallest: float, largest: float) -> tuple[float, float]:
    """The intensities that a sensor, or a file, of a kind could have shown.

    Integers from 0 on: as many bits (8, 10, 12, 14, 16 or 32) as the largest needs, but no more than their type has.
    Other integers: what their type holds. Floats: from 0 on, if none is below, and to 1, if none is above; else any.
    """
    if dtype.kind == "f":
        low = 0.0 if smallest >= 0 else -np.inf
        return low, 1.0 if smallest >= 0 and largest <= 1 else np.inf
    info = np.iinfo(dtype)
    if smallest < 0:
        return float(info.min), float(info.max)
    fitting = (2.0**bits - 1 for bits in _BITS if largest < 2**bits)
    return 0.0, min(next(fitting, np.inf), float(info.max))

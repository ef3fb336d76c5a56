"""Scenes: images that stay in their file, of which is read what is looked at."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import CaseFiles, SceneGeometry
from samtailor.data.distribution import Distribution
from samtailor.errors import DataWarning, FileError

_SAMPLES = 1 << 22
"""Samples that are read at once where all of them are looked at."""


class Patch(NamedTuple):
    """Part of an image.

    Attributes:
        pixels: Intensities, (C, h, w).
        void: Pixels that hold nothing, (h, w); None if all hold something.
    """

    pixels: NDArray[Any]
    void: NDArray[np.bool_] | None


class PatchReader(ABC):
    """Reads parts of one image; put together they are what reading all of it gives.

    Attributes:
        shape: Channels, rows, columns.
        dtype: Type of the intensities.
        tile: Rows and columns that the file holds together, and that are best read together.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    tile: tuple[int, int]

    @abstractmethod
    def read(self, rows: slice, columns: slice) -> Patch:
        """The part of these rows and columns, which lie within the image."""


class Scene:
    """An image that stays in its file.

    Attributes:
        files: Where it lies.
        geometry: How it lies there.
        channels: Which of the file's channels are looked at, in order.
        shape: One slice, these channels, rows, columns.
        dtype: Type of the intensities.
    """

    def __init__(
        self, files: CaseFiles, geometry: SceneGeometry, reader: PatchReader, channels: Sequence[int] | None = None
    ) -> None:
        """Look at an image through an open reader, at all channels if none are named."""
        self.files = files
        self.geometry = geometry
        self.channels = tuple(range(reader.shape[0]) if channels is None else channels)
        self.shape = (1, len(self.channels), *reader.shape[1:])
        self.dtype = reader.dtype
        self._reader = reader
        self._lock = Lock()  # windows are read ahead in a thread of their own
        self._strips = _Strips(reader) if reader.tile[1] >= reader.shape[2] else None
        self._void_below = 0

    def with_channels(self, channels: Sequence[int]) -> Scene:
        """The same scene, looked at through these channels of its."""
        return Scene(self.files, self.geometry, self._reader, [self.channels[index] for index in channels])

    def is_gray(self) -> bool:
        """Whether all channels are equal."""
        whole = slice(0, self.shape[2])
        parts = (self._reader.read(*block).pixels[list(self.channels)] for block in self.blocks(whole))
        return all(bool((part == part[:1]).all()) for part in parts)

    @property
    def slices(self) -> Pixels:
        """Its pixels, (1, C, H, W), read where they are looked at."""
        _, channels, height, width = self.shape
        return Pixels(self, range(1), range(channels), range(height), range(width))

    def distribution(self) -> Distribution:
        """The intensities of the pixels that hold something."""
        return Distribution.of(self._known, self.shape[1], self.dtype)

    def read(self, rows: slice, columns: slice) -> Patch:
        """A part of it, with finite numbers only: others become the least or greatest of the channel."""
        extremes = self._extremes
        with self._lock:
            is_across = columns.stop - columns.start == self.shape[3]
            pixels, void = (self._reader if is_across or self._strips is None else self._strips).read(rows, columns)
        pixels = pixels[list(self.channels)]
        if extremes is not None:
            for plane, (low, high) in zip(pixels, extremes, strict=True):
                np.nan_to_num(plane, copy=False, nan=low, posinf=high, neginf=low)
        if void is not None:
            self._void_below = max(self._void_below, rows.stop)
        return Patch(pixels, void)

    def void(self, rows: slice) -> NDArray[np.bool_] | None:
        """Where rows that have been read hold nothing, (rows, W); None if they hold something everywhere."""
        if rows.start >= self._void_below:
            return None
        where = np.zeros((rows.stop - rows.start, self.shape[3]), np.bool_)
        for part, columns in self.blocks(rows):
            _, void = self.read(part, columns)
            if void is not None:
                where[part.start - rows.start : part.stop - rows.start, columns] = void
        return where

    @cached_property
    def _extremes(self) -> list[tuple[float, float]] | None:
        """Least and greatest finite number of each channel; None if all numbers are finite."""
        if self.dtype.kind != "f":
            return None
        low, high = [np.inf] * self.shape[1], [-np.inf] * self.shape[1]
        wrong = [0] * self.shape[1]
        for rows, columns in self.blocks(slice(0, self.shape[2])):
            for channel, plane in enumerate(self._reader.read(rows, columns).pixels[list(self.channels)]):
                finite = plane[np.isfinite(plane)]
                wrong[channel] += plane.size - finite.size
                low[channel] = min(low[channel], float(finite.min(initial=np.inf)))
                high[channel] = max(high[channel], float(finite.max(initial=-np.inf)))
        if not any(wrong):
            return None
        file = self.files.images[0]
        for channel in (index for index, count in enumerate(wrong) if count):
            found = f"{wrong[channel]} NaN or infinite pixels"
            if low[channel] > high[channel]:
                raise FileError(file, "finite intensities", found, "write the image again")
            warnings.warn(f"{file}: {found}, filled with the lowest value of the image", DataWarning, stacklevel=2)
        return list(zip(low, high, strict=True))

    def _known(self) -> Iterator[NDArray[Any]]:
        """All pixels that hold something, some at a time, (C, N)."""
        known = 0
        for rows, columns in self.blocks(slice(0, self.shape[2])):
            pixels, void = self.read(rows, columns)
            part = pixels.reshape(len(pixels), -1) if void is None else pixels[:, ~void]
            known += part.shape[1]
            yield part
        require_pixels(self.files.images[0], known)

    def blocks(self, rows: slice) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of blocks that cover some rows, along the file's tiles."""
        _, channels, _, width = self.shape
        height, across = (
            min(length, size) for length, size in zip(self._reader.tile, self._reader.shape[1:], strict=True)
        )
        height = max(1, min(height, _SAMPLES // (channels * across)))
        down = max(1, _SAMPLES // (channels * height * across)) if across == width else 1
        side = across * max(1, _SAMPLES // (channels * height * across))
        start = rows.start
        while start < rows.stop:
            stop = min((start // height + down) * height, rows.stop)
            for left in range(0, width, side):
                yield slice(start, stop), slice(left, min(left + side, width))
            start = stop


def require_pixels(file: Path, known: int) -> None:
    """Refuse an image of which so many pixels hold something if these are none."""
    if not known:
        fix = "take the image away, or correct its nodata tag or mask"
        raise FileError(file, "pixels with data", "none", fix)


class Pixels:
    """A view of a scene's pixels; part of it is again a view, `np.asarray` reads it."""

    def __init__(self, scene: Scene, slices: range | None, channels: range, rows: range, columns: range) -> None:
        """View some indices of each axis; None for slices is the only one, its axis dropped."""
        self._scene = scene
        self._slices = slices
        self._axes = channels, rows, columns

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array, (S, C, H, W) or (C, H, W)."""
        return tuple(len(axis) for axis in (self._slices, *self._axes) if axis is not None)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the intensities."""
        return self._scene.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: Any) -> Pixels:
        """A part, by slices; of four axes the first one also by an index."""
        indices = list(part) if isinstance(part, tuple) else [part]
        if ... in indices:
            place = indices.index(...)
            indices[place : place + 1] = [slice(None)] * (len(self.shape) + 1 - len(indices))
        indices += [slice(None)] * (len(self.shape) - len(indices))
        slices = None if self._slices is None else self._slices[indices.pop(0)]
        channels, rows, columns = (axis[index] for axis, index in zip(self._axes, indices, strict=True))
        return Pixels(self._scene, slices if isinstance(slices, range) else None, channels, rows, columns)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        channels, rows, columns = self._axes
        if (rows.step, columns.step) == (1, 1):
            pixels = self._scene.read(slice(rows.start, rows.stop), slice(columns.start, columns.stop)).pixels
            array = pixels[channels.start : channels.stop : channels.step].reshape(self.shape)
        else:
            array = self._sparse().reshape(self.shape)
        return array if dtype is None else array.astype(dtype, copy=False)

    def _sparse(self) -> NDArray[Any]:
        """Every n-th row or column, (C, H, W), for which all rows between are read, but not held."""
        channels, *axes = self._axes
        result = np.empty((len(channels), *map(len, axes)), self.dtype)
        wanted = [np.array(axis) for axis in axes]
        for block in self._scene.blocks(slice(axes[0].start, axes[0].stop)):
            inside = [(span.start <= at) & (at < span.stop) for span, at in zip(block, wanted, strict=True)]
            places = (at[here] - span.start for span, at, here in zip(block, wanted, inside, strict=True))
            result[:, *np.ix_(*inside)] = self._scene.read(*block).pixels[np.ix_(channels, *places)]
        return result


class _Strips(PatchReader):
    """Reads a file that holds whole rows together: those of the windows beside each other are read once for all."""

    def __init__(self, reader: PatchReader) -> None:
        """Read through another reader."""
        self.shape, self.dtype, self.tile = reader.shape, reader.dtype, reader.tile
        self._reader = reader
        self._pixels = np.empty((self.shape[0], 0, self.shape[2]), self.dtype)  # row y is at y modulo their number
        self._void = np.empty((0, self.shape[2]), np.bool_)
        self._start = self._stop = 0  # the rows that are held

    def read(self, rows: slice, columns: slice) -> Patch:
        """The part of these rows and columns."""
        count = rows.stop - rows.start
        if count > len(self._void):
            self._pixels = np.empty((self.shape[0], count, self.shape[2]), self.dtype)
            self._void = np.empty((count, self.shape[2]), np.bool_)
            self._start = self._stop = rows.start
        if not self._start <= rows.start <= self._stop:
            self._start = self._stop = rows.start
        step = max(1, _SAMPLES // (self.shape[0] * self.shape[2]))
        while self._stop < rows.stop:
            new = slice(self._stop, min(self._stop + step, rows.stop))
            pixels, void = self._reader.read(new, slice(0, self.shape[2]))
            at = self._places(new)
            self._pixels[:, at] = pixels
            self._void[at] = False if void is None else void
            self._stop = new.stop
        self._start = max(self._start, self._stop - len(self._void))
        at = self._places(rows)
        void = self._void[at, columns]
        return Patch(self._pixels[:, at, columns], void if void.any() else None)

    def _places(self, rows: slice) -> NDArray[np.intp]:
        """Where rows are held."""
        return np.arange(rows.start, rows.stop) % len(self._void)

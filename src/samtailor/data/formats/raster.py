"""What every picture file says of itself, whatever it is: `pillow_raster.py`, `tiff.py`, `gdal_raster.py` tell."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.formats.format import require_memory
from samtailor.data.formats.label_content import class_names_in
from samtailor.errors import FileError

_PEAK = 10 / 3  # bytes in memory for each of the pixels: Pillow's RGB with an empty byte, its copy, and the array


@dataclass(frozen=True, kw_only=True)
class Raster(ABC):
    """A picture file, its samples not read.

    Attributes:
        path: The file.
        size: Rows and columns as stored.
        dtype: Type of the samples in the file, in native byte order.
        channels: Samples of a pixel without alpha.
        bands: Numbers per pixel in the file, counting those that reading drops, such as alpha.
        orientation: How the rows lie in the picture (EXIF's and TIFF's tag, 1 to 8): 1 is upright, above 4 on its side.
        palette: Colour of each index there can be (N, 3), if the samples are indices.
        step: Factor from samples of fewer than eight bits to the gray levels 0..255 that they show.
        nodata: Sample that stands for no data, if the file names one.
        names: What the text 'labels' in the file holds: the class name of each id, as JSON.
    """

    path: Path
    size: tuple[int, int]
    dtype: np.dtype[Any]
    channels: int
    bands: int
    orientation: int = 1
    palette: NDArray[np.uint8] | None = None
    step: int = 1
    nodata: float | None = None
    names: str | None = None

    @property
    def shown_size(self) -> tuple[int, int]:
        """Rows and columns of the picture as viewers show it."""
        rows, columns = self.size
        return (columns, rows) if self.orientation > 4 else self.size

    @property
    def has_colours(self) -> bool:
        """Whether the samples are indices of colours that are not all gray."""
        return self.palette is not None and not (self.palette == self.palette[:, :1]).all()

    def as_bits(self, indices: NDArray[Any], used: Sequence[int]) -> tuple[Raster, NDArray[np.uint8]] | None:
        """The same with one bit for each pixel, 1 where it is white, if a palette makes a mask black and white.

        Programs that make palettes number colours in any order: white may be index 0, and black 1.

        Args:
            indices: Pixels of the mask, (H, W).
            used: Which indices occur there.
        """
        if self.palette is None:
            return None
        shown = self.palette[list(used) if len(used) > 1 else [0, *used]]  # of one level, 0 and what it stands for
        if not (shown == shown[:, :1]).all() or set(shown[:, 0].tolist()) != {0, 255}:
            return None
        return replace(self, palette=None, step=255), (self.palette[:, 0] == 255).astype(np.uint8)[indices]

    @property
    def kept(self) -> np.dtype[Any]:
        """Type of the intensities: halves are too coarse to be scaled, and eight bits are those from 0 to 255."""
        if self.palette is not None:
            return np.dtype(np.uint8)
        if self.dtype.kind == "f":
            return np.dtype(np.float32)
        return np.dtype(np.int16) if self.dtype == np.int8 else self.dtype

    @property
    def class_names(self) -> dict[int, str] | None:
        """Class names that `write_label` left in the file; None if there are none."""
        return class_names_in(self.names)

    def read(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Samples (H, W, C) of the picture as shown, and its alpha channel (H, W), if there is one."""
        require_memory(self.path, round(_PEAK * math.prod(self.size) * self.bands * self.dtype.itemsize))
        samples, alpha = self.decode()
        return self._shown(samples), None if alpha is None else self._shown(alpha)

    @abstractmethod
    def decode(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Samples (H, W, C) as stored, and alpha (H, W), if there is one."""

    def _shown(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Rows from top to bottom, columns from left to right."""
        match self.orientation:
            case 2:
                stored = stored[:, ::-1]
            case 3:
                stored = stored[::-1, ::-1]
            case 4:
                stored = stored[::-1]
            case 5:
                stored = stored.swapaxes(0, 1)
            case 6:
                stored = np.rot90(stored, -1)
            case 7:
                stored = stored[::-1, ::-1].swapaxes(0, 1)
            case 8:
                stored = np.rot90(stored)
        return np.ascontiguousarray(stored, stored.dtype.newbyteorder("="))


def full_palette(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colours (N, 3) and black for the indices that they do not reach, as viewers show those."""
    return np.pad(colours, ((0, max(0, 256 - len(colours))), (0, 0)))


def upright_or(orientation: Any) -> int:
    """The orientation; 1, as viewers take it, where it is none of the eight."""
    return orientation if orientation in range(1, 9) else 1


def require_pixels(path: Path, size: tuple[int, int]) -> None:
    """Refuse a picture without rows or columns."""
    if not all(size):
        raise FileError(path, "a picture with pixels", f"{size[0]} rows, {size[1]} columns", "write the file again")


def require_content(path: Path, size: int, held: int) -> None:
    """Refuse a file whose header claims more bytes of pixels than the file can hold, before they are allocated."""
    if size > held:
        found = f"one too short for the {size / 1e6:.4g} MB that its header claims"
        raise FileError(path, "a readable picture", found, "the file is damaged or truncated: copy or convert it again")

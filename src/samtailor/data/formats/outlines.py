"""Labels that are outlines of objects rather than pixels, and what outlines enclose."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from samtailor.data.case import Geometry
from samtailor.data.formats.format import LabelFormat
from samtailor.errors import FileError
from samtailor.labels import LabelSpace

_LEAST = 3  # corners


class OutlineFormat(LabelFormat):
    """Objects of one picture; they are drawn on its grid one after the other, so that of several the last counts."""

    volumes: ClassVar = False

    @abstractmethod
    def annotated_size(self, path: Path) -> tuple[int, int] | None:
        """Rows and columns of the picture that was annotated, if the file says so."""

    @abstractmethod
    def objects(self, path: Path, labels: LabelSpace, size: tuple[int, int]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Label id of each object, and where it is, (H, W)."""

    def read_ids(self, path: Path, labels: LabelSpace, grid: Geometry | None = None) -> tuple[NDArray[Any], Geometry]:
        """Ids of the objects' classes, drawn on the grid of the image, shape (1, H, W)."""
        if grid is None:
            fix = "restore the image"
            raise FileError(path, "an image on whose grid annotations are drawn", "none that can be read", fix)
        size, annotated = (grid.shape[1], grid.shape[2]), self.annotated_size(path)
        if annotated not in (None, size):
            found = " x ".join(map(str, annotated or ()))
            expected = f"annotations of an image of {size[0]} x {size[1]} pixels"
            fix = "give the image that was annotated, or export the annotations again; EXIF may have turned it"
            raise FileError(path, expected, f"those of one of {found}", fix)
        ids = np.full(size, labels.ids[0], np.int32)
        for identifier, mask in self.objects(path, labels, size):
            ids[mask] = identifier
        return ids[None], grid


class OutlineFile(OutlineFormat):
    """Outlines in a file for each picture, which is called as other texts are."""

    def recognises(self, path: Path) -> bool:
        """Whether a file holds outlines; any may that is not there."""
        if not super().recognises(path):
            return False
        return self.holds_outlines(path) if os.path.isfile(path) else not os.path.lexists(path)

    @abstractmethod
    def holds_outlines(self, path: Path) -> bool:
        """Whether a file with the suffix holds outlines, by its beginning."""


def enclosed(corners: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of an image whose centres lie in a polygon, (H, W).

    Args:
        corners: Column x and row y of each corner, (N, 2); the first pixel reaches from 0 to 1.
        size: Rows and columns of the image.

    Raises:
        ValueError: If it has fewer than three corners, or they are no numbers.
    """
    places = np.array(corners, np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or len(places) < _LEAST or not np.isfinite(places).all():
        raise ValueError(f"a polygon of {places.size / 2:g} points")
    mask = np.zeros(size, np.bool_)
    x, y = places.T
    mask[polygon(y - 0.5, x - 0.5, size)] = True
    return mask


def in_pairs(numbers: Any) -> NDArray[np.float64]:
    """Corners (N, 2) of numbers x, y, x, y, ...

    Raises:
        ValueError: If they are not even in number.
    """
    flat = np.array(numbers, np.float64)
    if flat.ndim != 1 or len(flat) % 2:
        raise ValueError(f"a polygon of {flat.size / 2:g} points")
    return flat.reshape(-1, 2)

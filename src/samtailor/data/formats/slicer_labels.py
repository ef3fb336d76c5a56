"""Segmentations of 3D Slicer (`.seg.nrrd`) as labels; segments call their classes by name.

What a segment is stands in keys of the file (https://slicer.readthedocs.io, Segmentations, "Segmentation file format").
Slicer keeps no more than the part of the image in which there are segments, and numbers them as they were made: the
numbers of one file are not those of another.
"""

from __future__ import annotations

from collections import Counter
from itertools import count, takewhile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Geometry
from samtailor.data.formats.format import LabelFormat
from samtailor.data.formats.itk import NrrdFormat
from samtailor.data.formats.label_content import LabelContent
from samtailor.data.formats.slicer_segmentation import SUFFIX
from samtailor.errors import FileError, listed
from samtailor.files import made_of
from samtailor.labels import LabelSpace

_SAME_DIRECTIONS = 1e-3
_SAME_PLACE = 0.1  # voxels
_NRRD = NrrdFormat()


class SlicerFormat(LabelFormat):
    """Segments of one volume, on the grid of the image or a part of it."""

    suffixes: ClassVar = (SUFFIX,)
    volumes: ClassVar = True

    def read_ids(self, path: Path, labels: LabelSpace, grid: Geometry | None = None) -> tuple[NDArray[Any], Geometry]:
        """Ids of the segments' classes, on the grid of the image where the file is a part of it, (S, H, W)."""
        known = dict(zip(labels.names, labels.ids, strict=True))
        segments = _segments(path)
        if unknown := [name for name, _ in segments if name not in known]:
            fix = "rename the segments in Slicer, or add the classes to dataset.json"
            raise FileError(path, f"segments called {listed(labels.names)}", listed(unknown), fix)
        values, geometry = _NRRD.read(path)
        if len(values) > 1:
            fix = "let no segments overlap (Segment Editor, Masking), or export them as a label map"
            raise FileError(path, "segments in one layer", f"{len(values)} layers, which may overlap", fix)
        ids = np.full(values.shape[1:], labels.ids[0], np.int32)
        for name, value in segments:
            ids[values[0] == value] = known[name]
        return (ids, geometry) if grid is None else _placed(path, ids, geometry, grid, labels.ids[0])

    def content(self, path: Path) -> LabelContent:
        """Segments of each name."""
        return LabelContent("names", objects=Counter(name for name, _ in _segments(path)))

    def read_names(self, path: Path) -> dict[int, str] | None:
        """None: numbers of segments are no ids."""
        return None


def _segments(path: Path) -> list[tuple[str, int]]:
    """Name and number of each segment."""
    texts = _NRRD.header(path).texts
    with made_of(path, "segments of 3D Slicer, with names and numbers", "save the segmentation with Slicer again"):
        numbers = takewhile(lambda number: f"Segment{number}_Name" in texts, count())
        return [(texts[f"Segment{n}_Name"].strip(), int(texts.get(f"Segment{n}_LabelValue", 1))) for n in numbers]


def _placed(
    path: Path, ids: NDArray[Any], own: Geometry, grid: Geometry, background: int
) -> tuple[NDArray[Any], Geometry]:
    """Ids on the grid of the image, if theirs is the same but for its extent; else as they are, which will be told."""
    if grid.affine is None or own.affine is None:
        return ids, own
    moved = np.linalg.inv(grid.affine) @ own.affine
    start = np.rint(moved[:3, 3]).astype(int)
    is_part = np.allclose(moved[:3, :3], np.eye(3), rtol=0, atol=_SAME_DIRECTIONS)
    if not is_part or np.abs(moved[:3, 3] - start).max() > _SAME_PLACE or (not start.any() and own.shape == grid.shape):
        return ids, own
    placed = np.full(grid.shape, background, np.int32)
    into, of = [], []
    for first, length, whole in zip(start.tolist(), ids.shape, grid.shape, strict=True):
        low, high = max(first, 0), max(min(first + length, whole), 0)
        into.append(slice(low, max(low, high)))
        of.append(slice(low - first, max(low, high) - first))
    placed[tuple(into)] = ids[tuple(of)]
    if (beyond := int((ids != background).sum() - (placed != background).sum())) > 0:
        fix = "take the segmentation of this image; in Slicer, export it with this volume as the reference"
        raise FileError(path, "segments within the image", f"{beyond} voxels of them beyond", fix)
    return placed, grid

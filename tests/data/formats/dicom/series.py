"""Series that results are written for: every way in which slices lie, and labels with something to find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samtailor.data.formats import read_geometry
from samtailor.data.formats.dicom.geometry import SeriesGeometry
from samtailor.labels import LabelSpace
from tests.data.formats.dicom.files import affine, laid, write_enhanced, write_series

LABELS = LabelSpace.from_names(("background", "liver", "right kidney", "liver tumor", "Kathéter"))
SHAPE = (6, 13, 11)  # canonical; frames of 143, 78 or 66 pixels: bits that fill no byte
PIXELS = np.random.default_rng(0).integers(0, 1000, SHAPE)


def _series(codes: str, degrees: float = 0.0) -> Callable[[Path], Path]:
    return lambda folder: write_series(folder / "case", *laid(PIXELS, codes, degrees))


def _tilted(folder: Path) -> Path:
    matrix = affine()
    matrix[1, 2] += 1.5
    return write_series(folder / "case", PIXELS, matrix)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "axial": _series("LPS"),
    "feet first": _series("RPI"),
    "coronal": _series("LIP"),
    "sagittal": _series("PIL"),
    "oblique": _series("LPS", 12),
    "tilted": _tilted,
    "frames": lambda folder: write_enhanced(folder / "case.dcm", *laid(PIXELS), order=(2, 0, 3, 1, 5, 4)),
}
"""Writes a series into a folder and gives the path of the image."""


def geometry_of(path: Path) -> SeriesGeometry:
    """How a series lies."""
    geometry = read_geometry(path)
    assert isinstance(geometry, SeriesGeometry)
    return geometry


def label(seed: int = 1) -> NDArray[np.int16]:
    """Class indices (S, H, W) of clumps; the last class is nowhere, nothing lies at the ends."""
    found = np.random.default_rng(seed).integers(0, len(LABELS) - 1, SHAPE).astype(np.int16)
    found[[0, -1]] = found[:, [0, -1]] = found[:, :, [0, -1]] = 0
    return found

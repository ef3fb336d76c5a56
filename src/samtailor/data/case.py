"""A case: one image or volume with its geometry and, if any, its label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CaseFiles:
    """Where one case lies on disk.

    Attributes:
        name: Name of the case, unique in its data set.
        images: One file, or one file per channel.
        label: Label file, if there is one.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None = None


class Geometry(Protocol):
    """How the canonical array of a case lies in its file.

    The canonical array is (slices, rows, columns). Volumes: slices go from inferior to superior, rows from
    anterior to posterior, columns from the patient's right to left, whatever the axes of the file. Pictures:
    one slice.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        ...

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Distance in mm of slices, rows, columns; None for pictures."""
        ...


@dataclass(frozen=True)
class Case:
    """One image or volume in canonical axes.

    Attributes:
        name: Name of the case.
        image: Intensities as in the file, shape (C, S, H, W).
        geometry: How the canonical array lies in the file.
        label: Class indices (not file ids), `IGNORE` where nothing counts, shape (S, H, W).
    """

    name: str
    image: NDArray[Any]
    geometry: Geometry
    label: NDArray[np.int16] | None = None

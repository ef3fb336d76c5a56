"""How much of a case each class takes, where, and how bright it is there; counted some rows at a time."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from samtailor.data.case import Case, Geometry
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.data.polygons import Ground
from samtailor.errors import ConfigError, DataWarning, FileError
from samtailor.files import write_text
from samtailor.labels import IGNORE, LabelSpace

Unit = Literal["ml", "m2", "pixels", "voxels"]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

_AXES = ("slice", "row", "column")


@dataclass(frozen=True)
class Volume:
    """What a class takes of a case.

    Attributes:
        size: How much, in `unit`.
        unit: 'ml' in volumes, 'm2' in pictures that lie on the Earth, 'pixels' in other pictures, and 'voxels' in
            volumes that say nothing of their spacing.
        count: Pixels or voxels.
        box: First and last slice, row and column, in canonical axes (those of `Result.label`); None if the class is
            nowhere.
        mean: Mean intensity in each channel, in the units of the file; NaN if the class is nowhere.
    """

    size: float
    unit: Unit
    count: int
    box: Box | None
    mean: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.size:.10g} {self.unit}"


@dataclass(frozen=True)
class CaseVolumes:
    """What the classes take of a case, by their names."""

    case: str
    classes: dict[str, Volume]


class Tally:
    """Counts the classes of a case whose rows come in any order, each once."""

    def __init__(self, file: Path, geometry: Geometry, labels: LabelSpace, channels: int) -> None:
        """Count nothing yet; `file` is for messages."""
        self._names = labels.names
        self._unit, self._sizes = _unit_of(file, geometry)
        self._counts = np.zeros(len(labels), np.int64)
        self._size = np.zeros(len(labels))
        self._sums = np.zeros((channels, len(labels)))
        self._least = np.full((len(labels), 3), np.iinfo(np.int64).max)
        self._most = np.full((len(labels), 3), -1)

    def add(self, index: int, first_row: int, label: NDArray[np.int16], pixels: NDArray[Any]) -> None:
        """Count rows of a slice.

        Args:
            index: Index of the slice.
            first_row: Where they lie.
            label: Class indices, `IGNORE` where nothing counts, shape (h, W).
            pixels: Intensities, shape (C, h, W).
        """
        places = label.astype(np.intp) + 1  # `IGNORE` becomes 0
        counts = self._of_classes(places)
        sizes = self._sizes(slice(first_row, first_row + len(label)))
        self._counts += counts.astype(np.int64)
        if (sizes == sizes[0]).all():
            self._size += counts * sizes[0]
        else:
            self._size += self._of_classes(places, np.broadcast_to(sizes[:, None], label.shape))
        for channel, plane in enumerate(pixels):
            self._sums[channel] += self._of_classes(places, plane)
        for k, box in enumerate(ndimage.find_objects(places, len(counts))):
            if box is not None:
                rows, columns = box
                least, most = (rows.start, columns.start), (rows.stop - 1, columns.stop - 1)
                self._least[k] = np.minimum(self._least[k], (index, least[0] + first_row, least[1]))
                self._most[k] = np.maximum(self._most[k], (index, most[0] + first_row, most[1]))

    def _of_classes(self, places: NDArray[np.intp], weights: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """Pixels of each class, or the sum of their weights."""
        flat = None if weights is None else weights.reshape(-1)
        return np.bincount(places.reshape(-1), flat, len(self._names) + 1)[1:].astype(np.float64)

    def volumes(self) -> dict[str, Volume]:
        """What the classes take, by their names."""
        with np.errstate(invalid="ignore"):
            means = self._sums / self._counts
        found = {}
        for k, name in enumerate(self._names):
            edges = zip(self._least[k].tolist(), self._most[k].tolist(), strict=True)
            box: Any = tuple(edges) if self._counts[k] else None
            mean = tuple(means[:, k].tolist())
            found[name] = Volume(float(self._size[k]), self._unit, int(self._counts[k]), box, mean)
        return found


def volumes_of(case: Case, label: NDArray[np.int16], labels: LabelSpace) -> dict[str, Volume]:
    """What the classes of a label (S, H, W) take of its case, by their names; pixels that hold nothing do not count."""
    tally = Tally(Path(case.name), case.geometry, labels, len(case.image))
    void = case.geometry.void
    for index, found in enumerate(label):
        counted = found if void is None else np.where(void.where[index], np.int16(IGNORE), found)
        tally.add(index, 0, counted, case.image[:, index])
    return tally.volumes()


def require_table(path: Path, skip_existing: bool) -> Path:
    """A place for `write_volumes`.

    Raises:
        ConfigError: If it is no .csv, or results that are there already are left out: they would be missing.
    """
    if path.suffix.lower() != ".csv":
        raise ConfigError(f"volumes: expected a file named .csv, found {path}; name it so")
    if skip_existing:
        found = "it with skip_existing, whose results would be missing in the table"
        raise ConfigError(f"volumes: expected all inputs to be predicted, found {found}; leave one of the two out")
    return path


def write_volumes(path: Path, cases: Iterable[CaseVolumes]) -> None:
    """Write a table with a line for each case and class: size, unit, count, box, mean intensity of each channel."""
    rows = [(one.case, name, volume) for one in cases for name, volume in one.classes.items()]
    channels = max((len(volume.mean) for _, _, volume in rows), default=1)
    means = ["mean"] if channels == 1 else [f"mean_{channel}" for channel in range(1, channels + 1)]
    edges = [f"{end}_{axis}" for axis in _AXES for end in ("first", "last")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "class", "size", "unit", "count", *edges, *means])
    for case, name, volume in rows:
        box = ["" for _ in edges] if volume.box is None else [edge for ends in volume.box for edge in ends]
        mean = [f"{value:.6g}" if volume.count else "" for value in volume.mean]
        writer.writerow([case, name, f"{volume.size:.10g}", volume.unit, volume.count, *box, *mean])
    write_text(path, text.getvalue())


def _unit_of(file: Path, geometry: Geometry) -> tuple[Unit, Callable[[slice], NDArray[np.float64]]]:
    """In which unit the pixels of a case are measured, and how large one is in each of some rows."""
    if isinstance(geometry, GeoGeometry) and geometry.crs and geometry.transform:
        try:
            ground, width = Ground.of(file, geometry), geometry.shape[2]
            return "m2", lambda rows: ground.pixel_areas(rows, width)
        except FileError as error:
            warnings.warn(f"{file}: areas are in pixels: {error.found}", DataWarning, stacklevel=2)
    unit: Unit = "pixels" if geometry.shape[0] == 1 else "voxels"
    size = 1.0
    if (affine := geometry.affine) is not None:  # slices of a tilted gantry are no boxes
        unit, size = "ml", abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    return unit, lambda rows: np.full(rows.stop - rows.start, size)

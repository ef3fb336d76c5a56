"""Segmenting one case that has been read: prepared as in training, predicted, ready to be saved."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samtailor.data.case import Case
from samtailor.data.formats import parts_of
from samtailor.data.intensity import Scaled
from samtailor.data.polygons import Drawing, Ground, write_polygons
from samtailor.errors import FileError
from samtailor.inference.predictor import Predictor
from samtailor.inference.room import room_for
from samtailor.inference.volumes import Volume, volumes_of
from samtailor.labels import LabelSpace
from samtailor.reporting.html import filled, image
from samtailor.reporting.table import Table
from samtailor.reporting.view import View, drawn_channels, representative_slice
from samtailor.settings import PolygonKind


@dataclass(frozen=True, repr=False)
class Result:
    """What a segmenter found in a case.

    Attributes:
        case: The case, without label.
        slices: What the network saw of it, in [0, 1], (S, C, H, W); computed where they are looked at.
        label: Class indices, (S, H, W).
        labels: The classes.
        probabilities: Softmax over classes, (K, S, H, W), if asked for; before the refinement.
    """

    case: Case
    slices: Scaled
    label: NDArray[np.int16]
    labels: LabelSpace
    probabilities: NDArray[np.float16] | None = None

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.label.shape[len(self.label) == 1 :]))
        counts = np.bincount(self.label.reshape(-1), minlength=len(self.labels))
        shares = [f"{self.labels.names[k]} {counts[k] / self.label.size:.1%}" for k in np.flatnonzero(counts)]
        return f"Result({self.case.name}, {shape}: {', '.join(shares)})"

    def overlay(self, index: int | None = None, opacity: float = 0.4) -> Image.Image:
        """The image with the colours of the classes over it, pixel by pixel.

        Args:
            index: Which slice of a volume; by default the one with most classes.
            opacity: Of the colours, in [0, 1].

        Raises:
            IndexError: If there is no such slice.
        """
        from samtailor.reporting.overlay import gray_or_rgb, paint

        index = representative_slice(self.label) if index is None else index
        channels = self.slices[index]
        drawn = channels[drawn_channels(len(channels), is_picture=self.case.geometry.spacing is None)]
        painted = paint(gray_or_rgb(np.asarray(drawn)), self.label[index], self.labels, opacity)
        return Image.fromarray((255 * painted).round().astype(np.uint8))

    def show(self) -> None:
        """Show image and classes side by side, with a legend: in a notebook there, elsewhere in a window."""
        shell = sys.modules.get("IPython")
        if shell is not None and shell.get_ipython() is not None:
            importlib.import_module("IPython.display").display(self)
        else:
            Image.open(io.BytesIO(self._repr_png_())).show(self.case.name)

    def _repr_html_(self) -> str:
        """What a notebook shows: the picture, and what each class takes."""
        volumes = self.volumes()
        rows = [(name, str(volume), str(volume.count)) for name, volume in volumes.items()]
        header = ["class", "size", "pixels" if self.case.geometry.spacing is None else "voxels"]
        shown = 2 if all(volume.unit == "pixels" for volume in volumes.values()) else 3  # the size may say it already
        table = filled("blocks.html", blocks=[Table(tuple(header[:shown]), tuple(row[:shown] for row in rows))])
        return f"{image(self._repr_png_(), self.case.name)}\n{table}"

    def _repr_png_(self) -> bytes:
        """The picture alone."""
        # Only who looks pays for matplotlib.
        from samtailor.reporting.figures import png
        from samtailor.reporting.overlay import overlay_figure

        view = View.from_case(self.slices, self.label, spacing=self.case.geometry.spacing)
        return png(overlay_figure(view, self.labels, self.case.name))

    def volumes(self) -> dict[str, Volume]:
        """What each class takes: ml in volumes, square metres on the Earth, pixels elsewhere; box, mean intensity.

        Returns:
            By class name: `size` in `unit`, `count`, `box` and `mean`.
        """
        return volumes_of(self.case, self.label, self.labels)

    def save(self, path: str | Path) -> None:
        """Write the label in the geometry of the input.

        Args:
            path: File to write. Its suffix says which of the kinds that the input's format has: `.nii.gz` and
                `.seg.nrrd` for volumes, `.mha` or `.nrrd` for those of ITK, `.png` for pictures, `.tif` for GeoTIFF,
                and `.seg.dcm` and `.rtstruct.dcm` for DICOM series.

        Raises:
            FileError: If the suffix is of none of them, or the file is one that the input was read from.
        """
        self.case.geometry.write_label(self._apart(path), self.label, self.labels)

    def save_probabilities(self, path: str | Path) -> None:
        """Write the probabilities in the input's geometry.

        Raises:
            ValueError: If they were not asked for.
            FileError: As for `save`.
        """
        if self.probabilities is None:
            raise ValueError("predict with probabilities=True first")
        self.case.geometry.write_probabilities(self._apart(path), self.probabilities, self.labels)

    def _apart(self, path: str | Path) -> Path:
        """The path, unless a result would replace what it was made from."""
        path = Path(path)
        if path.exists() and any(path.samefile(file) for file in parts_of(self.case.files) if file.exists()):
            raise FileError(path, "a file of its own for the result", "what it was made from", "name another file")
        return path

    def save_polygons(self, path: str | Path, simplify: float = 0, min_area: float = 0) -> None:
        """Write the polygons of a result that lies on the Earth.

        Args:
            path: File to write: `.gpkg`, a GeoPackage in the CRS of the input with colours for QGIS, or `.geojson`, in
                WGS 84 longitudes and latitudes.
            simplify: How far a vertex that is left out may be from the new outline, in map units.
            min_area: Square metres; smaller polygons are left out.

        Raises:
            FileError: If the suffix is another, or the input does not say where it lies.
            ConfigError: If the extra `geo` is not installed.
        """
        path = Path(path)
        for kind in get_args(PolygonKind):
            if path.suffix.lower() == f".{kind}":
                return self.polygons(path, Drawing(kind, simplify, min_area))()
        raise FileError(path, "the suffix .gpkg or .geojson", f"'{path.suffix}'", "name the file so")

    def polygons(self, path: Path, drawing: Drawing) -> Callable[[], None]:
        """What writes the polygons; it does not hold the image."""
        geometry, softmax = self.case.geometry, self.probabilities
        ground = Ground.of(Path(self.case.name), geometry)
        probabilities = None if softmax is None else softmax[:, 0]
        void = geometry.void.where[0] if geometry.void else None
        return partial(write_polygons, path, ground, self.label[0], self.labels, drawing, probabilities, void)


def segment(predictor: Predictor, case: Case, probabilities: bool = False, scratch: Path | None = None) -> Result:
    """Segment a case of the segmenter's number of channels; a nameless file in `scratch` may hold the probabilities."""
    slices = predictor.model.preprocessing.prepare(case)
    softmax = room_for(predictor.probabilities_shape(slices), scratch) if probabilities else None
    label = predictor.label(slices, case.geometry.spacing, probabilities=softmax, void=case.geometry.void)
    return Result(case, slices, label, predictor.model.labels, softmax)

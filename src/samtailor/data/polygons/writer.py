"""Polygons of a label, written as its rows come from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import blocks
from samtailor.data.formats.gdal import plainly_named
from samtailor.data.polygons.borders import simplified
from samtailor.data.polygons.ground import Ground
from samtailor.data.polygons.regions import Regions, RegionTracer
from samtailor.data.polygons.style import qgis_style
from samtailor.errors import FileError
from samtailor.files import atomic
from samtailor.labels import IGNORE, LabelSpace
from samtailor.settings import PolygonKind

_LAYER = "polygons"
_BAND = 1 << 20  # pixels that are traced at once
_VERSION = "1.2"  # of GeoPackage; of later ones, older GIS warn
_UTC = 100  # GDAL's number of the time zone
_OF_SQLITE = ("-wal", "-shm", "-journal")  # what a program that has crashed leaves is read as part of the file
_PLACES = 9  # decimal places of degrees: a tenth of a millimetre


@dataclass(frozen=True)
class Drawing:
    """How regions become polygons.

    Attributes:
        kind: 'gpkg' is a GeoPackage in the CRS of the scene, with a style for QGIS. 'geojson' is in WGS 84 longitudes
            and latitudes (RFC 7946, section 4); it is made of a GeoPackage, as GDAL cannot append to it.
        simplify: How far a vertex that is left out may be from the new outline, in map units; 0 leaves the pixels'
            edges. Neighbours keep a common border but for places where one of them is narrower than that: there they
            may overlap or leave a gap.
        min_area: Square metres; smaller polygons are left out, and leave a gap.
    """

    kind: PolygonKind
    simplify: float = 0
    min_area: float = 0


@dataclass
class PolygonWriter:
    """Takes the rows of a label from top to bottom, and appends the polygons that they finish to a GeoPackage.

    Memory holds one band of rows, and the outlines of regions that further rows may continue.

    Attributes:
        path: The GeoPackage.
        ground: Where the label lies.
        width: Pixels of a row.
        labels: The classes.
        drawing: How polygons are drawn; if for GeoJSON, long edges get vertices, as they are curves there.
    """

    path: Path
    ground: Ground
    width: int
    labels: LabelSpace
    drawing: Drawing

    def __post_init__(self) -> None:
        self._tracer = RegionTracer(self.width, junctions=self.drawing.simplify > 0)
        rows = max(1, _BAND // self.width)
        self._label = np.empty((rows, self.width), np.int16)
        self._probability = np.zeros((rows, self.width), np.float32)
        self._filled = 0
        self._has_probabilities = False

    def write(self, label: NDArray[Any], probability: NDArray[Any] | None = None) -> None:
        """Take in the next rows.

        Args:
            label: Class indices, shape (h, W). Background (0) and ignored pixels are in no polygon.
            probability: Probability of each pixel's class, shape (h, W); with all rows, or with none.
        """
        self._has_probabilities = probability is not None
        taken = 0
        while taken < len(label):
            count = min(len(label) - taken, len(self._label) - self._filled)
            here, there = slice(self._filled, self._filled + count), slice(taken, taken + count)
            self._label[here] = label[there]
            if probability is not None:
                self._probability[here] = probability[there]
            self._filled, taken = here.stop, there.stop
            if self._filled == len(self._label):
                self._trace()

    def finish(self) -> None:
        """Write what is left, and how QGIS is to draw it."""
        from pyogrio.raw import write

        self._trace()
        self._append(self._tracer.finish())
        style = {
            "f_table_catalog": "",
            "f_table_schema": "",
            "f_table_name": _LAYER,
            "f_geometry_column": "geom",
            "styleName": "classes",
            "styleQML": qgis_style(self.labels),
            "styleSLD": "",
            "useAsDefault": True,
            "description": "",
            "update_time": np.datetime64("now", "ms"),  # QGIS looks for it
        }
        values = [np.array([value], object if isinstance(value, str) else None) for value in style.values()]
        write(
            self.path,
            None,
            values,
            list(style),
            layer="layer_styles",
            driver="GPKG",
            geometry_type=None,
            append=True,
            gdal_tz_offsets={"update_time": np.array([_UTC])},
        )

    def _trace(self) -> None:
        """Trace the rows that wait."""
        rows, self._filled = slice(self._filled), 0
        if rows.stop:
            self._append(self._tracer.add(self._label[rows], self._probability[rows]))

    def _append(self, regions: Regions) -> None:
        """Append finished regions to the file; none at all make an empty one."""
        import shapely
        from pyogrio.raw import write

        points, pixels = self.ground.on_map(regions.points), regions.pixels
        polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (regions.rings, regions.firsts))
        areas = self.ground.areas(polygons, pixels)
        if self.drawing.simplify > 0:
            polygons = simplified(regions, points, self.drawing.simplify)
        large = areas >= self.drawing.min_area
        polygons, classes = polygons[large], regions.values[large]
        if self.drawing.kind == "geojson":
            polygons = shapely.segmentize(polygons, self.ground.longest)
        fields = {
            "class_id": np.array(self.labels.ids, np.int32)[classes],
            "class": np.array(self.labels.names, object)[classes],
            "area_m2": areas[large],
        }
        if self._has_probabilities:
            fields["mean_probability"] = (regions.weights / pixels)[large].astype(np.float32)
        write(
            self.path,
            shapely.to_wkb(polygons),
            list(fields.values()),
            list(fields),
            layer=_LAYER,
            driver="GPKG",
            geometry_type="Polygon",
            crs=self.ground.crs,
            **({"append": True} if self.path.exists() else {"VERSION": _VERSION}),
        )


@contextmanager
def polygon_file(
    path: Path, ground: Ground, width: int, labels: LabelSpace, drawing: Drawing
) -> Iterator[PolygonWriter]:
    """A file of polygons, which appears when the block succeeds.

    A feature for each region of a class whose pixels touch along edges (connectivity 4), with `class_id` (as in label
    files), `class`, `area_m2` (before simplification, see `Ground.areas`) and, if there are probabilities,
    `mean_probability`. Its geometry is one valid polygon.

    Args:
        path: File to write.
        ground: Where the scene lies.
        width: Pixels of a row.
        labels: The classes.
        drawing: How they are drawn.

    Raises:
        FileError: If there is no room for it.
    """
    with atomic(path, _OF_SQLITE) as temporary:
        is_geojson = drawing.kind == "geojson"
        packed = temporary.with_name(f"{temporary.name}.gpkg") if is_geojson else temporary
        try:
            with _told(path), plainly_named([packed]) as target:
                writer = PolygonWriter(target, ground, width, labels, drawing)
                yield writer
                writer.finish()
                if is_geojson:
                    with plainly_named([temporary]) as made:
                        _write_geojson(target, made)
        finally:
            if packed != temporary:
                packed.unlink(missing_ok=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """A block whose failures to write are ours: GDAL's are no `OSError`."""
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        yield
    except (DataLayerError, DataSourceError) as error:
        found = f"none ({' '.join(str(error).split())})"
        raise FileError(path, "a place for polygons", found, "free some space, or name another folder") from error


def _write_geojson(source: Path, path: Path) -> None:
    """Make a GeoJSON of the polygons of a GeoPackage, a feature at a time."""
    from pyogrio.raw import open_arrow, write_arrow

    with open_arrow(source, layer=_LAYER, use_pyarrow=False) as (about, features):
        write_arrow(
            features,
            path,
            layer=_LAYER,
            driver="GeoJSON",
            geometry_name=about["geometry_name"],
            geometry_type=about["geometry_type"],
            crs=about["crs"],
            RFC7946="YES",
            COORDINATE_PRECISION=_PLACES,
        )


def write_polygons(
    path: Path,
    ground: Ground,
    label: NDArray[Any],
    labels: LabelSpace,
    drawing: Drawing,
    probabilities: NDArray[Any] | None = None,
    void: NDArray[np.bool_] | None = None,
) -> None:
    """Write the polygons of a label that is there as a whole; see `polygon_file`.

    Args:
        path: File to write.
        ground: Where it lies.
        label: Class indices, shape (H, W).
        labels: The classes.
        drawing: How polygons are drawn.
        probabilities: Of every class, shape (K, H, W); may lie on disk.
        void: Pixels that hold nothing and are in no polygon, shape (H, W).
    """
    with polygon_file(path, ground, label.shape[1], labels, drawing) as file:
        for rows in blocks(label.shape):
            part, certainty = label[rows], None
            if probabilities is not None:
                index = part[None].astype(np.intp)  # of ignored pixels the last class's, which nobody looks at
                certainty = np.take_along_axis(probabilities[:, *rows], index, axis=0)[0]
            file.write(part if void is None else np.where(void[rows], IGNORE, part), certainty)

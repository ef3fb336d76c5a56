"""Vector labels: polygons of classes in a GeoPackage, GeoJSON or Shapefile, drawn on the grid of their image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Geometry
from samtailor.data.formats.format import LabelFormat, reading
from samtailor.data.formats.gdal import gdal, plainly_named, require_companions
from samtailor.data.formats.geotiff import GeoGeometry, crs_name, told_box
from samtailor.errors import FileError, listed
from samtailor.extras import require_extra
from samtailor.labels import LabelSpace

_COLUMN = "class"
_AREAS = (3, 6)  # Shapely's numbers of Polygon and MultiPolygon
_PARTS = (".shx", ".dbf", ".prj", ".cpg")  # of a Shapefile; what else lies beside it does not change what is read
_BESIDE = (*_PARTS, ".qix", ".sbn", ".sbx", ".qpj", ".qml")
_LOOKED_FOR = (*_BESIDE, ".cst", ".idx", "-wal", "-shm", "-journal")
"""What GDAL and SQLite look for beside polygons."""


class VectorFormat(LabelFormat):
    """Polygons, each with its class in a column, by name or id.

    A pixel is of a polygon's class if its centre lies inside. Where polygons overlap, the later one in the file counts;
    where there is none, the first class, the background.
    """

    suffixes = (".gpkg", ".geojson", ".shp")
    volumes = False

    def parts(self, path: Path) -> list[Path]:
        """The file, and the other files of a Shapefile."""
        beside = (path.with_suffix(_as_in(path, part)) for part in _PARTS) if path.suffix.lower() == ".shp" else ()
        return [path, *filter(os.path.isfile, beside)]

    def accompanies(self, path: Path) -> bool:
        """Whether a file belongs to a Shapefile or GeoPackage beside it, or is a style."""
        if path.name.lower().endswith((".gpkg-wal", ".gpkg-shm")):
            return os.path.isfile(path.with_name(path.name[: -len("-wal")]))
        kinds = self.suffixes if path.suffix.lower() == ".qml" else (".shp",)
        beside = (path.with_suffix(_as_in(path, kind)) for kind in kinds)
        return path.suffix.lower() in _BESIDE and any(map(os.path.isfile, beside))

    def read_ids(
        self, path: Path, labels: LabelSpace, grid: Geometry | None = None
    ) -> tuple[NDArray[Any], GeoGeometry]:
        """Ids drawn on the grid of the image, in its CRS, shape (1, H, W)."""
        place = _place(path, grid)
        geometries, ids = _polygons(path, labels, place)
        return _drawn(path, geometries, ids, labels.ids[0], place)[None], place

    def read_names(self, path: Path) -> dict[int, str] | None:
        """None: a vector file does not list its classes."""
        return None

    def label_doubts(self, path: Path, labels: LabelSpace, grid: Geometry) -> Iterator[tuple[str, str, str]]:
        """Polygons of different classes that overlap."""
        place = _place(path, grid)
        geometries, ids = _polygons(path, labels, place)
        first, last = (_drawn(path, geometries[::step], ids[::step], labels.ids[0], place) for step in (-1, 1))
        if count := int((first != last).sum()):
            fix = "if it is meant so, nothing: of several polygons the last in the file counts"
            yield "polygons of different classes apart from each other", f"{count} pixels in several of them", fix


def _as_in(path: Path, suffix: str) -> str:
    """A suffix in capitals if that of a path is: old programs write all parts of a Shapefile so."""
    return suffix.upper() if path.suffix.isupper() else suffix


def _place(path: Path, grid: Geometry | None) -> GeoGeometry:
    """Where the image lies; refused if it does not say so."""
    if not isinstance(grid, GeoGeometry) or grid.crs is None or grid.transform is None:
        fix = "give the image both (gdal_edit.py -a_srs, -a_ullr), or draw the label as a mask"
        raise FileError(path, "an image with a CRS and a transform to draw the polygons on", "one without", fix)
    return replace(grid, void=None)


def _polygons(path: Path, labels: LabelSpace, place: GeoGeometry) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Polygons that may touch an image, in its CRS, in the order of the file, and their ids."""
    require_companions(path, _LOOKED_FOR)
    parts = VectorFormat().parts(path)
    pyogrio, shapely = (require_extra(name, "geo", "a vector label", path) for name in ("pyogrio", "shapely"))
    with reading(path, "vector file"), plainly_named(parts) as file:
        layers = [str(name) for name, kind in pyogrio.list_layers(file) if kind is not None]
    layer = _layer(path, layers, labels.layer)
    with reading(path, "vector file"), plainly_named(parts) as file:
        info = pyogrio.read_info(file, layer=layer, force_feature_count=True)
    if not info["features"]:
        return np.array([], object), np.array([], np.int64)
    column = labels.column or _COLUMN
    if column not in info["fields"]:
        found = f"the columns {listed(list(info['fields']))}" if len(info["fields"]) else "no column"
        raise FileError(path, f"a column '{column}' with the class", found, 'name it as "label_column" in dataset.json')
    if not info["crs"]:
        fix = "say which it is: ogr2ogr -a_srs EPSG:... OUT IN (a Shapefile's lies in its .prj)"
        raise FileError(path, "a CRS", "none", fix)
    with reading(path, "vector file"), plainly_named(parts) as file:
        _, _, wkb, (values,) = pyogrio.raw.read(file, layer=layer, columns=[column], force_2d=True)
        geometries = shapely.from_wkb(wkb)
    _require_areas(path, shapely, geometries)
    ids = _ids(path, values, labels, column)
    kept = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    geometries, ids = _in_crs(path, shapely, geometries[kept], info["crs"], place), ids[kept]
    image = shapely.Polygon(place.corners())
    inside = shapely.intersects(shapely.box(*shapely.bounds(geometries).T), image)
    if len(geometries) and not inside.any():
        found = f"{told_box(*shapely.total_bounds(geometries).tolist())}, in the image's CRS"
        fix = "take the label of this image, and look at the CRS that the label says it has"
        raise FileError(path, f"polygons within the image, {place.extent}", found, fix)
    return geometries[inside], ids[inside]


def _layer(path: Path, layers: Sequence[str], wanted: str | None) -> str:
    """The layer that is read."""
    if wanted is None and len(layers) == 1:
        return layers[0]
    if wanted in layers:
        return str(wanted)
    found = f"the layers {listed(layers)}" if layers else "none"
    expected = "one layer of polygons" if wanted is None else f"a layer '{wanted}'"
    raise FileError(path, expected, found, 'name it as "label_layer" in dataset.json')


def _require_areas(path: Path, shapely: Any, geometries: NDArray[Any]) -> None:
    """Refuse points and lines, which no pixel is inside of; features without geometry are none."""
    kinds = shapely.get_type_id(geometries)
    if (others := ~np.isin(kinds, (*_AREAS, -1))).any():
        counts = Counter(geometry.geom_type for geometry in geometries[others])
        found = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        raise FileError(path, "polygons", found, "draw them as areas (a buffer makes some of lines), or take them away")


def _ids(path: Path, values: NDArray[Any], labels: LabelSpace, column: str) -> NDArray[np.int64]:
    """Ids of the values of the class column: names, or ids as numbers or text."""
    known: dict[Any, int] = {str(identifier): identifier for identifier in labels.ids}
    if labels.ignore_id is not None:
        known[str(labels.ignore_id)] = labels.ignore_id
    known |= dict(zip(labels.names, labels.ids, strict=True))
    texts = [f"{value:.10g}" if isinstance(value, float | np.floating) else str(value) for value in values.tolist()]
    if unknown := Counter(text for text in texts if text not in known):
        found = listed([f"'{text}' ({count} features)" for text, count in unknown.items()])
        fix = "correct the column, or add the classes to dataset.json"
        raise FileError(path, f"the classes {listed(labels.names)} or their ids in the column '{column}'", found, fix)
    return np.array([known[text] for text in texts], np.int64)


def _in_crs(path: Path, shapely: Any, geometries: NDArray[Any], crs: str, place: GeoGeometry) -> NDArray[Any]:
    """Geometries in the CRS of the image."""
    with gdal(path) as rasterio:
        warp = require_extra("rasterio.warp", "geo", "a vector label", path)
        source, target = rasterio.crs.CRS.from_user_input(crs), rasterio.crs.CRS.from_wkt(place.crs)
        if source == target:
            return geometries

        def moved(places: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.column_stack(warp.transform(source, target, places[:, 0], places[:, 1]))

        with suppress(Exception):  # of kinds that rasterio keeps to itself, where places do not exist
            transformed: NDArray[Any] = shapely.transform(geometries, moved)
            if np.isfinite(shapely.get_coordinates(transformed)).all():
                return transformed
    found = f"{told_box(*shapely.total_bounds(geometries).tolist())} as {crs_name(source.to_wkt())}"
    fix = "look at the CRS that the label says it has: its coordinates do not fit it"
    raise FileError(path, f"coordinates that there are in the image's CRS, {crs_name(place.crs)}", found, fix)


def _drawn(
    path: Path, geometries: NDArray[Any], ids: NDArray[np.int64], background: int, place: GeoGeometry
) -> NDArray[np.int32]:
    """Ids (H, W) of polygons drawn one after the other."""
    if not len(geometries):
        return np.full(place.size, background, np.int32)
    with gdal(path) as rasterio:
        features = require_extra("rasterio.features", "geo", "a vector label", path)
        drawn: NDArray[np.int32] = features.rasterize(
            zip(geometries, ids.tolist(), strict=True),
            out_shape=place.size,
            transform=rasterio.Affine(*(place.transform or ())),
            fill=background,
            all_touched=False,
            dtype="int32",
        )
    return drawn

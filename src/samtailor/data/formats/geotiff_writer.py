"""GeoTIFFs of results, written band of rows by band of rows: memory is bounded by one row of tiles.

Tiled and deflated, with the CRS and the transform of the input, so that a GIS lays them over it. Labels hold ids; where
the input has no data, they have none either. Their class names are in the metadata of the band ('labels', JSON), their
colours in a colour table (of 8 bits; the format has none beyond that GIS read) and, with the names, in a QGIS style of
the same name (`.qml`), which QGIS takes by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import blocks
from samtailor.data.case import ProbabilityType
from samtailor.data.formats.gdal import SIDECARS, gdal
from samtailor.extras import require_extra
from samtailor.files import atomic
from samtailor.labels import IGNORE, LabelSpace

STYLE_SUFFIX = ".qml"
"""Of the QGIS style beside a label, in the place of the label's."""

_TILE = 512
_SMALLEST_TILE = 64
_BUFFER = 128 << 20
"""Bytes of one row of tiles; of many classes, tiles are smaller."""
_STEPS = 254


class Georeferenced(Protocol):
    """Where a raster lies."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def crs(self) -> str | None:
        """Coordinate reference system as WKT."""

    @property
    def transform(self) -> tuple[float, float, float, float, float, float] | None:
        """From columns and rows to coordinates."""

    @property
    def nodata(self) -> float | None:
        """What the input has where it has no data."""


class RasterWriter:
    """Writes bands of rows from top to bottom, each row once; tiles go to disk as soon as they are complete."""

    def __init__(self, dataset: Any, path: Path, side: int) -> None:
        """Write into a new dataset whose tiles have that many rows; `path` is for errors."""
        self._dataset, self._path, self._side = dataset, path, side
        self._buffer = np.empty((dataset.count, min(side, dataset.height), dataset.width), dataset.dtypes[0])
        self._next = 0

    def write(self, first_row: int, values: NDArray[Any]) -> None:
        """Write rows.

        Args:
            first_row: Where they lie: the row after those written before.
            values: Of the raster's type, shape (bands, h, W).
        """
        if first_row != self._next:
            raise ValueError(f"expected row {self._next} next, found {first_row}")
        while values.shape[1]:
            at = self._next % self._side
            count = min(values.shape[1], self._buffer.shape[1] - at)
            self._buffer[:, at : at + count] = values[:, :count]
            values, self._next = values[:, count:], self._next + count
            if self._next % self._side == 0 or self._next == self._dataset.height:
                window = (self._next - at - count, self._next), (0, self._dataset.width)
                with gdal(self._path):
                    self._dataset.write(self._buffer[:, : at + count], window=window)

    def finish(self) -> None:
        """Require that every row has been written."""
        if self._next != self._dataset.height:
            raise ValueError(f"expected {self._dataset.height} rows, found {self._next}")


class LabelWriter:
    """Writes class indices as ids."""

    def __init__(self, raster: RasterWriter, ids: NDArray[Any]) -> None:
        """Write these ids, (K + 1,), of the raster's type; the last one is nodata."""
        self._raster, self._ids = raster, ids

    def write(self, first_row: int, label: NDArray[Any], void: NDArray[np.bool_] | None = None) -> None:
        """Write rows.

        Args:
            first_row: Where they lie: the row after those written before.
            label: Class indices, `IGNORE` where there is none, shape (h, W).
            void: Where the input has no data, shape (h, W).
        """
        ids = np.empty(label.shape, self._ids.dtype)
        for rows in blocks(label.shape):  # NumPy makes 8 bytes of each index it looks up
            ids[rows] = self._ids[label[rows]]  # `IGNORE` points to the last one
        if void is not None:
            ids[void] = self._ids[IGNORE]
        self._raster.write(first_row, ids[None])


class ProbabilityWriter:
    """Writes class probabilities in one of their types."""

    def __init__(self, raster: RasterWriter, kept: ProbabilityType) -> None:
        """Write into a raster with one band for each class."""
        self._raster, self._kept = raster, kept

    def write(self, first_row: int, probabilities: NDArray[Any], void: NDArray[np.bool_] | None = None) -> None:
        """Write rows.

        Args:
            first_row: Where they lie: the row after those written before.
            probabilities: In [0, 1], shape (K, h, W).
            void: Where the input has no data, shape (h, W).
        """
        values: NDArray[Any] = probabilities.astype(np.float32)
        if self._kept == "uint8":
            values = np.rint(values * _STEPS).astype(np.uint8)
        if void is not None:
            values[:, void] = _STEPS + 1 if self._kept == "uint8" else np.nan
        self._raster.write(first_row, values)


@contextmanager
def label_raster(
    path: Path, geometry: Georeferenced, labels: LabelSpace, cloud_optimised: bool = False
) -> Iterator[LabelWriter]:
    """A label, and beside it its QGIS style: they appear when the block succeeds, complete or not at all.

    Args:
        path: File to write.
        geometry: Where it lies.
        labels: Label space: ids, names, colours.
        cloud_optimised: Whether it becomes a cloud-optimised GeoTIFF, with overviews.
    """
    kept, nodata = label_type(labels, geometry.nodata)
    ids = np.array([*labels.ids, nodata]).astype(kept)
    with (
        atomic(path, SIDECARS) as target,
        atomic(path.with_suffix(STYLE_SUFFIX)) as style,  # the label appears last
    ):
        style.write_text(_style(labels), encoding="utf-8")
        settings = {"count": 1, "dtype": kept.name, "nodata": nodata}
        with _raster(target, geometry, settings, "nearest" if cloud_optimised else None) as (dataset, raster):
            names = dict(zip(map(str, labels.ids), labels.names, strict=True))
            with gdal(path):
                dataset.set_band_description(1, "class")
                dataset.update_tags(1, labels=json.dumps(names))
                if kept == np.uint8:
                    colours = dict(zip(labels.ids, labels.palette, strict=True))
                    dataset.write_colormap(1, colours)
            yield LabelWriter(raster, ids)


@contextmanager
def probability_raster(
    path: Path,
    geometry: Georeferenced,
    classes: int,
    names: Sequence[str] | None = None,
    kept: ProbabilityType = "float32",
    cloud_optimised: bool = False,
) -> Iterator[ProbabilityWriter]:
    """Class probabilities, one band for each: they appear when the block succeeds, complete or not at all.

    Args:
        path: File to write.
        geometry: Where it lies.
        classes: How many there are.
        names: What they are called.
        kept: Type of the numbers: steps of 1/254 (255 is nodata) in a byte, or floats (NaN is nodata).
        cloud_optimised: Whether it becomes a cloud-optimised GeoTIFF, with overviews.
    """
    small = kept == "uint8"
    settings: dict[str, Any] = {"count": classes, "dtype": "uint8" if small else "float32", "interleave": "band"}
    settings |= {"nodata": _STEPS + 1 if small else np.nan}
    if kept == "float16":
        settings["nbits"] = 16  # GDAL's way to keep halves, which it reads as single precision
    with (
        atomic(path, SIDECARS) as target,
        _raster(target, geometry, settings, "average" if cloud_optimised else None) as (dataset, raster),
    ):
        with gdal(path):
            for index, name in enumerate(names or (), start=1):
                dataset.set_band_description(index, name)
            if small:
                dataset.scales = [1 / _STEPS] * classes
        yield ProbabilityWriter(raster, kept)


def label_type(labels: LabelSpace, wanted: float | None) -> tuple[np.dtype[Any], int]:
    """Smallest type that holds the ids, and an id for no data that is no class.

    The latter is the ignore id if there is one, else what the input has if it can be, else the highest that is free.
    """
    for kept in (np.uint8, np.uint16, np.int32):
        low, high = int(np.iinfo(kept).min), int(np.iinfo(kept).max)
        if not low <= min(labels.ids) <= max(labels.ids) <= high:
            continue
        for nodata in chain((labels.ignore_id, wanted), range(high, max(low, high - len(labels.ids)) - 1, -1)):
            if nodata is not None and low <= nodata <= high and nodata == int(nodata) and nodata not in labels.ids:
                return np.dtype(kept), int(nodata)
    raise ValueError(f"{labels.ids} are no ids of 32 bits")


@contextmanager
def _raster(
    target: Path, geometry: Georeferenced, settings: dict[str, Any], overviews: str | None
) -> Iterator[tuple[Any, RasterWriter]]:
    """A new GeoTIFF, and what writes its rows; finished when the block succeeds.

    Args:
        target: File to write, which nobody looks at before the end.
        geometry: Where it lies.
        settings: Bands, type and nodata.
        overviews: How the overviews of a cloud-optimised GeoTIFF are made of the pixels; None makes a plain one.
    """
    rows, columns = geometry.size
    side = _tile(columns * settings["count"] * np.dtype(settings["dtype"]).itemsize)
    settings |= {"driver": "GTiff", "height": rows, "width": columns, "tiled": True, "blockxsize": side}
    settings |= {"blockysize": side, "compress": "deflate", "bigtiff": "if_safer"}
    first = target if overviews is None else target.with_name(f"{target.stem}-rows{target.suffix}")
    try:
        with gdal(target) as rasterio:
            if geometry.crs is not None:
                settings["crs"] = rasterio.crs.CRS.from_wkt(geometry.crs)
            if geometry.transform is not None:
                settings["transform"] = rasterio.Affine(*geometry.transform)
            dataset = rasterio.open(first, "w", **settings)
        with dataset:
            raster = RasterWriter(dataset, target, side)
            yield dataset, raster
            raster.finish()
        if overviews is not None:
            with gdal(target) as rasterio:
                _cloud_optimise(first, target, overviews)
    finally:
        if first != target:
            first.unlink(missing_ok=True)


def _cloud_optimise(source: Path, target: Path, overviews: str) -> None:
    """Copy a GeoTIFF in the order that lets programs read parts of it over the network."""
    copy = require_extra("rasterio.shutil", "geo", "a georeferenced image", target).copy
    copy(
        source,
        target,
        driver="COG",
        blocksize=_TILE,
        compress="deflate",
        bigtiff="if_safer",
        overview_resampling=overviews,
        num_threads="all_cpus",
    )


def _tile(row: int) -> int:
    """Side of the tiles, a power of two, by the bytes of a row of all bands: a row of tiles fits into the buffer."""
    side = _TILE
    while side > _SMALLEST_TILE and side * row > _BUFFER:
        side //= 2
    return side


def _style(labels: LabelSpace) -> str:
    """QGIS style: colour and name of each id."""
    root = ElementTree.Element("qgis", version="3.22", styleCategories="Symbology")
    pipe = ElementTree.SubElement(root, "pipe")
    renderer = ElementTree.SubElement(pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1")
    entries = ElementTree.SubElement(renderer, "colorPalette")
    for identifier, name, (red, green, blue) in zip(labels.ids, labels.names, labels.palette, strict=True):
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        entry = {"value": str(identifier), "color": colour, "alpha": "255", "label": name}
        ElementTree.SubElement(entries, "paletteEntry", entry)
    ElementTree.indent(root)
    return "<!DOCTYPE qgis>\n" + ElementTree.tostring(root, encoding="unicode") + "\n"

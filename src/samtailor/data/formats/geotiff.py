"""GeoTIFF and VRT: images that know where on Earth they lie, of any size and number of bands; GDAL reads and writes."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import blocks
from samtailor.data.case import Geometry, ProbabilityType, RowWriter, SceneGeometry, Void
from samtailor.data.formats.format import Header, SceneFormat, require_suffix
from samtailor.data.formats.gdal import SIDECARS, gdal, open_dataset
from samtailor.data.formats.gdal_raster import Excerpt, ExcerptReader, GdalRaster, Transform, open_raster
from samtailor.data.formats.geotiff_writer import STYLE_SUFFIX, label_raster, probability_raster
from samtailor.data.formats.label_content import LabelContent
from samtailor.data.formats.mask_colours import ids_of
from samtailor.data.formats.mask_content import content_of
from samtailor.data.scene import Patch, PatchReader
from samtailor.errors import FileError
from samtailor.labels import LabelSpace

# ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory (OGC 19-008r4, annex A).
_GEOREFERENCE = {33550, 33922, 34264, 34735}
_MOST_TAGS = 1000
_SHIFT = 0.1  # of a pixel: more than rounding in headers does, less than anybody sees


@dataclass(frozen=True)
class GeoGeometry(SceneGeometry):
    """Where a picture lies: the canonical array lies like the file, with one slice, and so do results.

    Attributes:
        size: Rows and columns.
        crs: Coordinate reference system as WKT; None if the file names none.
        transform: (a, b, c, d, e, f): x = a * column + b * row + c, y = d * column + e * row + f, at the corners of
            pixels; None if the file has none.
        nodata: Number that stands for no data in the file, if it names one.
        void: Pixels without data.
    """

    size: tuple[int, int]
    crs: str | None = None
    transform: Transform | None = None
    nodata: float | None = None
    void: Void | None = field(default=None, compare=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """1, rows, columns."""
        return 1, *self.size

    def corners(self) -> NDArray[np.float64]:
        """Coordinates (x, y) of the four corners, in order around the picture, (4, 2); in pixels without transform."""
        rows, columns = self.size
        return self.coordinates(np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float64))

    def coordinates(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates (x, y) of places (column, row), shape (N, 2)."""
        a, b, c, d, e, f = self.transform or (1, 0, 0, 0, 1, 0)
        coordinates: NDArray[np.float64] = places @ np.array([[a, d], [b, e]]) + (c, f)
        return coordinates

    @property
    def extent(self) -> str:
        """The box around it, in words."""
        corners = self.corners()
        return told_box(*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())

    def difference(self, other: Geometry, name: str = "label", like: str = "image") -> tuple[str, str, str] | None:
        """What the CRS, the place or the size of another should be, what it is, and how to fix it, if it differs.

        What says nothing of its CRS or place (a PNG, a plain TIFF) may be anywhere. Corners may lie a tenth of a pixel
        apart.
        """
        fix = (
            f"warp the {name} onto the {like}'s grid with nearest neighbours: rio warp {name.upper()} OUT --like "
            f"{like.upper()} --resampling nearest"
        )
        placed = isinstance(other, GeoGeometry) and self.transform is not None and other.transform is not None
        if isinstance(other, GeoGeometry) and not _same_crs(self.crs, other.crs):
            header = f"; if only its header is wrong: gdal_edit.py -a_srs {crs_name(self.crs)} {name.upper()}"
            return f"the CRS {crs_name(self.crs)} like the {like}", crs_name(other.crs), fix + header
        if placed and isinstance(other, GeoGeometry) and _apart(self.corners(), other.corners()):
            found = f"{other.extent}, outside of the {like}"
            return f"a place within the {like}, {self.extent}", found, f"take the {name} of this {like}"
        if difference := super().difference(other, name, like):
            expected, found, usual = difference
            return expected, found, fix if placed else usual
        if placed and isinstance(other, GeoGeometry) and (shift := self._shift(other)) > _SHIFT:
            half = ", as where one program means the centres of pixels and another their corners" * (0.4 < shift < 0.8)
            return f"the transform {_six(self)} like the {like}", f"{_six(other)}{half}", fix
        return None

    def _shift(self, other: GeoGeometry) -> float:
        """How far, in pixels of this, the corners of another raster of the same size are from this one's."""
        a, b, _, d, e, _ = self.transform or (1, 0, 0, 0, 1, 0)
        inverse = np.linalg.inv([[a, d], [b, e]])
        return float(np.linalg.norm((other.corners() - self.corners()) @ inverse, axis=1).max())

    def write_label(self, path: Path, label: NDArray[Any], labels: LabelSpace) -> None:
        """Write a GeoTIFF of ids, and beside it a QGIS style; pixels without data have none there either."""
        with self.label_writer(path, labels) as raster:
            for rows in blocks(label.shape[1:]):
                raster.write(_first(rows), label[0][rows], self._void_of(rows))

    def write_probabilities(self, path: Path, probabilities: NDArray[Any], labels: LabelSpace) -> None:
        """Write a GeoTIFF with one band per class, named as the class is."""
        with self.probability_writer(path, labels, "float32") as raster:
            for rows in blocks((self.size[0], self.size[1] * len(probabilities))):
                raster.write(_first(rows), probabilities[:, 0, rows[0]], self._void_of(rows))

    def label_writer(
        self, path: Path, labels: LabelSpace, cloud_optimised: bool = False
    ) -> AbstractContextManager[RowWriter]:
        """What writes a GeoTIFF of ids from top to bottom, and beside it a QGIS style."""
        require_suffix(path, GeoTiffFormat.label_suffixes.values())
        return label_raster(path, self, labels, cloud_optimised)

    def probability_writer(
        self, path: Path, labels: LabelSpace, kept: ProbabilityType, cloud_optimised: bool = False
    ) -> AbstractContextManager[RowWriter]:
        """What writes a GeoTIFF with one band per class, named as the class is, from top to bottom."""
        require_suffix(path, (GeoTiffFormat.probabilities_suffix,))
        return probability_raster(path, self, len(labels), labels.names, kept, cloud_optimised)

    def _void_of(self, rows: tuple[int | slice, ...]) -> NDArray[np.bool_] | None:
        return None if self.void is None else self.void.where[0][rows]


class GeoTiffFormat(SceneFormat):
    """TIFF with a CRS or a transform by its tags, GDAL's VRT, and JPEG 2000; one file holds all bands."""

    suffixes = (".tif", ".tiff", ".vrt", ".jp2")
    label_suffixes: ClassVar = {"geotiff": ".tif"}
    probabilities_suffix = ".tif"
    volumes = False

    def recognises(self, path: Path) -> bool:
        """Whether the path is a VRT or JPEG 2000, or a TIFF that says where it lies; what is not there says nothing."""
        if not super().recognises(path):
            return False
        return path.suffix.lower() in (".vrt", ".jp2") or (os.path.isfile(path) and _is_georeferenced(path))

    def parts(self, path: Path) -> list[Path]:
        """The file, what GDAL reads beside it (masks, overviews, metadata), and what a VRT is made of."""
        with open_dataset(path) as dataset:
            return [Path(file) for file in dataset.files]

    def accompanies(self, path: Path) -> bool:
        """Whether a file is GDAL's metadata, overviews or mask of an image, its world file, or its style in QGIS."""
        for suffix in SIDECARS:
            if path.name.lower().endswith(suffix):
                return os.path.isfile(path.with_name(path.name[: -len(suffix)]))
        beside = path.suffix.lower() in (".tfw", STYLE_SUFFIX)
        return beside and any(os.path.isfile(path.with_suffix(suffix)) for suffix in self.suffixes)

    def written_beside(self, label: Path) -> tuple[Path, ...]:
        """The QGIS style."""
        return (label.with_suffix(STYLE_SUFFIX),)

    def read_header(self, path: Path) -> Header:
        """Place, bands (without alpha) and bits."""
        raster = open_raster(path)
        channels = 3 if raster.has_colours else raster.channels
        return Header(_geometry(raster), channels, 8 * raster.kept.itemsize, raster.bands)

    def read_pixels(self, paths: tuple[Path, ...]) -> tuple[NDArray[Any], GeoGeometry]:
        """Intensities of one file; alpha is dropped, samples without data are 0."""
        raster = _only(paths)
        part = raster.whole()
        void = None if part.void is None else Void(part.void[None], part.why)
        if void is not None and void.where.all():
            fix = "take the image away, or correct its nodata tag or mask"
            raise FileError(raster.path, "pixels with data", f"none but {void.why}", fix)
        return _intensities(raster, part), _geometry(raster, void)

    @contextmanager
    def reader(self, paths: tuple[Path, ...]) -> Iterator[PatchReader]:
        """A block that reads parts of what `read_pixels` gives, and no more."""
        raster = _only(paths)
        with raster.reader() as read:
            yield _Reader(raster, read)

    def read_ids(
        self, path: Path, labels: LabelSpace, grid: Geometry | None = None
    ) -> tuple[NDArray[Any], GeoGeometry]:
        """Label ids; where the label has no data, the ignore id, or without one the first class's, and it is void.

        A nodata number that is a class's id is that class.
        """
        raster = open_raster(path)
        part = raster.whole()
        if raster.nodata is None or raster.nodata in labels.ids:
            part = replace(part, lacking=None)
        void = part.void
        filler = labels.ids[0] if labels.ignore_id is None else labels.ignore_id
        samples = np.moveaxis(part.samples, 0, -1)
        if void is None:
            return ids_of(raster, samples, labels, raster.class_names is not None)[None], _geometry(raster)
        geometry = _geometry(raster, Void(void[None], part.why))
        if void.all():
            return np.full(geometry.shape, filler, np.int32), geometry
        samples[void] = samples[~void][0]  # any that is known, as a mask of colours has no other numbers
        ids = ids_of(raster, samples, labels, raster.class_names is not None)
        return np.where(void, np.int32(filler), ids)[None], geometry

    def content(self, path: Path) -> LabelContent:
        """Pixels of each gray level, index or colour, where the file has data."""
        raster = open_raster(path)
        part = raster.whole()
        samples = np.moveaxis(part.samples, 0, -1)
        void = part.masked
        if raster.nodata is not None and samples.dtype.kind == "f":
            unknown = np.isnan(samples).all(axis=-1)
            void = unknown if void is None else void | unknown
        if void is not None and void.all():
            return LabelContent("ids")
        known = samples if void is None else samples[~void][:, None]
        return content_of(raster, known)

    def read_names(self, path: Path) -> dict[int, str] | None:
        """Class names in the metadata of the band."""
        return open_raster(path).class_names

    def doubts(self, path: Path) -> Iterator[tuple[str, str, str]]:
        """Places that are only half said, and bands that are taken for transparency."""
        raster = open_raster(path)
        if raster.bands > raster.channels:
            alpha = min(set(range(1, raster.bands + 1)) - set(raster.indexes))
            fix = f"if it is another, say so: gdal_edit.py -colorinterp_{alpha} undefined FILE"
            yield "bands of intensities", f"band {alpha} marked as transparency, which is dropped", fix
        if raster.crs is None or raster.transform is None:
            found = "none" if raster.transform is None else "coordinates without a CRS"
            fix = "results will lie as the image does: give it both (gdal_edit.py -a_srs, -a_ullr)"
            yield "a CRS and a transform", found, fix


class _Reader(PatchReader):
    """Reads parts of an open file."""

    def __init__(self, raster: GdalRaster, read: ExcerptReader) -> None:
        self.shape = 3 if raster.has_colours else raster.channels, *raster.size
        self.dtype, self.tile = raster.kept, raster.tile
        self._raster, self._read = raster, read

    def read(self, rows: slice, columns: slice) -> Patch:
        part = self._read(rows, columns)
        return Patch(_intensities(self._raster, part)[:, 0], part.void)


def told_box(left: float, low: float, right: float, high: float) -> str:
    """Coordinates of a box, in words."""
    return f"x {left:.10g} to {right:.10g}, y {low:.10g} to {high:.10g}"


def crs_name(wkt: str | None) -> str:
    """What a CRS is called: its code, or else its name."""
    if wkt is None:
        return "none"
    crs = _crs(wkt)
    if authority := crs.to_authority():
        return ":".join(authority)
    return wkt.split('"')[1] if '"' in wkt else wkt


def _geometry(raster: GdalRaster, void: Void | None = None) -> GeoGeometry:
    return GeoGeometry(raster.size, raster.crs, raster.transform, raster.nodata, void)


def _only(paths: tuple[Path, ...]) -> GdalRaster:
    """The one file of an image."""
    if len(paths) > 1:
        raise FileError(
            paths[1], "one file per image", f"{len(paths)} files", "merge the bands: gdal_merge.py -separate"
        )
    return open_raster(paths[0])


def _intensities(raster: GdalRaster, part: Excerpt) -> NDArray[Any]:
    """Intensities of a part, (C, 1, h, w): colours of a palette, eight bits of fewer."""
    if raster.palette is None:
        samples = part.filled() * np.uint8(raster.step) if raster.step > 1 else part.filled()
    else:
        colours = raster.palette[part.samples[0]]
        if (void := part.void) is not None:
            colours[void] = 0
        samples = np.moveaxis(colours if raster.has_colours else colours[..., :1], -1, 0)
    return np.ascontiguousarray(samples.astype(raster.kept, copy=False)[:, None])


@lru_cache(maxsize=256)
def _crs(wkt: str) -> Any:
    with gdal("CRS") as rasterio:
        return rasterio.crs.CRS.from_wkt(wkt)


def _same_crs(first: str | None, second: str | None) -> bool:
    """Whether two CRS are the same, whatever they are called; one that is not known may be."""
    if first is None or second is None or first == second:
        return True
    one, other = _crs(first), _crs(second)
    return bool(one == other or (one.to_dict() and one.to_dict() == other.to_dict()))


def _apart(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Whether the boxes around two sets of corners (4, 2) have nothing in common."""
    return bool((first.max(axis=0) <= second.min(axis=0)).any() or (second.max(axis=0) <= first.min(axis=0)).any())


def _six(geometry: GeoGeometry) -> str:
    return f"({', '.join(f'{number:.10g}' for number in geometry.transform or ())})"


def _first(rows: tuple[int | slice, ...]) -> int:
    """First of the rows that `blocks` of a plane name."""
    (part,) = rows
    assert isinstance(part, slice)
    return int(part.start)


def _is_georeferenced(path: Path) -> bool:
    """Whether the first page of a TIFF has a tag that says where it lies (TIFF 6.0, section 2; BigTIFF alike)."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
            order = {b"II": "<", b"MM": ">"}[head[:2]]
            match struct.unpack(order + "H", head[2:4])[0]:
                case 42:
                    start, count, entry = struct.unpack(order + "I", head[4:8])[0], "H", 12
                case 43:
                    start, count, entry = struct.unpack(order + "Q", head[8:16])[0], "Q", 20
                case _:
                    return False
            file.seek(start)
            number = struct.unpack(order + count, file.read(struct.calcsize(order + count)))[0]
            entries = file.read(entry * min(number, _MOST_TAGS))
    except (OSError, KeyError, ValueError, OverflowError, struct.error):  # no TIFF, or a damaged one
        return False
    tags = (struct.unpack_from(order + "H", entries, at)[0] for at in range(0, len(entries) - 1, entry))
    return not _GEOREFERENCE.isdisjoint(tags)

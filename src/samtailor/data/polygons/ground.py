"""Where a scene lies on the Earth, and how large areas are there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Geometry
from samtailor.data.formats.gdal import gdal
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.errors import FileError
from samtailor.extras import require_extra

_WHAT = "polygons"
_WGS84 = "EPSG:4326"
_SEMI_MAJOR = 6_378_137.0  # m, WGS 84
_ECCENTRICITY = math.sqrt(0.00669437999014)
_TRUE = 0.01  # areas in a map's plane may be that much too large or small; UTM's are so by a tenth of it
_LONGEST = 64  # pixels; what is straight on the map is a curve in degrees, by a hundredth of a pixel for such an edge
_QUARTER = 1e7  # m of a meridian
_TILES = 4  # along a side of a scene, of which each is compared


@dataclass(frozen=True)
class Ground:
    """How the pixels of a scene lie on the Earth.

    Attributes:
        crs: Coordinate reference system, as WKT.
        transform: (a, b, c, d, e, f) of the map coordinates x = a column + b row + c, y = d column + e row + f.
        pixel: Area of a pixel in square metres by the map's plane; None where that is not true, or has degrees.
    """

    crs: str
    transform: tuple[float, ...]
    pixel: float | None

    @classmethod
    def of(cls, file: Path, geometry: Geometry) -> Ground:
        """Where the image in a file lies.

        Raises:
            FileError: If that is nowhere on the Earth, as far as its geometry tells.
            ConfigError: If the extra `geo` is not installed.
        """
        for package in ("rasterio", "pyogrio", "shapely"):
            require_extra(package, "geo", "drawing polygons", file)
        expected = "an image with a CRS and a transform, for its polygons"
        if not isinstance(geometry, GeoGeometry):
            found = "a volume" if geometry.spacing else "a picture without either"
            raise FileError(file, expected, found, "take polygons of GeoTIFFs only")
        if geometry.crs is None or geometry.transform is None:
            found = "one without a " + ("transform" if geometry.crs else "CRS")
            raise FileError(file, expected, found, "give it both: gdal_edit.py -a_srs EPSG:... -a_ullr ... FILE")
        ground = cls(geometry.crs, geometry.transform, None)
        try:
            return replace(ground, pixel=ground._true_pixel(geometry.size))
        except Exception as error:  # of kinds that rasterio keeps to itself
            found = f"one that does not lie on the Earth ({' '.join(str(error).split())[:160]})"
            raise FileError(file, expected, found, "correct its CRS and transform (gdalinfo shows them)") from error

    def _true_pixel(self, size: tuple[int, int]) -> float | None:
        """Area of a pixel of a scene of (rows, columns) by the map's plane, if that is nearly true everywhere."""
        import shapely

        rows, columns = (np.linspace(0, side, _TILES + 1) for side in size)
        corners = np.stack(np.meshgrid(columns, rows), axis=-1)
        tiles = np.stack([corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]], axis=2)
        polygons = shapely.polygons(self.on_map(tiles.reshape(-1, 4, 2)))
        areas = self.areas(polygons)
        if (metres := _metres(self.crs)) is None:
            return None
        plane = shapely.area(polygons) * metres**2
        return float(plane.sum()) / math.prod(size) if np.allclose(plane, areas, rtol=_TRUE, atol=0) else None

    @property
    def longest(self) -> float:
        """Length in map units of edges that are straight enough in degrees, too; infinite where they are in these."""
        if _metres(self.crs) is None:
            return math.inf
        a, b, _, d, e, _ = self.transform
        return _LONGEST * min(math.hypot(a, d), math.hypot(b, e))

    @property
    def _longest_measured(self) -> float:
        """Length in map units of edges that lead a quarter round the Earth at most, so that it is clear which way."""
        from rasterio.crs import CRS

        if (metres := _metres(self.crs)) is not None:
            return min(self.longest, _QUARTER / metres)
        with gdal(_WHAT):
            return math.pi / 2 / float(CRS.from_wkt(self.crs).units_factor[1])

    def on_map(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Map coordinates of points (column, row), (..., 2)."""
        a, b, c, d, e, f = self.transform
        column, row = points[..., 0], points[..., 1]
        return np.stack([a * column + b * row + c, d * column + e * row + f], axis=-1)

    def areas(self, polygons: NDArray[Any], pixels: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Square metres of polygons in map coordinates, of that many pixels each.

        In the map's plane if that is true to one per cent, as in UTM; else, as in degrees or Web Mercator, on the
        WGS 84 ellipsoid: edges are drawn into the cylindrical equal-area projection (Snyder 1987, Map projections, a
        working manual, USGS professional paper 1395, eq. 3-12 and chapter 10).
        """
        if self.pixel is not None and pixels is not None:
            return np.asarray(pixels * self.pixel)
        if not len(polygons):
            return np.empty(0)
        import shapely

        coordinates, (rings, firsts) = shapely.to_ragged_array(shapely.segmentize(polygons, self._longest_measured))[1:]
        longitude, height = self._cylindrical(coordinates)
        turn = np.diff(longitude)
        turn -= 2 * np.pi * np.rint(turn / (2 * np.pi))  # the short way, also across the antimeridian
        turn[rings[1:-1] - 1] = 0  # from the end of a ring to the beginning of the next
        total = np.add.reduceat(turn, rings[:-1])
        # Areas lie between the edge and a parallel: any of them, or the pole that the ring goes round.
        start = height[rings[:-1]]
        parallel = np.where(np.abs(total) > np.pi, np.copysign(_height(np.pi / 2), start), start)
        middle = (height[1:] + height[:-1]) / 2 - np.repeat(parallel, np.diff(rings))[:-1]
        of_ring = np.abs(np.add.reduceat(turn * middle, rings[:-1]))
        of_shell = of_ring[firsts[:-1]]
        areas: NDArray[np.float64] = 2 * of_shell - np.add.reduceat(of_ring, firsts[:-1])
        return areas

    def pixel_areas(self, rows: slice, width: int) -> NDArray[np.float64]:
        """Square metres of a pixel in each of some rows of a scene of that width, the mean of the row; (h,)."""
        if self.pixel is not None:
            return np.full(rows.stop - rows.start, self.pixel)
        import shapely

        top = np.arange(rows.start, rows.stop)[:, None]
        corners = np.stack([np.array([0, 0, width, width]) + 0 * top, top + np.array([0, 1, 1, 0])], axis=-1)
        return self.areas(shapely.polygons(self.on_map(corners))) / width

    def _cylindrical(self, coordinates: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes in radians, and heights in square metres per radian, of map coordinates (N, 2)."""
        from rasterio.warp import transform

        with gdal(_WHAT):
            longitude, latitude = transform(self.crs, _WGS84, coordinates[:, 0], coordinates[:, 1])
        return np.radians(longitude), _height(np.radians(latitude))


def _height(latitude: Any) -> Any:
    """Area between the equator and a latitude on the ellipsoid, per radian of longitude, in square metres."""
    e, sine = _ECCENTRICITY, np.sin(latitude)
    q = (1 - e**2) * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)
    return _SEMI_MAJOR**2 / 2 * q


def _metres(crs: str) -> float | None:
    """Metres of a unit of map coordinates; None for degrees."""
    from rasterio.crs import CRS

    with gdal(_WHAT):
        parsed = CRS.from_wkt(crs)
    return float(parsed.linear_units_factor[1]) if parsed.is_projected else None

"""Square metres are those of the Earth, in whatever CRS a scene is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform as warped

from samtailor.data.case import Geometry
from samtailor.data.formats.gdal_raster import Transform
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.data.formats.nifti import VolumeGeometry
from samtailor.data.formats.picture import PictureGeometry
from samtailor.data.polygons.ground import Ground
from samtailor.errors import FileError

EARTH = 510_065_621.724e6  # m2, surface of the WGS 84 ellipsoid
MOON = "+proj=longlat +a=1737400 +b=1737400 +no_defs"
ENGINE = 'LOCAL_CS["engine",UNIT["metre",1]]'


def ground_of(crs: int | str, transform: Transform, shape: tuple[int, int] = (100, 100)) -> Ground:
    parsed = CRS.from_epsg(crs) if isinstance(crs, int) else CRS.from_string(crs)
    return Ground.of(Path("scene.tif"), GeoGeometry(shape, parsed.to_wkt(), transform))


def area(ground: Ground, *polygons: Any, pixels: int = 0) -> NDArray[np.float64]:
    return ground.areas(np.array(polygons), np.full(len(polygons), pixels))


def in_equal_area_projection(polygon: Any, crs: str = "EPSG:4326") -> float:
    """By another way: GDAL draws it, with many vertices, into EPSG:6933."""
    coordinates = shapely.get_coordinates(shapely.segmentize(polygon, polygon.length / 10_000))
    return shapely.Polygon(list(zip(*warped(crs, "EPSG:6933", *coordinates.T), strict=True))).area


def test_pixels_of_a_true_projection_have_their_size_in_its_plane() -> None:
    ground = ground_of(32633, (10, 0, 500_000, 0, -10, 5_000_000))
    assert ground.pixel == pytest.approx(100, rel=1e-12)
    assert area(ground, shapely.box(0, 0, 1, 1), pixels=7) == pytest.approx(700, rel=1e-12)


def test_a_turned_scene_has_pixels_of_the_same_size() -> None:
    cosine, sine = 3 * math.cos(0.5), 3 * math.sin(0.5)
    ground = ground_of(32633, (cosine, sine, 500_000, sine, -cosine, 5_000_000))
    assert ground.pixel == pytest.approx(9, rel=1e-9)


def test_feet_become_metres() -> None:
    ground = ground_of(2263, (1, 0, 980_000, 0, -1, 200_000))  # New York, US survey feet
    assert ground.pixel == pytest.approx((1200 / 3937) ** 2, rel=1e-9)


@pytest.mark.parametrize("latitude", [0, 20, 47.5, -65, 89])
def test_degrees_are_measured_on_the_ellipsoid(latitude: float) -> None:
    ground = ground_of(4326, (0.01, 0, 10, 0, -0.01, latitude + 1))
    assert ground.pixel is None
    cell = shapely.box(10, latitude, 11, latitude + 1)
    assert area(ground, cell) == pytest.approx(in_equal_area_projection(cell), rel=1e-6)


def test_the_whole_earth() -> None:
    ground = ground_of(4326, (1, 0, -180, 0, -1, 90), (180, 360))
    halves = area(ground, shapely.box(-180, -90, 0, 90), shapely.box(0, -90, 180, 90))
    assert halves.sum() == pytest.approx(EARTH, rel=1e-9)


@pytest.mark.parametrize(("crs", "scale"), [(4326, 1.0), (4807, 0.9)])
def test_other_units_of_angle(crs: int, scale: float) -> None:
    """NTF (Paris) counts gradians from Paris, 2.337 degrees east."""
    east = 0 if crs == 4326 else 2.33722917
    unit = 1 / scale
    ground = ground_of(crs, (0.01, 0, (5 - east) * unit, 0, -0.01, 46 * unit))
    cell = shapely.box((5 - east) * unit, 45 * unit, (6 - east) * unit, 46 * unit)
    assert area(ground, cell) == pytest.approx(in_equal_area_projection(shapely.box(5, 45, 6, 46)), rel=1e-3)


def test_web_mercator_does_not_enlarge() -> None:
    (left, right), (bottom, top) = warped("EPSG:4326", "EPSG:3857", [10, 10.1], [60, 60.1])
    ground = ground_of(3857, ((right - left) / 100, 0, left, 0, (bottom - top) / 100, top))
    assert ground.pixel is None
    truth = in_equal_area_projection(shapely.box(10, 60, 10.1, 60.1))
    assert area(ground, shapely.box(left, bottom, right, top)) == pytest.approx(truth, rel=1e-5)
    assert truth < 0.3 * (right - left) * (top - bottom)


def test_a_projection_that_is_not_true_is_followed_along_its_curves() -> None:
    """Lambert's conformal map of Europe, far from its standard parallels."""
    ground = ground_of(3034, (1000, 0, 5_500_000, 0, -1000, 1_000_000), (400, 400))
    assert ground.pixel is None
    square = shapely.box(5_500_000, 600_000, 5_900_000, 1_000_000)
    assert area(ground, square) == pytest.approx(in_equal_area_projection(square, "EPSG:3034"), rel=1e-5)


@pytest.mark.parametrize(("crs", "unit"), [(4326, 1.0), (4807, 10 / 9), (6933, 17_367_530.44 / 180)])
@pytest.mark.parametrize("degrees", [170, 200, 270, 360])
def test_more_than_half_round_the_earth(degrees: int, crs: int, unit: float) -> None:
    """Edges of a raster of the world lead all the way round, and not the short way back."""
    columns = degrees // 5
    south, north = -7_000_000.0, 7_000_000.0
    if crs != 6933:
        south, north = -72 * unit, 72 * unit
    ground = ground_of(crs, (5 * unit, 0, -180 * unit, 0, -(north - south) / 36, north), (36, columns))
    corners = ground.on_map(np.array([[0, 0], [columns, 0], [columns, 36], [0, 36]]))
    whole, part = ground.areas(np.array([shapely.Polygon(corners), shapely.box(0, south, 10 * unit, north)]))
    assert whole == pytest.approx(degrees / 10 * part, rel=1e-3)
    assert ground.pixel_areas(slice(0, 36), columns).sum() * columns == pytest.approx(whole, rel=1e-3)


def test_across_the_antimeridian() -> None:
    ground = ground_of(4326, (0.01, 0, 179, 0, -0.01, 11), (100, 200))
    here = area(ground, shapely.box(179, 10, 181, 11))
    assert here == pytest.approx(in_equal_area_projection(shapely.box(0, 10, 2, 11)), rel=1e-6)


@pytest.mark.parametrize(("crs", "latitude"), [(3995, 80), (3031, -80)])
def test_round_a_pole(crs: int, latitude: float) -> None:
    """A polygon of many corners along a parallel is a cap, of 360 strips of a degree."""
    around = np.linspace(0, 2 * np.pi, 2001)
    (x,), (y,) = warped("EPSG:4326", f"EPSG:{crs}", [0], [latitude])
    radius = math.hypot(x, y)
    ground = ground_of(crs, (10_000, 0, -2_000_000, 0, -10_000, 2_000_000), (400, 400))
    cap = shapely.Polygon(np.column_stack([radius * np.cos(around), radius * np.sin(around)]))
    (zone,) = area(ground_of(4326, (1, 0, 0, 0, -1, 90)), shapely.box(0, 80, 1, 90))
    assert area(ground, cap) == pytest.approx(360 * zone, rel=1e-4)


def test_holes_do_not_count() -> None:
    ground = ground_of(4326, (0.01, 0, 10, 0, -0.01, 51))
    outer, inner = shapely.box(10, 50, 11, 51), shapely.box(10.2, 50.2, 10.4, 50.4)
    whole, hole, rest = area(ground, outer, inner, outer - inner)
    assert rest == pytest.approx(whole - hole, rel=1e-12)


def test_no_polygons_no_areas() -> None:
    ground = ground_of(4326, (0.01, 0, 10, 0, -0.01, 51))
    assert ground.areas(np.empty(0, object), np.empty(0, int)).shape == (0,)


@pytest.mark.parametrize(
    ("geometry", "found"),
    [
        (GeoGeometry((10, 10), None, (1, 0, 0, 0, -1, 0)), "one without a CRS; .*gdal_edit"),
        (GeoGeometry((10, 10), CRS.from_epsg(32633).to_wkt()), "one without a transform; .*gdal_edit"),
        (PictureGeometry((10, 10)), "a picture without either; take polygons of GeoTIFFs only"),
        (VolumeGeometry.new(np.eye(4), (3, 3, 3)), "a volume; take polygons of GeoTIFFs only"),
    ],
)
def test_what_says_nothing_of_its_place_is_refused(geometry: Geometry, found: str) -> None:
    with pytest.raises(FileError, match=rf"x\.tif: expected an image with a CRS and a transform.*found {found}"):
        Ground.of(Path("x.tif"), geometry)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (ENGINE, (1, 0, 0, 0, -1, 0)),
        (MOON, (1, 0, 0, 0, -1, 0)),
        (32633, (1e6, 0, 1e9, 0, -1e6, 0)),
    ],
)
def test_what_does_not_lie_on_the_earth_is_refused(crs: int | str, transform: Transform) -> None:
    with pytest.raises(FileError, match="does not lie on the Earth"):
        ground_of(crs, transform)

"""Polygons of a label as files: where they lie, what they say, and that they appear complete or not at all."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyogrio.errors import FeatureError
from pyogrio.raw import read
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.warp import transform as warped

import samtailor.data.polygons.writer as writer
from samtailor.data.formats.gdal_raster import Transform
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.data.formats.vector import VectorFormat
from samtailor.data.polygons import Drawing, Ground, polygon_file, write_polygons
from samtailor.errors import FileError
from samtailor.labels import LabelSpace
from samtailor.settings import PolygonKind
from tests.data.polygons.scenes import AWKWARD, blobs

LABELS = LabelSpace(("land", "water", "wood & <wild>", "Straße"), (0, 7, 300, -2), ((0, 0, 0),) * 2 + ((1, 2, 3),) * 2)
NORTH_UP = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)
UTM = CRS.from_epsg(32633).to_wkt()
KINDS: tuple[PolygonKind, ...] = ("gpkg", "geojson")


def ground_of(label: NDArray[Any], transform: Transform = NORTH_UP) -> Ground:
    return Ground.of(Path("x.tif"), GeoGeometry((label.shape[0], label.shape[1]), UTM, transform))


def write(
    path: Path, label: NDArray[Any], probability: NDArray[Any] | None = None, rows: int = 7, **settings: Any
) -> None:
    ground = ground_of(label, settings.pop("transform", NORTH_UP))
    labels = settings.pop("labels", LABELS)
    drawing = Drawing("geojson" if path.suffix == ".geojson" else "gpkg", **settings)
    with polygon_file(path, ground, label.shape[1], labels, drawing) as file:
        for y in range(0, len(label), rows):
            file.write(label[y : y + rows], None if probability is None else probability[y : y + rows])


def features(path: Path) -> tuple[NDArray[Any], dict[str, NDArray[Any]], dict[str, Any]]:
    """Polygons, their attributes, and what the file says of itself."""
    about, _, geometry, values = read(path, layer="polygons")
    return shapely.from_wkb(geometry), dict(zip(about["fields"], values, strict=True)), about


def test_a_polygon_says_its_class_its_area_and_its_mean_probability(tmp_path: Path) -> None:
    label = np.array([[1, 1, 0], [1, -1, 2], [0, 2, 2]], np.int16)
    probability = np.array([[0.5, 0.75, 0.9], [1, 0.9, 0.5], [0.9, 0.5, 0.25]], np.float16)
    write(tmp_path / "x.gpkg", label, probability, rows=1)
    polygons, values, about = features(tmp_path / "x.gpkg")
    first, second = np.argsort(values["class_id"])
    assert values["class_id"][[first, second]].tolist() == [7, 300]
    assert values["class"][[first, second]].tolist() == ["water", "wood & <wild>"]
    np.testing.assert_allclose(values["area_m2"], 300)
    np.testing.assert_allclose(values["mean_probability"][[first, second]], [0.75, 1.25 / 3], rtol=1e-6)
    assert about["crs"] == "EPSG:32633"
    assert about["geometry_type"] == "Polygon"
    assert polygons[first].equals(
        shapely.box(500_000, 4_999_990, 500_020, 5_000_000).union(shapely.box(500_000, 4_999_980, 500_010, 5_000_000))
    )


def test_without_probabilities_there_is_no_column_of_them(tmp_path: Path) -> None:
    write(tmp_path / "x.gpkg", np.ones((2, 2), np.int16))
    assert list(features(tmp_path / "x.gpkg")[1]) == ["class_id", "class", "area_m2"]


@pytest.mark.parametrize("transform", [NORTH_UP, (6.0, 3.0, 500_000.0, 3.0, -6.0, 5_000_000.0)])
@pytest.mark.parametrize("name", AWKWARD)
def test_drawn_again_they_are_the_label(name: str, transform: Transform, tmp_path: Path) -> None:
    from rasterio import Affine

    label = AWKWARD[name]
    labels = LabelSpace.from_names(("nothing", "a", "b", "c", "d"))
    write(tmp_path / "x.gpkg", label, transform=transform, labels=labels)
    polygons, values, _ = features(tmp_path / "x.gpkg")
    assert shapely.is_valid(polygons).all()
    drawn = np.zeros(label.shape, np.int16)
    if len(polygons):
        drawn = rasterize(zip(polygons, values["class_id"], strict=True), label.shape, transform=Affine(*transform))
    np.testing.assert_array_equal(drawn, label.clip(0))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_for_any_bands_traced_at_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label = blobs((24, 30), 3, 0)
    probability = np.random.default_rng(0).random(label.shape).astype(np.float16)
    found = []
    for band, rows in ((1, 1), (200, 3), (1 << 20, 24)):
        monkeypatch.setattr(writer, "_BAND", band)
        path = tmp_path / f"{band}.{kind}"
        write(path, label, probability, rows)
        polygons, values, _ = features(path)
        found.append(
            sorted(
                zip(shapely.to_wkb(shapely.normalize(polygons)), *(v.tolist() for v in values.values()), strict=True)
            )
        )
    assert found[0] == found[1] == found[2]


def test_a_whole_label_is_drawn_with_the_probabilities_of_its_classes(tmp_path: Path) -> None:
    label = np.array([[1, 1, 2], [0, 3, 3]], np.int16)
    probabilities = np.arange(24, dtype=np.float16).reshape(4, 2, 3) / 32
    void = np.array([[False, False, True], [False, False, False]])
    write_polygons(tmp_path / "x.gpkg", ground_of(label), label, LABELS, Drawing("gpkg"), probabilities, void)
    _, values, _ = features(tmp_path / "x.gpkg")
    found = dict(zip(values["class_id"].tolist(), values["mean_probability"].tolist(), strict=True))
    assert found == {7: 6.5 / 32, -2: 22.5 / 32}


def test_a_full_disk_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise FeatureError("database or disk is full")

    monkeypatch.setattr("pyogrio.raw.write", full)
    with pytest.raises(
        FileError, match=r"x\.gpkg: expected a place for polygons, found none \(database or disk is full"
    ):
        write(tmp_path / "x.gpkg", np.ones((2, 2), np.int16))
    assert not list(tmp_path.iterdir())


def test_geojson_is_in_degrees_and_turns_as_the_standard_says(tmp_path: Path) -> None:
    label = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.int16)
    write(tmp_path / "x.geojson", label)
    content = json.loads((tmp_path / "x.geojson").read_text(encoding="utf-8"))
    assert "crs" not in content
    (feature,) = content["features"]
    assert feature["properties"]["class"] == "water"
    shell, hole = (np.array(ring) for ring in feature["geometry"]["coordinates"])
    corners = warped(CRS.from_wkt(UTM), "EPSG:4326", [500_000, 500_030], [4_999_970, 5_000_000])
    np.testing.assert_allclose(shell.min(0), [corners[0][0], corners[1][0]], atol=1e-6)
    np.testing.assert_allclose(shell.max(0), [corners[0][1], corners[1][1]], atol=1e-6)
    assert shapely.is_ccw(shapely.linearrings(shell))
    assert not shapely.is_ccw(shapely.linearrings(hole))


def test_long_edges_stay_where_they_are_in_degrees(tmp_path: Path) -> None:
    """A straight line of 100 km in UTM is 150 m off the straight line in degrees."""
    write(tmp_path / "x.geojson", np.ones((1, 1000), np.int16), transform=(100, 0, 500_000, 0, -100, 5_000_000))
    (polygon,), _, _ = features(tmp_path / "x.geojson")
    x, y = warped(CRS.from_wkt(UTM), "EPSG:4326", [550_000], [5_000_000])
    assert polygon.exterior.distance(shapely.Point(x[0], y[0])) * 111_000 < 2


def test_a_drone_picture_keeps_its_centimetres(tmp_path: Path) -> None:
    label = blobs((20, 20), 2, 0)
    write(tmp_path / "x.geojson", label, transform=(0.01, 0, 500_000, 0, -0.01, 5_000_000))
    polygons, values, _ = features(tmp_path / "x.geojson")
    assert shapely.is_valid(polygons).all()
    square_metres = shapely.area(polygons) * 111_132 * 111_320 * np.cos(np.radians(45.153))
    np.testing.assert_allclose(square_metres, values["area_m2"], rtol=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_of_background_gives_an_empty_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    write(path, np.zeros((4, 4), np.int16), np.ones((4, 4), np.float16))
    polygons, values, _ = features(path)
    assert len(polygons) == 0
    assert list(values)[:3] == ["class_id", "class", "area_m2"] or kind == "geojson"


def test_small_polygons_are_left_out(tmp_path: Path) -> None:
    label = np.array([[1, 0, 2, 2], [0, 0, 2, 2]], np.int16)
    for least, expected in ((400, [300]), (400.1, []), (100, [7, 300])):
        write(tmp_path / f"{least}.gpkg", label, min_area=least)
        assert sorted(features(tmp_path / f"{least}.gpkg")[1]["class_id"].tolist()) == expected


def test_simplified_polygons_have_fewer_vertices_and_the_area_of_before(tmp_path: Path) -> None:
    label = blobs((80, 80), 3, 1)
    write(tmp_path / "x.gpkg", label)
    write(tmp_path / "y.gpkg", label, simplify=12.0)
    exact, known, _ = features(tmp_path / "x.gpkg")
    fewer, values, _ = features(tmp_path / "y.gpkg")
    assert shapely.get_num_coordinates(fewer).sum() < 0.6 * shapely.get_num_coordinates(exact).sum()
    np.testing.assert_array_equal(values["area_m2"], known["area_m2"])


def test_the_layer_of_polygons_can_be_read_as_a_label(tmp_path: Path) -> None:
    label = blobs((30, 20), 3, 2) - 1
    write(tmp_path / "x.gpkg", label)
    grid = GeoGeometry((30, 20), UTM, NORTH_UP)
    ids, _ = VectorFormat().read_ids(tmp_path / "x.gpkg", LABELS, grid)
    np.testing.assert_array_equal(LABELS.to_indices(ids[0]), label)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_where_something_fails(
    kind: PolygonKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = np.ones((4, 4), np.int16)

    def fail() -> None:
        with polygon_file(tmp_path / f"x.{kind}", ground_of(label), 4, LABELS, Drawing(kind)) as file:
            file.write(label)
            raise RuntimeError

    monkeypatch.setattr(writer, "_BAND", 1)
    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_there_is_replaced(kind: PolygonKind, tmp_path: Path) -> None:
    for label in (np.ones((4, 4), np.int16), np.eye(4, dtype=np.int16)):
        write(tmp_path / f"x.{kind}", label)
    assert len(features(tmp_path / f"x.{kind}")[0]) == 4
    assert [path.name for path in tmp_path.iterdir()] == [f"x.{kind}"]


def test_what_a_program_that_crashed_has_left_does_not_spoil_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "x.gpkg"
    write(path, np.ones((4, 4), np.int16))
    program = (
        "import os, sqlite3, sys\n"
        "file = sqlite3.connect(sys.argv[1])\n"
        "file.execute('PRAGMA journal_mode=WAL')\n"
        "file.execute('CREATE TABLE notes (text)')\n"
        "file.executemany('INSERT INTO notes VALUES (?)', [('x' * 1000,)] * 50)\n"
        "file.commit()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert (tmp_path / "x.gpkg-wal").is_file()
    write(path, np.eye(4, dtype=np.int16))
    assert [file.name for file in tmp_path.iterdir()] == ["x.gpkg"]
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(features(path)[0]) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_names_in_which_others_see_archives_and_ends(
    kind: PolygonKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyogrio takes what stands before a '!' for an archive, and what stands behind a ';' for no part of a path."""
    place, here = tmp_path / "at;last!" / "a!b", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for name in (f"x!y;z.{kind}", f"x.{kind}"):
        write(place / name, np.eye(4, dtype=np.int16))
        shutil.copy(place / name, here / f"copy.{kind}")
        assert len(features(here / f"copy.{kind}")[0]) == 4
    assert sorted(path.name for path in place.iterdir()) == [f"x!y;z.{kind}", f"x.{kind}"]
    assert [path.name for path in tmp_path.rglob(f"*.{kind}") if path.parent not in (place, here)] == []
    assert [path.name for path in here.iterdir()] == [f"copy.{kind}"]


def test_a_geopackage_brings_the_colours_of_its_classes(tmp_path: Path) -> None:
    write(tmp_path / "x.gpkg", np.ones((2, 2), np.int16))
    table = sqlite3.connect(tmp_path / "x.gpkg")
    ((name, column, default, qml),) = table.execute(
        "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
    )
    assert (name, column, default) == ("polygons", "geom", 1)
    assert table.execute("SELECT column_name FROM gpkg_geometry_columns").fetchall() == [("geom",)]
    style = ET.fromstring(qml)
    categories = {e.get("value"): (e.get("label"), e.get("symbol")) for e in style.iter("category")}
    assert {value: label for value, (label, _) in categories.items()} == {
        "7": "water",
        "300": "wood & <wild>",
        "-2": "Straße",
    }
    symbol = next(e for e in style.iter("symbol") if e.get("name") == categories["300"][1])
    assert next(e for e in symbol.iter("Option") if e.get("name") == "color").get("value") == "1,2,3,160"

"""Polygons as labels: drawn where they lie, and refused where nobody could tell where or what they are."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.warp import transform_geom
from shapely.geometry import mapping, shape

from samtailor.data.case import CaseFiles
from samtailor.data.check_dataset import check_case
from samtailor.data.formats import find_format, find_label_format, read_case
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.data.formats.picture import PictureGeometry
from samtailor.data.formats.vector import VectorFormat
from samtailor.errors import ConfigError, FileError
from samtailor.labels import LabelSpace

LABELS = LabelSpace(("background", "water", "field"), (7, 3, 200), ((0, 0, 0), (1, 2, 3), (4, 5, 6)))
SIZE = (40, 60)
TRANSFORM = rasterio.Affine(10, 0, 500_000, 0, -10, 4_600_000)
CRS = "EPSG:32633"


def place(**changes: Any) -> GeoGeometry:
    wkt = rasterio.CRS.from_string(CRS).to_wkt()
    return GeoGeometry(**{"size": SIZE, "crs": wkt, "transform": tuple(TRANSFORM)[:6], **changes})


def box(left: float, top: float, right: float, bottom: float, transform: rasterio.Affine = TRANSFORM) -> Any:
    """A polygon around pixels, in the CRS of the image."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return shapely.Polygon([transform @ corner for corner in corners])


def write(path: Path, polygons: list[Any], values: list[Any], crs: str | None = CRS, **settings: Any) -> Path:
    """A vector file with a column, by default 'class'."""
    column = settings.pop("column", "class")
    kinds = {polygon.geom_type for polygon in polygons if polygon is not None}
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(polygons, object)),
        [np.array(values)],
        [column],
        crs=crs,
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        **settings,
    )
    return path


def drawn(path: Path, labels: LabelSpace = LABELS, **changes: Any) -> NDArray[Any]:
    ids, geometry = VectorFormat().read_ids(path, labels, place(**changes))
    assert place(**changes).difference(geometry) is None
    return ids[0]


def expected(*boxes: tuple[slice, slice, int]) -> NDArray[Any]:
    ids = np.full(SIZE, 7)
    for rows, columns, identifier in boxes:
        ids[rows, columns] = identifier
    return ids


@pytest.mark.parametrize("suffix", [".shx", ".dbf", ".prj"])
def test_pipes_in_the_place_of_a_shapefile_s_parts_are_not_waited_for(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.shp", [shapely.box(0, 0, 1, 1)], ["water"])
    path.with_suffix(suffix).unlink()
    os.mkfifo(path.with_suffix(suffix))
    with pytest.raises(FileError, match=rf"x\{suffix}: expected a file that belongs to x\.shp, found a pipe"):
        drawn(path)


class TestDrawing:
    @pytest.mark.parametrize("name", ["x.gpkg", "x.geojson", "x.shp"])
    def test_pixels_whose_centre_lies_inside_are_of_the_class(self, tmp_path: Path, name: str) -> None:
        crs = CRS if name != "x.geojson" else "EPSG:4326"
        polygons = [box(2, 3, 10, 8), box(20.6, 30.4, 25.4, 36.6)]  # half a pixel more does not touch a centre
        if name == "x.geojson":
            polygons = [shape(transform_geom(CRS, crs, mapping(polygon))) for polygon in polygons]
        path = write(tmp_path / name, polygons, ["water", "field"], crs)
        right = expected((slice(3, 8), slice(2, 10), 3), (slice(30, 37), slice(21, 25), 200))
        np.testing.assert_array_equal(drawn(path), right)

    def test_on_a_turned_grid_too(self, tmp_path: Path) -> None:
        turned = TRANSFORM @ rasterio.Affine.rotation(30)
        path = write(tmp_path / "x.gpkg", [box(2, 3, 10, 8, turned)], ["water"])
        ids = drawn(path, transform=tuple(turned)[:6])
        np.testing.assert_array_equal(ids, expected((slice(3, 8), slice(2, 10), 3)))

    def test_holes_and_islands(self, tmp_path: Path) -> None:
        ring = box(5, 5, 20, 20).difference(box(8, 8, 12, 12))
        path = write(tmp_path / "x.gpkg", [shapely.MultiPolygon([ring, box(30, 5, 35, 9)])], ["water"])
        right = expected(
            (slice(5, 20), slice(5, 20), 3), (slice(8, 12), slice(8, 12), 7), (slice(5, 9), slice(30, 35), 3)
        )
        np.testing.assert_array_equal(drawn(path), right)

    def test_the_last_of_several_counts_and_check_says_so(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "x.gpkg", [box(0, 0, 10, 10), box(5, 0, 15, 10), box(5, 0, 8, 2)], ["water", "field", "field"]
        )
        right = expected((slice(0, 10), slice(0, 10), 3), (slice(0, 10), slice(5, 15), 200))
        np.testing.assert_array_equal(drawn(path), right)
        ((_, found, _),) = VectorFormat().label_doubts(path, LABELS, place())
        assert found.startswith("50 pixels")

    def test_polygons_that_only_meet_are_no_doubt(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.gpkg", [box(0, 0, 10, 10), box(10, 0, 15, 10)], ["water", "field"])
        assert not list(VectorFormat().label_doubts(path, LABELS, place()))

    @pytest.mark.parametrize("values", [[3, 200], [3.0, 200.0], ["3", "200"]])
    def test_classes_may_be_ids(self, tmp_path: Path, values: list[Any]) -> None:
        path = write(tmp_path / "x.gpkg", [box(0, 0, 10, 10), box(10, 0, 15, 10)], values)
        right = expected((slice(0, 10), slice(0, 10), 3), (slice(0, 10), slice(10, 15), 200))
        np.testing.assert_array_equal(drawn(path), right)

    def test_an_ignore_id_counts_nowhere(self, tmp_path: Path) -> None:
        labels = LabelSpace(LABELS.names, LABELS.ids, LABELS.palette, ignore_id=99)
        path = write(tmp_path / "x.gpkg", [box(0, 0, 10, 10)], [99])
        assert (labels.to_indices(drawn(path, labels))[:10, :10] == -1).all()

    def test_column_and_layer_are_those_that_are_named(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.gpkg", [box(0, 0, 10, 10)], ["water"], layer="lakes", column="kind")
        write(path, [box(0, 0, 10, 10)], ["field"], layer="farms", column="kind", append=True)
        labels = LabelSpace(LABELS.names, LABELS.ids, LABELS.palette, column="kind", layer="farms")
        np.testing.assert_array_equal(drawn(path, labels), expected((slice(0, 10), slice(0, 10), 200)))

    def test_tables_without_places_are_no_layers(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.gpkg", [box(0, 0, 10, 10)], ["water"])
        styles = [np.array(["x"], object)]  # where QGIS keeps the look of layers
        pyogrio.raw.write(path, None, styles, ["styleName"], layer="layer_styles", geometry_type=None, append=True)
        assert len(pyogrio.list_layers(path)) == 2
        np.testing.assert_array_equal(drawn(path), expected((slice(0, 10), slice(0, 10), 3)))

    def test_polygons_beyond_the_image_are_cut_and_none_is_all_background(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.gpkg", [box(-50, -50, 4, 4), box(500, 0, 600, 9)], ["water", "field"])
        np.testing.assert_array_equal(drawn(path), expected((slice(0, 4), slice(0, 4), 3)))
        empty = tmp_path / "y.geojson"
        empty.write_text('{"type": "FeatureCollection", "features": []}')
        np.testing.assert_array_equal(drawn(empty), expected())
        nothing = write(tmp_path / "z.gpkg", [None, shapely.Polygon()], ["water", "field"])
        np.testing.assert_array_equal(drawn(nothing), expected())


class TestRefusing:
    @pytest.mark.parametrize(
        ("polygon", "value", "settings", "message"),
        [
            (box(0, 0, 9, 9), "meadow", {}, r"the classes background, water, field or .*found 'meadow' \(1 features\)"),
            (box(0, 0, 9, 9), 4, {}, r"found '4' \(1 features\)"),
            (box(0, 0, 9, 9), "water", {"crs": None}, "expected a CRS, found none; .*ogr2ogr -a_srs"),
            (
                box(0, 0, 9, 9),
                "water",
                {"column": "kind"},
                "expected a column 'class' .*the columns kind; .*label_column",
            ),
            (box(100, 0, 109, 9), "water", {}, "polygons within the image, x 500000 to 500600, y .*found x 501000 to"),
            (
                box(0, 0, 9, 9),
                "water",
                {"crs": "EPSG:4326"},
                "coordinates .* CRS, EPSG:32633, found x 5.* as EPSG:4326",
            ),
            (shapely.Point(500_005, 4_599_995), "water", {}, "expected polygons, found 1 Point; "),
            (shapely.LineString([(500_005, 4_599_995), (500_100, 4_599_000)]), "water", {}, "found 1 LineString"),
        ],
    )
    def test_what_cannot_be_told_is_named(
        self, tmp_path: Path, polygon: Any, value: Any, settings: dict[str, Any], message: str
    ) -> None:
        path = write(tmp_path / "x.gpkg", [polygon], [value], **settings)
        with pytest.raises(FileError, match=message) as error:
            drawn(path)
        assert error.value.file == str(path)

    def test_several_layers_or_one_that_is_not_there(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.gpkg", [box(0, 0, 9, 9)], ["water"], layer="a")
        write(path, [box(0, 0, 9, 9)], ["water"], layer="b", append=True)
        with pytest.raises(FileError, match=r"one layer of polygons, found the layers a, b; .*label_layer"):
            drawn(path)
        with pytest.raises(FileError, match="a layer 'c', found the layers a, b"):
            drawn(path, LabelSpace(LABELS.names, LABELS.ids, LABELS.palette, layer="c"))

    @pytest.mark.parametrize("grid", [None, PictureGeometry(SIZE), place(crs=None), place(transform=None)])
    def test_images_that_lie_nowhere(self, tmp_path: Path, grid: Any) -> None:
        path = write(tmp_path / "x.gpkg", [box(0, 0, 9, 9)], ["water"])
        with pytest.raises(FileError, match="an image with a CRS and a transform to draw"):
            VectorFormat().read_ids(path, LABELS, grid)

    @pytest.mark.parametrize("name", ["x.gpkg", "x.geojson", "x.shp"])
    def test_damaged_files(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        with pytest.raises(FileError, match="found nothing"):
            drawn(path)
        for content in (b"", b"nonsense", b'{"type": "Feat'):
            path.write_bytes(content)
            with pytest.raises(FileError, match=name):
                drawn(path)

    def test_without_the_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(tmp_path / "x.gpkg", [box(0, 0, 9, 9)], ["water"])
        monkeypatch.setitem(sys.modules, "pyogrio", None)
        with pytest.raises(ConfigError, match=r"x\.gpkg.*pip install 'samtailor\[geo\]'"):
            drawn(path)


class TestCases:
    def image(self, path: Path) -> Path:
        grid = {"crs": CRS, "transform": TRANSFORM, "height": SIZE[0], "width": SIZE[1], "count": 1, "dtype": "uint8"}
        with rasterio.open(path, "w", driver="GTiff", nodata=0, **grid) as dataset:
            image = np.random.default_rng(0).integers(1, 255, (1, *SIZE)).astype(np.uint8)
            image[:, 0] = 0
            dataset.write(image)
        return path

    def test_they_are_labels_and_no_images(self, tmp_path: Path) -> None:
        for name in ("x.gpkg", "x.geojson", "x.shp"):
            assert find_format(tmp_path / name) is None
            assert isinstance(find_label_format(tmp_path / name), VectorFormat)

    def test_a_case_has_the_drawn_label(self, tmp_path: Path) -> None:
        files = CaseFiles("x", (self.image(tmp_path / "x.tif"),), tmp_path / "x.gpkg")
        write(tmp_path / "x.gpkg", [box(0, 0, 9, 9), box(3, 0, 6, 9)], ["water", "field"])
        label = read_case(files, LABELS).label
        assert label is not None
        assert (label[0, 0] == -1).all()  # the image has no data there
        assert label[0, 1, :10].tolist() == [1, 1, 1, 2, 2, 2, 1, 1, 1, 0]
        row, findings = check_case(files, LABELS, 1)
        assert row.voxels["field"] == 27
        assert sum("in several of them" in str(finding) for finding in findings) == 1

    def test_a_label_is_not_blamed_for_an_image_that_cannot_be_read(self, tmp_path: Path) -> None:
        write(tmp_path / "x.gpkg", [box(0, 0, 9, 9)], ["water"])
        _, findings = check_case(CaseFiles("x", (tmp_path / "x.tif",), tmp_path / "x.gpkg"), LABELS, 1)
        assert [Path(finding.file).name for finding in findings] == ["x.tif"]

    @pytest.mark.parametrize("suffix", ["shp", "gpkg"])
    def test_it_may_be_called_anything(self, suffix: str, tmp_path: Path) -> None:
        path = write(tmp_path / f"x.{suffix}", [box(0, 0, 9, 9)], ["water"])
        expected, _ = VectorFormat().read_ids(path, LABELS, place())
        there = tmp_path / "at;last!"
        there.mkdir()
        for part in VectorFormat().parts(path):
            part.rename(there / f"a!b;c{part.suffix}")
        found, _ = VectorFormat().read_ids(there / f"a!b;c.{suffix}", LABELS, place())
        np.testing.assert_array_equal(found, expected)
        assert found.any()

    def test_parts_of_a_shapefile_belong_to_it(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.shp", [box(0, 0, 9, 9)], ["water"])
        assert {part.suffix for part in VectorFormat().parts(path)} == {".shp", ".shx", ".dbf", ".prj", ".cpg"}
        assert all(VectorFormat().accompanies(part) for part in VectorFormat().parts(path)[1:])
        for part in VectorFormat().parts(path):
            part.rename(part.with_suffix(part.suffix.upper()))
        found = VectorFormat().parts(path.with_suffix(".SHP"))
        assert len(found) == 5
        assert all(VectorFormat().accompanies(part) for part in found[1:])
        shutil.copy(found[0], tmp_path / "y.dbf")
        assert not VectorFormat().accompanies(tmp_path / "y.dbf")

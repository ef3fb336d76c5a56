"""GeoTIFF: where images lie, what they lack, and what their results say to a GIS."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray
from rasterio.shutil import copy

from samtailor.data.case import CaseFiles, Void
from samtailor.data.check_dataset import check_case
from samtailor.data.formats import find_format, read_case, read_geometry, read_header, read_image
from samtailor.data.formats.geotiff import GeoGeometry, GeoTiffFormat
from samtailor.data.formats.geotiff_writer import label_raster, label_type, probability_raster
from samtailor.data.formats.picture import PictureFormat, PictureGeometry
from samtailor.data.layouts.contents import passed_over
from samtailor.errors import ConfigError, FileError
from samtailor.labels import IGNORE, LabelSpace

LABELS = LabelSpace(("background", "water", "field"), (0, 3, 200), ((0, 0, 0), (1, 2, 3), (4, 5, 6)))
TRANSFORM = rasterio.Affine(10, 0, 500_000, 0, -10, 4_600_000)
SIZE = (6, 5)


def noise(bands: int = 2, dtype: str = "uint8", size: tuple[int, int] = SIZE) -> NDArray[Any]:
    """Numbers from 1 to 200, (bands, H, W)."""
    return np.random.default_rng(0).integers(1, 201, (bands, *size)).astype(dtype)


def write(path: Path, bands: NDArray[Any], mask: NDArray[Any] | None = None, **settings: Any) -> Path:
    """A GeoTIFF of bands (C, H, W), with a mask in the file if one is given; where it is, settings say."""
    count, height, width = bands.shape
    grid = {"crs": "EPSG:32633", "transform": TRANSFORM, "dtype": bands.dtype, "photometric": "minisblack"}
    shape = {"count": count, "height": height, "width": width}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", **{**grid, **shape, **settings}) as dataset,
    ):
        dataset.write(bands)
        if mask is not None:
            dataset.write_mask(mask)
    return path


def geometry(**changes: Any) -> GeoGeometry:
    """Where the files lie that `write` writes."""
    wkt = rasterio.CRS.from_epsg(32633).to_wkt()
    return GeoGeometry(**{"size": SIZE, "crs": wkt, "transform": tuple(TRANSFORM)[:6], **changes})


class TestRecognising:
    @pytest.mark.parametrize("settings", [{"crs": None}, {"transform": rasterio.Affine.identity()}, {"bigtiff": "yes"}])
    def test_a_tiff_that_says_where_it_lies_is_one(self, tmp_path: Path, settings: dict[str, Any]) -> None:
        assert isinstance(find_format(write(tmp_path / "x.tif", noise(), **settings)), GeoTiffFormat)

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("bigtiff", [False, True])
    def test_a_tiff_that_does_not_is_a_picture(self, tmp_path: Path, order: Any, bigtiff: bool) -> None:
        path = tmp_path / "x.tif"
        tifffile.imwrite(path, noise(1)[0], byteorder=order, bigtiff=bigtiff)
        assert isinstance(find_format(path), PictureFormat)
        scale = [(33550, "d", 3, (1.0, 1.0, 0.0), True)]
        tifffile.imwrite(path, noise(1)[0], byteorder=order, bigtiff=bigtiff, extratags=scale)
        assert isinstance(find_format(path), GeoTiffFormat)

    def test_what_is_not_there_is_a_picture_so_that_results_of_pictures_stay_such(self, tmp_path: Path) -> None:
        assert isinstance(find_format(tmp_path / "x.tif"), PictureFormat)
        assert isinstance(find_format(tmp_path / "x.vrt"), GeoTiffFormat)

    @pytest.mark.parametrize("content", [b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II+\0" + 12 * b"\xff"])
    def test_damaged_files_are_left_to_those_who_refuse_them(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "x.tif"
        path.write_bytes(content)
        assert not GeoTiffFormat().recognises(path)

    @pytest.mark.parametrize("suffix", [".ovr", ".msk", ".aux.xml"])
    def test_pipes_beside_a_file_are_not_waited_for(self, suffix: str, tmp_path: Path) -> None:
        write(tmp_path / "x.tif", noise())
        os.mkfifo(tmp_path / f"x.tif{suffix}")
        with pytest.raises(FileError, match=r"expected a file that belongs to x\.tif, found a pipe"):
            GeoTiffFormat().read_header(tmp_path / "x.tif")

    def test_pipes_are_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "x.tif")
        assert not GeoTiffFormat().recognises(tmp_path / "x.tif")

    def test_it_costs_a_few_reads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(tmp_path / "x.tif", noise(size=(500, 500)))
        read = 0
        real = Path.open

        def counted(self: Path, *args: Any) -> Any:
            file = real(self, *args)
            inner = file.read

            class Counter:
                def __enter__(self) -> Any:
                    return self

                def __exit__(self, *_: Any) -> None:
                    file.close()

                def seek(self, place: int) -> None:
                    file.seek(place)

                def read(self, size: int) -> bytes:
                    nonlocal read
                    read += size
                    content: bytes = inner(size)
                    return content

            return Counter()

        monkeypatch.setattr(Path, "open", counted)
        assert GeoTiffFormat().recognises(path)
        assert read < 1000

    def test_without_the_extra_it_is_refused_with_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(tmp_path / "x.tif", noise())
        monkeypatch.setitem(sys.modules, "rasterio", None)
        with pytest.raises(ConfigError, match=r"x\.tif: expected .*rasterio.*pip install 'samtailor\[geo\]'"):
            read_image(path)


def window(path: Path, rows: slice, columns: slice = slice(None)) -> NDArray[Any]:
    """Intensities of a part of an image, (C, h, w)."""
    with GeoTiffFormat().reader((path,)) as reader:
        return reader.read(rows, columns).pixels


class TestReading:
    def test_only_the_window_is_read(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tif", noise(1, size=(64, 64)), tiled=True, blockxsize=16, blockysize=16)
        with tifffile.TiffFile(path) as file:
            starts, counts = file.pages[0].dataoffsets, file.pages[0].databytecounts
        content = bytearray(path.read_bytes())
        del content[starts[8] :]  # all but the first two rows of tiles
        assert counts[8] == 256
        path.write_bytes(content)
        np.testing.assert_array_equal(window(path, slice(3, 32)), noise(1, size=(64, 64))[:, 3:32])
        with pytest.raises(FileError):
            window(path, slice(3, 33))

    @pytest.mark.parametrize("inside", [True, False])
    def test_overviews_are_not_taken_for_the_image(self, tmp_path: Path, inside: bool) -> None:
        path = write(tmp_path / "x.tif", noise(2, size=(64, 64)))
        with rasterio.Env(TIFF_USE_OVR=not inside), rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2, 4])
        np.testing.assert_array_equal(read_image(path).image[:, 0], noise(2, size=(64, 64)))

    def test_complex_numbers_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(FileError, match=r"expected integers or floats, found complex numbers \(complex64\)"):
            read_image(write(tmp_path / "x.tif", noise(dtype="complex64")))

    def test_ground_control_points_are_refused(self, tmp_path: Path) -> None:
        points = [rasterio.control.GroundControlPoint(row, col, col, row) for row in (0, 5) for col in (0, 4)]
        path = write(tmp_path / "x.tif", noise(), crs=None, transform=None)
        with rasterio.open(path, "r+") as dataset:
            dataset.gcps = points, rasterio.CRS.from_epsg(32633)
        with pytest.raises(FileError, match=r"on a grid .*found 4 ground control points; .*gdalwarp"):
            read_header(path)

    def test_a_palette_gives_colours_and_few_bits_the_gray_that_they_show(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tif", np.array([[[0, 1], [1, 2]]], np.uint8), photometric="palette")
        with rasterio.open(path, "r+") as dataset:
            dataset.write_colormap(1, {0: (9, 8, 7), 1: (6, 5, 4)})
        np.testing.assert_array_equal(read_image(path).image[:, 0, 0], [[9, 6], [8, 5], [7, 4]])
        assert read_header(path).channels == 3
        for bits, step in ((1, 255), (2, 85), (4, 17)):
            path = write(tmp_path / "y.tif", np.array([[[0, 1], [1, 0]]], np.uint8), nbits=bits)
            np.testing.assert_array_equal(read_image(path).image[0, 0], [[0, step], [step, 0]])


class TestPixelsWithoutData:
    """Their number stands in no statistics, and their place in no loss and no score."""

    def without(self, path: Path) -> NDArray[Any]:
        """Where an image has no data, (H, W); the header says the same of its place, and a window reads the same."""
        case = read_image(path)
        rows, columns = slice(1, 4), slice(2, 5)
        np.testing.assert_array_equal(window(path, rows, columns), case.image[:, 0, rows, columns])
        assert case.geometry.void is not None
        assert not case.image[:, case.geometry.void.where].any()
        return case.geometry.void.where[0]

    @pytest.mark.parametrize(
        ("dtype", "nodata"), [("uint8", 0), ("int16", -9999), ("float32", -9999), ("float32", np.nan)]
    )
    def test_by_the_nodata_number_in_all_bands(self, tmp_path: Path, dtype: str, nodata: float) -> None:
        bands = noise(2, dtype)
        bands[:, 2, 3], bands[0, 4, 4] = nodata, nodata
        where = self.without(write(tmp_path / "x.tif", bands, nodata=nodata))
        assert np.argwhere(where).tolist() == [[2, 3]]
        image = read_image(tmp_path / "x.tif").image
        assert image[0, 0, 4, 4] == 0
        assert image[1, 0, 4, 4] == bands[1, 4, 4]

    def test_by_a_number_of_its_own_for_each_band_of_a_mosaic(self, tmp_path: Path) -> None:
        bands = np.full((2, *SIZE), 5, np.uint8)
        bands[:, 1, 2], bands[:, 3, 3], bands[0, 4, 4] = [7, 9], [9, 7], 7
        path = tmp_path / "x.vrt"
        copy(write(tmp_path / "x.tif", bands), path, driver="VRT")
        text = path.read_text()
        for band, nodata in ((1, 7), (2, 9)):
            start = text.index(">", text.index(f'band="{band}"')) + 1
            text = f"{text[:start]}<NoDataValue>{nodata}</NoDataValue>{text[start:]}"
        path.write_text(text)
        assert np.argwhere(self.without(path)).tolist() == [[1, 2]]
        assert read_image(path).image[0, 0, 4, 4] == 0

    def test_by_nan_without_a_tag(self, tmp_path: Path) -> None:
        bands = noise(2, "float32")
        bands[:, 2, 3] = np.nan
        assert np.argwhere(self.without(write(tmp_path / "x.tif", bands))).tolist() == [[2, 3]]

    @pytest.mark.parametrize("inside", [True, False])
    def test_by_a_mask(self, tmp_path: Path, inside: bool) -> None:
        mask = np.full(SIZE, 255, np.uint8)
        mask[3, 2:] = 0
        path = write(tmp_path / "x.tif", noise(), mask if inside else None)
        if not inside:
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
                dataset.write_mask(mask)
            assert (tmp_path / "x.tif.msk").exists()
        np.testing.assert_array_equal(self.without(path), mask == 0)

    def test_by_transparency_which_is_no_band(self, tmp_path: Path) -> None:
        bands = noise(4)
        bands[3], bands[3, 1, 2] = 255, 0
        path = write(tmp_path / "x.tif", bands, photometric="rgb", alpha="yes")
        assert np.argwhere(self.without(path)).tolist() == [[1, 2]]
        header = read_header(path)
        assert (header.channels, header.bands) == (3, 4)

    def test_a_band_that_is_taken_for_transparency_is_told(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tif", noise(4), photometric="rgb", alpha="yes")
        ((_, found, fix),) = GeoTiffFormat().doubts(path)
        assert found == "band 4 marked as transparency, which is dropped"
        assert "-colorinterp_4 undefined" in fix

    def test_an_image_of_nothing_else_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tif", np.zeros((1, *SIZE), np.uint8), nodata=0)
        with pytest.raises(FileError, match="expected pixels with data, found none but nodata 0"):
            read_image(path)

    @pytest.mark.parametrize("ignore_id", [None, 9])
    def test_a_label_without_data_counts_nowhere(self, tmp_path: Path, ignore_id: int | None) -> None:
        image = write(tmp_path / "x.tif", noise())
        ids = np.full((1, *SIZE), 3, np.uint8)
        ids[0, 0, 0], ids[0, 1, 1] = 255, 0
        labels = LabelSpace(LABELS.names, LABELS.ids, LABELS.palette, ignore_id)
        label = read_case(CaseFiles("x", (image,), write(tmp_path / "y.tif", ids, nodata=255)), labels).label
        assert label is not None
        assert label[0, :2, :2].tolist() == [[IGNORE, 1], [1, 0]]
        label = read_case(
            CaseFiles("x", (image,), write(tmp_path / "z.tif", ids[:, ::-1] % 255, nodata=0)), labels
        ).label
        assert label is not None
        assert label[0, -1, 0] == 0  # a class, whatever the tag says

    @pytest.mark.parametrize("ignore_id", [None, 9])
    def test_check_counts_what_is_labelled_apart_from_what_is_not(self, tmp_path: Path, ignore_id: int | None) -> None:
        image = write(tmp_path / "x.tif", noise())
        ids = np.zeros((1, *SIZE), np.uint8)
        ids[0, 0, 0], ids[0, 1, :4] = 3, 255
        labels = LabelSpace(LABELS.names, LABELS.ids, LABELS.palette, ignore_id)
        row, findings = check_case(CaseFiles("x", (image,), write(tmp_path / "y.tif", ids, nodata=255)), labels, 2)
        assert not findings
        assert (row.voxels, row.ignored) == ({"background": 25, "water": 1, "field": 0}, 4)

    def test_a_mask_of_colours_without_data_has_no_other_colour_there(self, tmp_path: Path) -> None:
        image = write(tmp_path / "x.tif", noise())
        colours = np.array(LABELS.palette, np.uint8)[np.arange(30).reshape(SIZE) % 3].transpose(2, 0, 1).copy()
        colours[:, 2, 2] = 77
        seen = np.full(SIZE, 255, np.uint8)
        seen[2, 2] = 0
        label = read_case(CaseFiles("x", (image,), write(tmp_path / "y.tif", colours, seen)), LABELS).label
        assert label is not None
        right = np.arange(30).reshape(SIZE) % 3
        right[2, 2] = IGNORE
        np.testing.assert_array_equal(label[0], right)


class TestResults:
    def label(self) -> NDArray[np.int16]:
        return np.random.default_rng(1).integers(0, 3, SIZE).astype(np.int16)

    def test_a_label_lies_and_looks_as_a_gis_expects(self, tmp_path: Path) -> None:
        where = np.zeros((1, *SIZE), np.bool_)
        where[0, 1, 1] = True
        geometry(void=Void(where, "")).write_label(tmp_path / "x.tif", self.label()[None], LABELS)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["x.qml", "x.tif"]
        with rasterio.open(tmp_path / "x.tif") as dataset:
            assert (dataset.crs.to_epsg(), dataset.transform) == (32633, TRANSFORM)
            assert (dataset.nodata, dataset.dtypes, dataset.compression.name) == (255, ("uint8",), "deflate")
            assert dataset.block_shapes == [(512, 512)]
            ids = dataset.read(1)
            assert [dataset.colormap(1)[i] for i in (0, 3, 200)] == [(0, 0, 0, 255), (1, 2, 3, 255), (4, 5, 6, 255)]
            assert dataset.colormap(1)[255][3] == 0  # transparent
        assert ids[1, 1] == 255
        np.testing.assert_array_equal(ids[~where[0]], np.array(LABELS.ids)[self.label()][~where[0]])

    def test_qgis_shows_classes_by_name_and_colour(self, tmp_path: Path) -> None:
        labels = LabelSpace.from_names(("background", 'a "<&> ü'))
        geometry().write_label(tmp_path / "x.tif", np.zeros((1, *SIZE), np.int16), labels)
        style = ElementTree.parse(tmp_path / "x.qml").getroot()
        renderer = style.find("pipe/rasterrenderer")
        assert renderer is not None
        assert (style.tag, renderer.get("type"), renderer.get("band")) == ("qgis", "paletted", "1")
        entries = [entry.attrib for entry in renderer.findall("colorPalette/paletteEntry")]
        assert entries[0] == {"value": "0", "color": "#000000", "alpha": "255", "label": "background"}
        assert entries[1]["label"] == 'a "<&> ü'

    @pytest.mark.parametrize(
        ("ids", "ignore_id", "wanted", "expected"),
        [
            ((0, 1), None, None, ("uint8", 255)),
            ((0, 255), None, None, ("uint8", 254)),
            ((0, 1), 7, 9.0, ("uint8", 7)),
            ((0, 1), None, 9.0, ("uint8", 9)),
            ((0, 1), None, -9999.0, ("uint8", 255)),
            ((0, 1), None, np.nan, ("uint8", 255)),
            ((0, 1), None, 1.0, ("uint8", 255)),
            ((0, 1), 300, None, ("uint8", 255)),
            (tuple(range(255)), None, None, ("uint8", 255)),
            (tuple(range(256)), None, None, ("uint16", 65535)),
            ((0, 300), None, None, ("uint16", 65535)),
            ((-1, 0), None, None, ("int32", 2**31 - 1)),
        ],
    )
    def test_ids_get_the_smallest_type_and_a_nodata_that_is_none_of_them(
        self, ids: tuple[int, ...], ignore_id: int | None, wanted: float | None, expected: tuple[str, int]
    ) -> None:
        colours = tuple((i % 256, i // 256, 0) for i in range(len(ids)))
        labels = LabelSpace(tuple(map(str, ids)), ids, colours, ignore_id)
        kept, nodata = label_type(labels, wanted)
        assert (kept.name, nodata) == expected

    def test_many_classes_come_back(self, tmp_path: Path) -> None:
        labels = LabelSpace.from_names(tuple(f"class {i}" for i in range(300)))
        label = np.arange(30, dtype=np.int16).reshape(1, *SIZE) * 10
        geometry().write_label(tmp_path / "x.tif", label, labels)
        ids, _ = GeoTiffFormat().read_ids(tmp_path / "x.tif", labels)
        np.testing.assert_array_equal(labels.to_indices(ids), label)

    @pytest.mark.parametrize("cloud_optimised", [False, True])
    def test_rows_come_in_bands_of_any_height(self, tmp_path: Path, cloud_optimised: bool) -> None:
        size = (1100, 700)
        label = np.random.default_rng(0).integers(0, 3, size).astype(np.int16)
        place = geometry(size=size)
        with label_raster(tmp_path / "x.tif", place, LABELS, cloud_optimised) as raster:
            for first, last in ((0, 1), (1, 600), (600, 1024), (1024, 1100)):
                raster.write(first, label[first:last])
        ids, found = GeoTiffFormat().read_ids(tmp_path / "x.tif", LABELS)
        np.testing.assert_array_equal(LABELS.to_indices(ids)[0], label)
        assert place.difference(found) is None
        assert sorted(path.name for path in tmp_path.iterdir()) == ["x.qml", "x.tif"]
        with rasterio.open(tmp_path / "x.tif") as dataset:
            layout = dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT")
            assert (layout, bool(dataset.overviews(1))) == (("COG", True) if cloud_optimised else (None, False))
            assert (dataset.nodata, dataset.colormap(1)[3]) == (255, (1, 2, 3, 255))
        assert GeoTiffFormat().read_names(tmp_path / "x.tif") == {0: "background", 3: "water", 200: "field"}

    @pytest.mark.parametrize("rows", [[(0, 3)], [(0, 3), (0, 3)], [(3, 6)]])
    def test_rows_that_are_missing_or_in_another_order_are_an_error_and_leave_nothing(
        self, tmp_path: Path, rows: list[tuple[int, int]]
    ) -> None:
        def write_rows() -> None:
            with label_raster(tmp_path / "x.tif", geometry(), LABELS) as raster:
                for first, last in rows:
                    raster.write(first, self.label()[first:last])

        with pytest.raises(ValueError, match="row"):
            write_rows()
        assert not list(tmp_path.iterdir())

    def test_a_file_that_may_become_too_large_for_32_bits_has_64(self, tmp_path: Path) -> None:
        heads = []

        def begin() -> None:
            with label_raster(tmp_path / "x.tif", geometry(size=(90_000, 50_000)), LABELS) as raster:
                raster.write(0, np.zeros((512, 50_000), np.int16))
                heads.extend(file.read_bytes()[:4] for file in tmp_path.glob(".*.tif"))
                raise InterruptedError

        with pytest.raises(InterruptedError):
            begin()
        assert heads == [b"II+\0"]
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(("kept", "step"), [("uint8", 1 / 254), ("float16", 1e-3), ("float32", 0)])
    def test_probabilities_are_kept_as_wanted(self, tmp_path: Path, kept: Any, step: float) -> None:
        values = np.random.default_rng(0).random((3, *SIZE)).astype(np.float32)
        void = np.zeros(SIZE, np.bool_)
        void[2, 2] = True
        with probability_raster(tmp_path / "x.tif", geometry(), 3, LABELS.names, kept) as raster:
            raster.write(0, values[:, :4], void[:4])
            raster.write(4, values[:, 4:], void[4:])
        with rasterio.open(tmp_path / "x.tif") as dataset:
            found = dataset.read(masked=True) * np.array(dataset.scales)[:, None, None]
            assert dataset.descriptions == LABELS.names
            np.testing.assert_array_equal(found.mask, np.broadcast_to(void, found.shape))
        np.testing.assert_allclose(found[:, ~void], values[:, ~void], rtol=0, atol=step / 2 + 1e-9)
        with tifffile.TiffFile(tmp_path / "x.tif") as file:
            assert file.pages[0].dtype == kept

    def test_of_many_classes_rows_of_tiles_stay_small(self, tmp_path: Path) -> None:
        with probability_raster(tmp_path / "x.tif", geometry(size=(64, 9000)), 30) as raster:
            for first in range(0, 64, 16):
                raster.write(first, np.zeros((30, 16, 9000), np.float32))
        with rasterio.open(tmp_path / "x.tif") as dataset:
            assert dataset.block_shapes[0] == (64, 64)


class TestPlaces:
    """Labels lie where their image does, or it is said what is different and how to fix it."""

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"crs": None},
            {"transform": None},
            {"crs": rasterio.CRS.from_epsg(32633).to_wkt(version="WKT1_ESRI")},
            {"transform": tuple(TRANSFORM @ rasterio.Affine.translation(0.05, 0.05))[:6]},
        ],
    )
    def test_the_same_place_said_in_another_way_is_accepted(self, changes: dict[str, Any]) -> None:
        assert geometry().difference(geometry(**changes)) is None
        assert geometry(**changes).difference(geometry()) is None

    @pytest.mark.parametrize("other", ["OGC:CRS84", rasterio.CRS.from_epsg(4326).to_wkt(version="WKT1_ESRI")])
    def test_degrees_are_the_same_however_they_are_registered(self, other: str) -> None:
        one, other = (rasterio.CRS.from_string(crs).to_wkt() for crs in ("EPSG:4326", other))
        assert geometry(crs=one).difference(geometry(crs=other)) is None

    def test_a_picture_may_be_anywhere(self) -> None:
        assert geometry().difference(PictureGeometry(SIZE)) is None
        assert PictureGeometry(SIZE).difference(geometry()) is None
        assert geometry().difference(PictureGeometry((7, 5))) is not None
        assert PictureGeometry((7, 5)).difference(geometry()) is not None

    @pytest.mark.parametrize(
        ("changes", "expected", "found", "fix"),
        [
            (
                {"crs": "EPSG:32634"},
                "the CRS EPSG:32633 like the image",
                "EPSG:32634",
                "gdal_edit.py -a_srs EPSG:32633",
            ),
            ({"crs": "EPSG:4326"}, "the CRS EPSG:32633 like the image", "EPSG:4326", "rio warp LABEL OUT --like IMAGE"),
            ({"shift": (0.5, 0.5)}, r"the transform \(10, 0, 500000, 0, -10, 4600000\)", "500005.*corners", "rio warp"),
            ({"shift": (1, 0)}, "the transform", "500010, 0, -10, 4600000.$", "rio warp"),
            ({"shift": (0, 6)}, "a place within the image, x 500000 to 500050", "y 4599880 to .*outside", "take the"),
            ({"size": (6, 7)}, "^6 x 5 rows x columns", "^6 x 7", "rio warp"),
        ],
    )
    def test_another_is_named_with_a_fix(self, changes: dict[str, Any], expected: str, found: str, fix: str) -> None:
        if "shift" in changes:
            changes = {"transform": tuple(TRANSFORM @ rasterio.Affine.translation(*changes["shift"]))[:6]}
        if "crs" in changes:
            changes = {"crs": rasterio.CRS.from_string(changes["crs"]).to_wkt()}
        difference = geometry().difference(geometry(**changes))
        assert difference is not None
        for text, pattern in zip(difference, (expected, found, fix), strict=True):
            assert re.search(pattern, text)

    def test_turned_grids_are_compared_at_their_corners(self) -> None:
        size = (400, 500)
        turned, more = (tuple(TRANSFORM @ rasterio.Affine.rotation(angle))[:6] for angle in (30, 30.1))
        place = geometry(size=size, transform=turned)
        assert place.difference(geometry(size=size, transform=turned)) is None
        assert place.difference(geometry(size=size, transform=more)) is not None

    def test_corners_are_where_rasterio_has_them(self) -> None:
        transform = TRANSFORM @ rasterio.Affine.rotation(30) @ rasterio.Affine.shear(10)
        place = geometry(transform=tuple(transform)[:6])
        corners = [transform @ (column, row) for column, row in ((0, 0), (5, 0), (5, 6), (0, 6))]
        np.testing.assert_allclose(place.corners(), corners)
        left, low = np.min(corners, axis=0)
        assert place.extent.startswith(f"x {left:.10g} to ")
        assert f", y {low:.10g} to " in place.extent

    def test_a_crs_that_is_in_no_register_comes_back(self, tmp_path: Path) -> None:
        crs = rasterio.CRS.from_proj4("+proj=laea +lat_0=12 +lon_0=34 +x_0=1 +y_0=2 +ellps=bessel +units=m")
        path = write(tmp_path / "x.tif", noise(), crs=crs)
        place = read_geometry(path)
        place.write_label(tmp_path / "y.tif", np.zeros((1, *SIZE), np.int16), LABELS)
        assert place.difference(read_geometry(tmp_path / "y.tif")) is None

    def test_files_that_half_say_where_they_lie_are_doubted(self, tmp_path: Path) -> None:
        for settings, found in (({"crs": None}, "without a CRS"), ({"transform": rasterio.Affine.identity()}, "none")):
            ((_, what, _),) = GeoTiffFormat().doubts(write(tmp_path / "x.tif", noise(), **settings))
            assert found in what
        assert not list(GeoTiffFormat().doubts(write(tmp_path / "x.tif", noise())))


class TestFilesBesideImages:
    def test_they_are_no_images_and_nobody_is_told_of_them(self, tmp_path: Path) -> None:
        write(tmp_path / "x.tif", noise())
        for name in ("x.tif.aux.xml", "x.tif.ovr", "x.TIF.msk", "x.tfw", "x.qml", "alone.qml", "alone.tif.ovr"):
            (tmp_path / name).touch()
        (tmp_path / "x.TIF").touch()
        told = passed_over(tmp_path, [tmp_path / "x.tif", tmp_path / "x.TIF"], (".tif",))
        assert [finding.found for finding in told] == ["2 others, which are passed over: alone.qml, alone.tif.ovr"]

    def test_those_of_a_label_go_when_another_takes_its_place(self, tmp_path: Path) -> None:
        geometry = GeoTiffFormat().read_header(write(tmp_path / "x.tif", noise())).geometry
        path, labels = tmp_path / "label.tif", LabelSpace.from_names(("field", "water"))
        for value in (0, 1):
            geometry.write_label(path, np.full(geometry.shape, value, np.int16), labels)
            assert (GeoTiffFormat().read_ids(path, labels)[0] == value).all()
            assert sorted(file.name for file in tmp_path.glob("label*")) == ["label.qml", "label.tif"]
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False, TIFF_USE_OVR=True):
                with rasterio.open(path, "r+") as dataset:
                    dataset.write_mask(np.zeros(SIZE, bool))
                with rasterio.open(path, "r+") as dataset:
                    dataset.build_overviews([2])
            (tmp_path / "label.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
            assert len(list(tmp_path.glob("label.tif.*"))) == 4
        geometry.write_probabilities(path, np.zeros((2, *geometry.shape), np.float16), labels)
        assert not list(tmp_path.glob("label.tif.*"))
        with rasterio.open(path) as dataset:
            assert dataset.descriptions == labels.names

    def test_what_an_image_is_read_from_are_its_parts(self, tmp_path: Path) -> None:
        path = write(tmp_path / "x.tif", noise())
        assert GeoTiffFormat().parts(path) == [path]
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
            dataset.write_mask(np.full(SIZE, 255, np.uint8))
        assert GeoTiffFormat().parts(path) == [path, tmp_path / "x.tif.msk"]
        copy(path, tmp_path / "y.vrt", driver="VRT")
        assert {tmp_path / "y.vrt", path} <= set(GeoTiffFormat().parts(tmp_path / "y.vrt"))

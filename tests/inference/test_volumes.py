"""What classes take is told in the unit of the data, and the same whether a case is held or comes in bands."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from samtailor.data.case import Case, Geometry, Void
from samtailor.data.formats import read_image
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.data.intensity import Percentile
from samtailor.data.polygons import Ground
from samtailor.errors import ConfigError, DataWarning
from samtailor.inference.predict import predict
from samtailor.inference.predictor import Predictor
from samtailor.inference.result import segment
from samtailor.inference.volumes import CaseVolumes, Tally, volumes_of, write_volumes
from samtailor.labels import LabelSpace
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from tests.data.formats.test_geotiff import write
from tests.generate import LABELS
from tests.inference.test_predict import make_segmenter, write_inputs
from tests.inference.test_scenes import noise, segmenter, with_hole


class Grid(Geometry):
    """Where an array lies, and nothing else."""

    def __init__(self, shape: tuple[int, int, int], affine: NDArray[np.float64] | None) -> None:
        self._shape, self._affine = shape, affine

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._shape

    @property
    def affine(self) -> NDArray[np.float64] | None:
        return self._affine

    def write_label(self, path: Path, label: NDArray[Any], labels: LabelSpace) -> None: ...
    def write_probabilities(self, path: Path, probabilities: NDArray[Any], labels: LabelSpace) -> None: ...


def case(affine: NDArray[np.float64] | None, slices: int = 3) -> tuple[Case, NDArray[np.int16]]:
    """Two channels of numbers, and a liver of six voxels in two slices."""
    image = np.arange(2 * slices * 4 * 5, dtype=np.int16).reshape(2, slices, 4, 5)
    label = np.zeros((slices, 4, 5), np.int16)
    label[0, 1:3, 2:4] = 1
    label[-1, 3, 0:2] = 1
    return Case("x", image, Grid((slices, 4, 5), affine)), label


def test_a_volume_is_measured_in_ml_with_its_box_and_the_mean_of_each_channel() -> None:
    affine = np.diag([5.0, 2.0, 2.0, 1.0])
    one, label = case(affine)
    found = volumes_of(one, label, LABELS)
    liver = found["liver"]
    assert (liver.unit, liver.count, liver.size) == ("ml", 6, pytest.approx(6 * 20 / 1000))
    assert liver.box == ((0, 2), (1, 3), (0, 3))
    assert liver.mean == pytest.approx([one.image[channel][label == 1].mean() for channel in range(2)])
    assert found["background"].count == label.size - 6
    assert str(liver) == "0.12 ml"
    nowhere = found["spleen"]
    assert (nowhere.count, nowhere.size, nowhere.box) == (0, 0, None)
    assert all(map(math.isnan, nowhere.mean))


def test_voxels_of_a_tilted_volume_are_as_large_as_they_are() -> None:
    affine = np.diag([5.0, 2.0, 2.0, 1.0])
    affine[1, 0] = 3.0  # each slice lies farther back; its distance along the normal stays 5
    one, label = case(affine)
    assert volumes_of(one, label, LABELS)["liver"].size == pytest.approx(6 * 20 / 1000)


@pytest.mark.parametrize(("slices", "unit"), [(1, "pixels"), (3, "voxels")])
def test_what_says_nothing_of_its_size_is_counted(slices: int, unit: str) -> None:
    found = volumes_of(*case(None, slices), LABELS)["liver"]
    assert (found.unit, found.size) == (unit, found.count)


@pytest.mark.parametrize("crs", ['LOCAL_CS["site",UNIT["metre",1]]', "+proj=longlat +a=1737400 +b=1737400 +no_defs"])
def test_what_lies_nowhere_on_the_earth_is_counted_with_a_word(crs: str) -> None:
    geometry = GeoGeometry((4, 5), rasterio.CRS.from_string(crs).to_wkt(), (1, 0, 0, 0, -1, 0))
    case = Case("site", np.zeros((1, 1, 4, 5)), geometry)
    with pytest.warns(DataWarning, match="site: areas are in pixels: one that does not lie on the Earth"):
        found = volumes_of(case, np.ones((1, 4, 5), np.int16), LABELS)
    assert (found[LABELS.names[1]].size, found[LABELS.names[1]].unit) == (20, "pixels")


def test_pixels_that_hold_nothing_count_nowhere() -> None:
    one, label = case(None)
    where = np.zeros(label.shape, np.bool_)
    where[0] = True
    one.geometry.void = Void(where, "a test")
    found = volumes_of(one, label, LABELS)
    assert (found["liver"].count, found["liver"].box) == (2, ((2, 2), (3, 3), (0, 1)))
    assert sum(volume.count for volume in found.values()) == label[1:].size


def test_rows_may_come_in_any_order() -> None:
    one, label = case(np.eye(4))
    tally = Tally(Path("x"), one.geometry, LABELS, 2)
    for index in (2, 0, 1):
        for first in (2, 0):
            tally.add(index, first, label[index, first : first + 2], one.image[:, index, first : first + 2])
    assert repr(tally.volumes()) == repr(volumes_of(one, label, LABELS))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32633"])
def test_areas_of_rows_add_up_to_that_of_the_scene(crs: str) -> None:
    step = 0.01 if crs == "EPSG:4326" else 1000.0
    north = 60.0 if crs == "EPSG:4326" else 8_000_000.0
    transform = rasterio.Affine(step, 0, 12.0 if step < 1 else 500_000.0, 0, -step, north)
    pixel = 1_000_000.0 if crs == "EPSG:32633" else None
    ground = Ground(rasterio.CRS.from_string(crs).to_wkt(), tuple(transform)[:6], pixel)
    rows = ground.pixel_areas(slice(0, 50), 30)
    both = np.concatenate([ground.pixel_areas(slice(0, 20), 30), ground.pixel_areas(slice(20, 50), 30)])
    np.testing.assert_allclose(both, rows)
    import shapely

    corners = np.array([[0, 0], [0, 50], [30, 50], [30, 0]])
    whole = ground.areas(shapely.polygons(ground.on_map(corners[None])))[0]
    expected = 1500 * pixel if pixel else whole
    assert rows.sum() * 30 == pytest.approx(expected, rel=1e-6)
    if crs != "EPSG:32633":
        assert rows[0] < rows[-1]  # farther north, pixels are smaller


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_line_for_each_case_and_class(tmp_path: Path) -> None:
    one, label = case(np.diag([5.0, 2.0, 2.0, 1.0]))
    write_volumes(tmp_path / "t.csv", [CaseVolumes(name, volumes_of(one, label, LABELS)) for name in ("a", "b")])
    rows = read(tmp_path / "t.csv")
    assert [(row["case"], row["class"]) for row in rows] == [(c, n) for c in ("a", "b") for n in LABELS.names]
    liver = rows[1]
    assert (liver["size"], liver["unit"], liver["count"]) == ("0.12", "ml", "6")
    edges = [liver[f"{end}_{axis}"] for axis in ("slice", "row", "column") for end in ("first", "last")]
    assert edges == ["0", "2", "1", "3", "0", "3"]
    assert float(liver["mean_2"]) == pytest.approx(one.image[1][label == 1].mean(), rel=1e-5)
    assert (rows[2]["size"], rows[2]["first_row"], rows[2]["mean_1"]) == ("0", "", "")


def test_predict_writes_what_results_tell(tmp_path: Path, tiny_base: Base) -> None:
    run = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    folder = write_inputs(tmp_path / "in")
    report = predict(run, [folder], tmp_path / "out", volumes=tmp_path / "tables" / "volumes.csv", device="cpu")
    assert [one.case for one in report.volumes] == ["case_0", "case_2"]  # the other cannot be read
    predictor = Predictor(SegmenterModel.load(run).for_inference(), device="cpu")
    for one in report.volumes:
        expected = segment(predictor, read_image(folder / f"{one.case}_0000.nii.gz")).volumes()
        assert repr(one.classes) == repr(expected)
        assert {volume.unit for volume in expected.values()} == {"ml"}
    write_volumes(tmp_path / "expected.csv", report.volumes)
    assert (tmp_path / "tables" / "volumes.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()
    assert predict(run, [folder], tmp_path / "out2").volumes == ()


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
def test_a_scene_gives_what_the_whole_image_gives(crs: str, tiny_base: Base, tmp_path: Path) -> None:
    transform = (
        rasterio.Affine(0.001, 0, 12, 0, -0.001, 60) if crs == "EPSG:4326" else rasterio.Affine(10, 0, 0, 0, -10, 0)
    )
    image = with_hole(noise("uint16"), 0)
    scene = write(tmp_path / "scene.tif", image, nodata=0, crs=crs, transform=transform)
    run = segmenter(tmp_path / "segmenter", tiny_base, Percentile())
    (one,) = predict(run, [scene], tmp_path / "out", volumes=tmp_path / "v.csv", device="cpu").volumes
    predictor = Predictor(SegmenterModel.load(run).for_inference(), device="cpu")
    expected = segment(predictor, read_image(scene)).volumes()
    assert one.classes.keys() == expected.keys()
    seen = image.any(axis=0).sum()
    assert sum(volume.count for volume in one.classes.values()) == seen < image[0].size
    for found, whole in zip(one.classes.values(), expected.values(), strict=True):
        assert (found.unit, found.count, found.box) == ("m2", whole.count, whole.box)
        assert found.size == pytest.approx(whole.size)
        np.testing.assert_allclose(found.mean, whole.mean)
    if crs == "EPSG:32633":
        assert sum(volume.size for volume in one.classes.values()) == pytest.approx(seen * 100, rel=0.01)


def test_a_table_that_cannot_be_is_refused_before_work(tmp_path: Path, tiny_base: Base) -> None:
    run = make_segmenter(tmp_path / "segmenter", tiny_base, 1)
    folder = write_inputs(tmp_path / "in")

    def refused(path: Path, **settings: Any) -> str:
        with pytest.raises(ConfigError) as error:
            predict(run, [folder], tmp_path / "out", volumes=path, **settings)
        assert not (tmp_path / "out").exists()
        return str(error.value)

    there = tmp_path / "there.csv"
    there.write_text("mine")
    assert "volumes: expected no earlier results there" in refused(there)
    assert "volumes: expected a file named .csv" in refused(tmp_path / "v.xlsx")
    assert "volumes: expected all inputs to be predicted" in refused(tmp_path / "v.csv", skip_existing=True)
    assert "volumes: expected a folder to write to" in refused(there / "v.csv")
    assert there.read_text() == "mine"

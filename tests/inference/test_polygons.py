"""Polygons of GeoTIFFs: those of the label that is written, with what the network made of their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import torch
from numpy.typing import NDArray
from PIL import Image
from pyogrio.raw import read
from rasterio.features import rasterize

from samtailor.cli import main
from samtailor.data.formats import read_image
from samtailor.data.intensity import Percentile
from samtailor.errors import ConfigError, FileError
from samtailor.inference.predict import predict
from samtailor.inference.predictor import Predictor
from samtailor.inference.result import Result, segment
from samtailor.models.segmenter_model import SegmenterModel
from samtailor.models.zoo import Base
from tests.data.formats.test_geotiff import write
from tests.generate import picture, volume, write_volume
from tests.inference.test_scenes import noise, segmenter, with_hole


@pytest.fixture
def run(tmp_path: Path, tiny_base: Base) -> Path:
    torch.manual_seed(2)  # large parts: vertices where three classes meet stay, however much is simplified
    return segmenter(tmp_path / "segmenter", tiny_base, Percentile())


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A scene with a part that the sensor has not seen."""
    return write(tmp_path / "scene.tif", with_hole(noise("uint16"), 0), nodata=0)


def features(path: Path) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    about, _, geometry, values = read(path, layer="polygons")
    return shapely.from_wkb(geometry), dict(zip(about["fields"], values, strict=True))


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    polygons, values = features(path)
    return sorted(zip(shapely.to_wkb(shapely.normalize(polygons)), *(v.tolist() for v in values.values()), strict=True))


def whole(run: Path, scene: Path, probabilities: bool = True) -> Result:
    """The scene segmented in memory."""
    predictor = Predictor(SegmenterModel.load(run).for_inference(), device="cpu")
    return segment(predictor, read_image(scene), probabilities)


def require_drawn(label: Path, polygons: Path) -> None:
    """Polygons cover the pixels of their classes, and nothing else."""
    shapes, values = features(polygons)
    with rasterio.open(label) as dataset:
        ids, nodata = dataset.read(1), dataset.nodata
        drawn = rasterize(zip(shapes, values["class_id"], strict=True), ids.shape, transform=dataset.transform)
    assert len(np.unique(ids)) > 2
    assert (ids == nodata).any()
    np.testing.assert_array_equal(drawn, np.where(ids == nodata, 0, ids))


def test_polygons_are_those_of_the_label_and_of_the_scene_as_a_whole(run: Path, scene: Path, tmp_path: Path) -> None:
    predict(run, [scene], tmp_path / "plain")
    predict(run, [scene], tmp_path / "out", polygons="gpkg")
    label, polygons = tmp_path / "out" / "scene.tif", tmp_path / "out" / "polygons" / "scene.gpkg"
    assert label.read_bytes() == (tmp_path / "plain" / "scene.tif").read_bytes()
    require_drawn(label, polygons)
    # A label that is to fit probabilities in half precision is another where classes tie.
    predict(run, [scene], tmp_path / "out", polygons="gpkg", probabilities=True, overwrite=True)
    whole(run, scene).save_polygons(tmp_path / "whole.gpkg")
    assert rows_of(polygons) == rows_of(tmp_path / "whole.gpkg")


def test_their_probability_is_the_mean_over_their_pixels(run: Path, scene: Path, tmp_path: Path) -> None:
    predict(run, [scene], tmp_path / "out", polygons="gpkg", probabilities=True)
    shapes, values = features(tmp_path / "out" / "polygons" / "scene.gpkg")
    with rasterio.open(tmp_path / "out" / "probabilities" / "scene.tif") as dataset:
        softmax, transform = dataset.read(), dataset.transform
    for shape, index, mean in zip(shapes, values["class_id"], values["mean_probability"], strict=True):
        inside = rasterize([shape], softmax.shape[1:], transform=transform).astype(bool)
        assert mean == pytest.approx(softmax[index][inside].mean(), rel=1e-5)


def test_a_refined_label_has_refined_polygons(run: Path, scene: Path, tmp_path: Path) -> None:
    predict(run, [scene], tmp_path / "all", polygons="gpkg")
    predict(run, [scene], tmp_path / "out", polygons="gpkg", refine="largest-component")
    require_drawn(tmp_path / "out" / "scene.tif", tmp_path / "out" / "polygons" / "scene.gpkg")
    assert not (tmp_path / "out" / "probabilities").exists()
    rows = rows_of(tmp_path / "out" / "polygons" / "scene.gpkg")
    assert len(rows) < len(rows_of(tmp_path / "all" / "polygons" / "scene.gpkg"))
    assert all(1 / 3 < row[-1] <= 1 for row in rows)


def test_simplify_and_min_area_reach_the_polygons(run: Path, scene: Path, tmp_path: Path) -> None:
    arguments = ["predict", str(run), str(scene), "--device", "cpu", "--polygons", "gpkg", "--out"]
    assert main([*arguments, str(tmp_path / "all")]) == 0
    assert main([*arguments, str(tmp_path / "few"), "--min_area", "2000", "--simplify", "30"]) == 0
    (every, known), (few, values) = (features(tmp_path / name / "polygons" / "scene.gpkg") for name in ("all", "few"))
    np.testing.assert_array_equal(np.sort(values["area_m2"]), np.sort(known["area_m2"][known["area_m2"] >= 2000]))
    assert 0 < len(few) < len(every)
    assert shapely.get_num_coordinates(few).max() < shapely.get_num_coordinates(every).max()


def test_a_result_without_probabilities_has_polygons_without(run: Path, scene: Path, tmp_path: Path) -> None:
    result = whole(run, scene, probabilities=False)
    result.save_polygons(tmp_path / "x.geojson", min_area=500)
    _, values = features(tmp_path / "x.geojson")
    assert list(values) == ["class_id", "class", "area_m2"]
    assert values["area_m2"].min() >= 500
    with pytest.raises(FileError, match=r"x\.shp: expected the suffix \.gpkg or \.geojson"):
        result.save_polygons(tmp_path / "x.shp")


def test_what_says_nothing_of_its_place_is_refused_before_work(
    run: Path, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(picture((30, 44), 0)[0]).save(tmp_path / "picture.png")
    write_volume(tmp_path / "volume.nii.gz", volume((20, 16, 5), 0)[0])
    write(tmp_path / "no-crs.tif", noise("uint16"), crs=None)
    for name in ("picture.png", "volume.nii.gz", "no-crs.tif"):
        arguments = ["predict", str(run), str(scene), str(tmp_path / name), "--polygons", "gpkg", "--device", "cpu"]
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
        assert f"{name}: expected an image with a CRS and a transform, for its polygons" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_read_fails_alone(run: Path, scene: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.tif").write_bytes(scene.read_bytes()[:200])
    report = predict(run, [scene, tmp_path / "bad.tif", tmp_path / "none.tif"], tmp_path / "out", polygons="geojson")
    assert [failure.file.name for failure in report.failures] == ["bad.tif", "none.tif"]
    assert [path.name for path in (tmp_path / "out" / "polygons").iterdir()] == ["scene.geojson"]


def test_earlier_polygons_are_not_replaced_unasked(run: Path, scene: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "out" / "polygons" / "scene.gpkg"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"polygons/scene\.gpkg"):
        predict(run, [scene], tmp_path / "out", polygons="gpkg")
    assert earlier.read_text(encoding="utf-8") == "mine"
    predict(run, [scene], tmp_path / "out", polygons="gpkg", overwrite=True)
    require_drawn(tmp_path / "out" / "scene.tif", earlier)


@pytest.mark.parametrize("setting", ["simplify", "min_area"])
def test_settings_of_polygons_need_polygons(run: Path, scene: Path, tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigError, match="polygons: expected gpkg or geojson"):
        predict(run, [scene], tmp_path / "out", **{setting: 5.0})  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()

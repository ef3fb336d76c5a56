"""GID-5 is read as scenes and as tiles; colours are classes, and crops of scenes are trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import read_case
from samtailor.errors import FileError
from samtailor.training.resolve import resolve
from samtailor.training.settings import SamplingConfig, TrainConfig
from tests.generate_publishers import SCENES, gid5_scenes, gid5_tiles, scene

CONFIG = TrainConfig(data="data", out="out", sampling=SamplingConfig(image_size=64))


@pytest.mark.parametrize("inside", ["", "Large-scale Classification_5classes"])
def test_scenes_are_read_in_red_green_and_blue_with_classes_by_colour(inside: str, tmp_path: Path) -> None:
    dataset = open_dataset(gid5_scenes(tmp_path / "data") / inside)
    assert [case.name for case in dataset.cases] == list(SCENES)
    assert (dataset.channels, dataset.bits, dataset.largest) == (("R", "G", "B"), 8, (340, 360))
    case = read_case(dataset.cases[1], dataset.labels)
    pixels, colours = scene((340, 360), 1)
    np.testing.assert_array_equal(case.image[:, 0], np.moveaxis(pixels, -1, 0))
    assert case.label is not None
    np.testing.assert_array_equal(np.array(dataset.labels.palette)[case.label[0]], colours)


def test_scenes_are_trained_on_in_the_crops_of_the_tiles(tmp_path: Path) -> None:
    dataset = open_dataset(gid5_scenes(tmp_path / "data"))
    sampling = resolve(CONFIG, dataset).sampling
    assert (sampling.field, sampling.per_epoch) == (224, 2 * 2 * 3)  # 2 x 2 crops tile each of three scenes
    chosen = TrainConfig(
        "data", "out", sampling=SamplingConfig(image_size=64, field=None, per_epoch=7, rare=0.5, wide=0.2)
    )
    assert resolve(chosen, dataset).sampling == chosen.sampling


def test_tiles_are_trained_on_whole_and_split_by_number(tmp_path: Path) -> None:
    dataset = open_dataset(gid5_tiles(tmp_path / "data"))
    assert (dataset.name, len(dataset.cases), dataset.orphans) == ("gid5", 15, ())
    assert dataset.splits["val"] == ("builtup_0004", "farmland_0004", "water_0004")
    assert dataset.splits["test"] == ("builtup_0005", "farmland_0005", "water_0005")
    assert resolve(CONFIG, dataset).sampling.field is None
    assert check_dataset(dataset.root).findings == ()


def test_tiles_of_one_category_are_somebody_elses(tmp_path: Path) -> None:
    root = gid5_tiles(tmp_path / "data")
    for tile in (path for path in root.rglob("*.*") if not path.name.startswith("water")):
        tile.unlink()
    dataset = open_dataset(root)
    assert (dataset.name, dataset.layout, len(dataset.cases)) == (None, "inferred", 5)


def test_check_is_content_with_scenes(tmp_path: Path) -> None:
    report = check_dataset(gid5_scenes(tmp_path / "data"))
    assert report.findings == ()
    assert sum(report.voxels("train").values()) == 3 * 340 * 360


@pytest.mark.parametrize("missing", ["image_RGB", "label_5classes"])
def test_a_missing_folder_is_explained(missing: str, tmp_path: Path) -> None:
    root = gid5_scenes(tmp_path / "data")
    shutil.rmtree(root / "Large-scale Classification_5classes" / missing)
    with pytest.raises(FileError, match=rf"with files in {missing}.*x-ytong\.github\.io/project/GID") as raised:
        open_dataset(root)
    assert ("near infrared" in raised.value.expected) == (missing == "image_RGB")


def test_four_bands_among_the_images_are_refused(tmp_path: Path) -> None:
    base = gid5_scenes(tmp_path / "data") / "Large-scale Classification_5classes"
    shutil.copy(base / "image_NirRGB" / f"{SCENES[0]}.tif", base / "image_RGB" / f"{SCENES[0]}.tif")
    error, *_ = check_dataset(base).errors
    assert (error.expected, error.found) == ("three bands: red, green, blue", "4 bands")


def test_a_colour_that_is_no_class_is_named(tmp_path: Path) -> None:
    base = gid5_scenes(tmp_path / "data") / "Large-scale Classification_5classes"
    path = base / "label_5classes" / f"{SCENES[2]}_label.tif"
    colours = tifffile.imread(path)
    colours[7, 7] = (200, 0, 0)
    tifffile.imwrite(path, colours, photometric="rgb")
    (error,) = check_dataset(base).errors
    assert error.found == "also [(200, 0, 0)]"

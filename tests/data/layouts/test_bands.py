"""Pictures of more than three bands: who has no dataset.json chooses, nothing is dropped without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from samtailor.cli import main
from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import read_case
from samtailor.errors import ConfigError, FileError
from samtailor.runs import Run
from samtailor.settings import Selection
from samtailor.training.settings import TrainConfig
from tests import generate
from tests.data.layouts.test_tree import volumes


def folder(root: Path, bands: int = 4, kinds: tuple[str, ...] = ("unspecified",)) -> Path:
    """Four pictures whose band b holds 10 b and more, with masks."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(4):
        _, ids = generate.picture((16, 20), index)
        pixels = (10 * np.arange(1, bands + 1) + ids[..., None]).astype(np.uint8)
        options = {"photometric": "rgb", "planarconfig": "contig", "extrasamples": kinds} if bands > 3 else {}
        tifffile.imwrite(root / "images" / f"{index}.tif", pixels, **options)
        Image.fromarray(ids).save(root / "masks" / f"{index}.png")
    return root


def test_more_than_three_bands_are_chosen_by_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path)
    with pytest.raises(FileError, match="pictures of 4 bands and none; choose three such as --bands 3,2,1"):
        open_dataset(root)
    assert main(["check", str(root)]) == 2
    assert main(["check", str(root), "--bands", "4,3,2"]) == 0
    capsys.readouterr()
    dataset = open_dataset(root, bands="4, 3,2")
    assert (dataset.channels, dataset.bands) == (("band 4", "band 3", "band 2"), (4, 3, 2))
    image = read_case(dataset.cases[0], dataset.labels, dataset.channel_choice).image
    assert [int(plane.min()) for plane in image] == [40, 30, 20]
    every = open_dataset(root, bands="all")
    assert (every.channel_choice, every.bands) == (4, None)


@pytest.mark.parametrize("bands", ["4,3,2", "all"])
def test_a_choice_is_written_down(bands: str, tmp_path: Path) -> None:
    root = folder(tmp_path)
    before = open_dataset(root, bands=bands)
    check(root, bands=bands, write=True)
    after = open_dataset(root)
    assert (after.channels, after.channel_choice) == (before.channels, before.channel_choice)


@pytest.mark.parametrize(
    ("bands", "words"),
    [
        ("5", "numbers from 1 to 4, the bands"),
        ("0", "numbers from 1 to 4"),
        ("nir", "found 'nir'"),
        ("1,1,2", "each once"),
        ("", "found ''"),
    ],
)
def test_bands_that_are_not_there_are_refused(bands: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        open_dataset(folder(tmp_path), bands=bands)


def test_bands_have_the_names_of_dataset_json_and_are_chosen_in_one_place(tmp_path: Path) -> None:
    root = folder(tmp_path)
    content = {"classes": ["nothing", "field", "lake"], "bands": ["b", "g", "r", "n"]}
    generate.write_json(root / "dataset.json", content)
    assert open_dataset(root).channel_choice == 4  # as ever
    assert open_dataset(root, bands="n,r,2").channels == ("n", "r", "g")
    generate.write_json(root / "dataset.json", content | {"use_bands": [1, 2, 3]})
    with pytest.raises(ConfigError, match=r"found use_bands 1,2,3; leave one out"):
        open_dataset(root, bands="4,3,2")


def test_a_fourth_band_is_alpha_only_where_the_file_says_so(tmp_path: Path) -> None:
    assert open_dataset(folder(tmp_path / "alpha", kinds=("unassalpha",))).channels == ("R", "G", "B")
    with pytest.raises(FileError, match="pictures of 4 bands"):
        open_dataset(folder(tmp_path / "none"))
    assert open_dataset(folder(tmp_path / "three", 3)).channels == ("R", "G", "B")


def test_all_channels_of_volumes_are_used(tmp_path: Path) -> None:
    volumes(tmp_path, *(f"{case}_{kind}" for case in "ab" for kind in ("t1", "t2", "t3", "t4", "seg")))
    assert open_dataset(tmp_path).channel_choice == 4
    assert open_dataset(tmp_path, bands="all").channel_choice == 4
    with pytest.raises(ConfigError, match="expected pictures; found volumes"):
        open_dataset(tmp_path, bands="1,2")


def test_a_run_knows_what_was_taken_of_its_data(tmp_path: Path) -> None:
    run = Run(tmp_path)
    config = TrainConfig(data="d", out=tmp_path, fold=2, dataset="none", bands="4,3,2")
    run.write_config(config.to_plain())
    assert run.selection == config.selection == Selection(2, "none", "4,3,2")
    old = {name: value for name, value in config.to_plain().items() if name not in ("dataset", "bands")}
    run.write_config(old | {"fold": 0})  # older versions wrote 0 where nobody had chosen a fold
    assert run.selection == Selection()

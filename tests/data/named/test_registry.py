"""A data set is known by its publisher's folder, or by its classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import open_dataset
from samtailor.data.named import NAMED, DatasetName, looking_like, published
from samtailor.data.phantom import make_phantom
from samtailor.errors import FileError
from samtailor.labels import LabelSpace
from samtailor.reporting.terminal import to_text
from tests import generate, generate_publishers

FOLDERS = {
    "flare22": generate_publishers.flare22_folder,
    "gid5": generate_publishers.gid5_scenes,
    "sirst": generate_publishers.sirst_folder,
    "btcv": generate_publishers.btcv_folder,
}


@pytest.mark.parametrize("name", list(NAMED))
def test_each_folder_looks_like_its_own_data_set_only(name: DatasetName, tmp_path: Path) -> None:
    root = FOLDERS[name](tmp_path / "data")
    assert [known.name for known in NAMED.values() if known.looks_like(root)] == [name]
    dataset = open_dataset(root)
    assert (dataset.name, dataset.layout) == (name, "publisher")
    assert dataset.protocol == NAMED[name].protocol
    assert dataset.labels == NAMED[name].labels
    assert set(dataset.splits) == {"train", "val", "test"}
    assert "https://" in NAMED[name].published


def test_other_layouts_are_named_by_classes_and_the_names_of_cases_or_their_own(nnunet_folder: Path) -> None:
    assert open_dataset(nnunet_folder).protocol == "samtailor"
    labels = dict(zip(NAMED["flare22"].labels.names, range(14), strict=True))
    content = {"channel_names": {"0": "CT"}, "labels": labels}
    generate.write_json(nnunet_folder / "dataset.json", content)
    assert open_dataset(nnunet_folder).name is None  # many data sets have these organs
    generate.write_json(nnunet_folder / "dataset.json", content | {"name": "FLARE 2022"})
    dataset = open_dataset(nnunet_folder)
    assert (dataset.name, dataset.layout, dataset.protocol) == ("flare22", "nnunet", "flare22")
    generate.write_json(nnunet_folder / "dataset.json", content)
    for file in [*nnunet_folder.glob("imagesT*/*"), *nnunet_folder.glob("labelsT*/*")]:
        file.rename(file.with_name(file.name.replace("case_", "FLARE22_Tr_000")))
    (nnunet_folder / "splits_final.json").unlink()
    assert open_dataset(nnunet_folder).name == "flare22"
    assert open_dataset(nnunet_folder, dataset="none").name is None
    generate.write_json(nnunet_folder / "dataset.json", content | {"name": "our clinic"})
    assert open_dataset(nnunet_folder).name is None


def test_the_phantom_is_not_flare22_although_it_has_its_organs(tmp_path: Path) -> None:
    assert open_dataset(make_phantom(tmp_path / "phantom", patients=6, shape=(4, 32, 32))).name is None


def test_other_classes_orders_and_cases_have_no_name() -> None:
    ours = LabelSpace.from_names(("background", "target"))
    assert published(ours, ["Misc_1", "Misc_427"]) is NAMED["sirst"]
    assert published(ours, ["Misc_1", "frame_2"]) is None
    assert published(LabelSpace.from_names(("target", "background")), ["Misc_1"]) is None


@pytest.mark.parametrize("name", list(NAMED))
def test_a_publishers_folder_can_be_taken_for_any(name: DatasetName, tmp_path: Path) -> None:
    root = FOLDERS[name](tmp_path / "data")
    try:
        dataset = open_dataset(root, dataset="none")
    except FileError:  # of a layout that only its publisher has
        return
    assert (dataset.name, dataset.layout) == (None, "inferred")


def test_pictures_called_otherwise_are_no_tiles_and_no_frames(image_folder: Path) -> None:
    (image_folder / "dataset.json").unlink()
    for first, name in (("images/tile_0.png", "water_1.png"), ("images/tile_1.png", "Misc_1.png")):
        (image_folder / first).rename(image_folder / "images" / name)
    assert looking_like(image_folder) is None


def test_an_ordinary_folder_looks_like_none(image_folder: Path, nnunet_folder: Path, tmp_path: Path) -> None:
    assert looking_like(image_folder) is None
    assert looking_like(nnunet_folder) is None
    assert looking_like(tmp_path) is None


def test_check_prints_name_page_terms_split_and_protocol(tmp_path: Path) -> None:
    report = check_dataset(generate_publishers.sirst_folder(tmp_path / "data"))
    assert report.to_json()["name"] == "sirst"
    text = to_text(report.blocks(), width=160)
    for words in ("SIRST (sirst), as its publisher ships it", "github.com/YimianDai/sirst", "idx_427", "irstd"):
        assert words in text
    for what in ("published", "terms", "split", "protocol", "advice"):
        assert f"\n{what} " in text

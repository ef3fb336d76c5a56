"""A data set is known by its publisher's folder, or by its classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from samtailor.data.check_dataset import check_dataset
from samtailor.data.dataset import open_dataset
from samtailor.data.named import NAMED, DatasetName, looking_like, with_classes
from samtailor.data.phantom import make_phantom
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


def test_our_own_layouts_are_named_by_their_classes(image_folder: Path, nnunet_folder: Path) -> None:
    assert open_dataset(image_folder).name is None
    assert open_dataset(nnunet_folder).protocol == "samtailor"
    labels = dict(zip(NAMED["flare22"].labels.names, range(14), strict=True))
    content = {"channel_names": {"0": "CT"}, "labels": labels}
    generate.write_json(nnunet_folder / "dataset.json", content)
    dataset = open_dataset(nnunet_folder)
    assert (dataset.name, dataset.layout, dataset.protocol) == ("flare22", "nnunet", "flare22")
    generate.write_json(nnunet_folder / "dataset.json", content | {"name": "our clinic"})
    assert open_dataset(nnunet_folder).name is None


def test_the_phantom_is_not_flare22_although_it_has_its_organs(tmp_path: Path) -> None:
    assert open_dataset(make_phantom(tmp_path / "phantom", patients=6, shape=(4, 32, 32))).name is None


def test_other_classes_and_other_orders_have_no_name() -> None:
    assert with_classes(LabelSpace.from_names(("target", "background"))) is None
    assert with_classes(LabelSpace.from_names(("background", "target"))) is NAMED["sirst"]


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

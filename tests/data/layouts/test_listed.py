"""The dataset.json that lists its files: what `check --write` writes says the same as was inferred."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samtailor.cli import main
from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.errors import FileError
from tests import generate
from tests.data.layouts.test_classes import VOC, coloured, ids, paletted
from tests.data.layouts.test_classes import folder as masks_folder
from tests.data.layouts.test_tree import folder, volumes


def soft(root: Path) -> Path:
    levels = np.where(ids(*range(12)) < 5, 0, 255).astype(float)
    levels[:, 5:25] = np.linspace(0, 255, 20)
    return masks_folder(root, *[levels.astype(np.uint8)] * 4)


def multichannel(root: Path) -> Path:
    volumes(root, *(f"{case}_{kind}" for case in "abcd" for kind in ("t1", "t2", "seg")))
    return root


FOLDERS: dict[str, Callable[[Path], Path]] = {
    "black and white": lambda root: masks_folder(root, *[ids(0, 255)] * 4),
    "ids": lambda root: folder(root, "imgs/*.jpg", "gt/*_mask.png", tuple("abcd")),
    "palette": lambda root: masks_folder(root, *[paletted(VOC)] * 4),
    "colours": lambda root: masks_folder(root, *[coloured((9, 9, 9), (255, 0, 0))] * 4),
    "soft edges": soft,
    "splits": lambda root: folder(
        folder(root, "train/imgs/*.png", "train/gt/*.png", tuple("abcd")), "val/imgs/*.png", "val/gt/*.png"
    ),
    "volumes": multichannel,
}


@pytest.mark.parametrize("make", FOLDERS.values(), ids=FOLDERS)
def test_what_is_written_is_read_as_what_was_inferred(make: Callable[[Path], Path], tmp_path: Path) -> None:
    root = make(tmp_path)
    before = open_dataset(root).with_default_split()
    rows = check(root).cases
    report = check(root, write=True)
    assert report.facts["written"].startswith(str(root / "dataset.json"))
    after = open_dataset(root)
    assert (before.layout, after.layout) == ("inferred", "listed")
    for what in ("cases", "labels", "splits", "channels", "bits", "largest", "name"):
        assert getattr(after, what) == getattr(before, what)
    assert after.fingerprint() == before.fingerprint()
    assert not after.told
    assert check(root).cases == rows


def test_a_dataset_json_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = masks_folder(tmp_path, *[ids(0, 255)] * 4)
    (root / "dataset.json").write_text("mine")
    assert main(["check", str(root), "--write"]) == 2
    assert "which is never replaced" in capsys.readouterr().err
    assert (root / "dataset.json").read_text() == "mine"


def test_nothing_is_written_where_nothing_is_inferred(tmp_path: Path) -> None:
    report = check(tmp_path, write=True)
    assert len(report.errors) == 1
    assert not list(tmp_path.iterdir())


def rewritten(root: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = root / "dataset.json"
    content = json.loads(path.read_text())
    change(content)
    generate.write_json(path, content)
    return root


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(dataset=[]), "dataset: the files of each case, found \\[\\]"),
        (lambda c: c["dataset"].update(a={"image": "a.png"}), "images and a label of 'a'"),
        (lambda c: c["dataset"].update(a={"images": []}), "images and a label of 'a'"),
        (lambda c: c["dataset"].update(a={"images": ["a.txt"]}), "an image file of 'a', found 'a.txt'"),
        (lambda c: c["dataset"]["a"].update(images=["a.png", "b.png"]), "one picture file for each case"),
        (lambda c: c.pop("classes"), "classes: at least two names"),
        (lambda c: c.update(threshold=300000), "threshold: a gray level"),
        (lambda c: c.update(threshold=100), "threshold: a gray level, of masks with two classes"),
    ],
)
def test_a_wrong_list_is_refused(change: Callable[[dict[str, Any]], object], words: str, tmp_path: Path) -> None:
    root = folder(tmp_path, "imgs/*.png", "gt/*.png")
    check(root, write=True)
    with pytest.raises(FileError, match=words) as error:
        open_dataset(rewritten(root, change))
    assert error.value.file.endswith("dataset.json")


def test_a_listed_file_that_is_missing_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path, "imgs/*.png", "gt/*.png")
    check(root, write=True)
    (root / "imgs" / "b.png").unlink()
    (root / "gt" / "c.png").unlink()
    assert {Path(finding.file).name for finding in check(root).errors} == {"b.png", "c.png"}


def test_nnunets_list_is_read(tmp_path: Path) -> None:
    volumes(tmp_path, "anywhere/x", "else/x_label")
    content = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2}}
    listed = {"x": {"images": ["anywhere/x.nii.gz"], "label": "else/x_label.nii.gz"}}
    generate.write_json(tmp_path / "dataset.json", {**content, "dataset": listed, "file_ending": ".nii.gz"})
    dataset = open_dataset(tmp_path)
    assert (dataset.channels, dataset.labels.names) == (("CT",), ("background", "liver", "spleen"))
    assert dataset.cases[0].images[0].is_file()

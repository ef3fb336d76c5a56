"""Splits that lists and tables name, whether or not a dataset.json names the classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.errors import FileError
from tests import generate
from tests.data.layouts.test_tree import folder

NAMES = tuple("abcdef")
SPLITS = {"train": ("a", "c", "d"), "val": ("b", "e"), "test": ("f",)}
CLASSES = {"classes": ["nothing", "field", "lake"]}


def with_lists(root: Path) -> None:
    for split, names in SPLITS.items():
        (root / f"{split}.txt").write_text("\n".join(names))


def with_pairs(root: Path) -> None:
    lines = [f"images/{name}.png,masks/{name}.png,{split}" for split, names in SPLITS.items() for name in names]
    (root / "list.csv").write_text("\n".join(["image,mask,split", *lines]))


def with_table(root: Path) -> None:
    lines = [f"7;{name}.png;{split}" for split, names in SPLITS.items() for name in names]
    (root / "meta.csv").write_text("\n".join(["patient;name;split", *lines, "8;gone.png;train"]))


def with_folds(root: Path) -> None:
    generate.write_json(root / "splits_final.json", [{"train": ["a", "c", "d", "f"], "val": ["b", "e"]}])


WAYS = {"lists": with_lists, "pairs": with_pairs, "table": with_table}


def test_the_number_of_a_line_is_no_case(tmp_path: Path) -> None:
    """As pandas writes tables, with cases that are called by numbers."""
    root = folder(tmp_path, "images/*.png", "masks/*.png", tuple("012345"))
    named = {"3": "train", "1": "val", "4": "train", "0": "train", "2": "test", "5": "test"}
    for ending, title in ((".png", "image"), ("", "case")):
        lines = (f"{number},{name}{ending},{split}" for number, (name, split) in enumerate(named.items()))
        (root / "meta.csv").write_text("\n".join([f",{title},split", *lines]))
        assert open_dataset(root).splits == {"train": ("0", "3", "4"), "val": ("1",), "test": ("2", "5")}


@pytest.mark.parametrize("content", [None, CLASSES], ids=["none", "classes"])
def test_a_list_of_training_cases_alone_shows_no_split(content: dict[str, object] | None, tmp_path: Path) -> None:
    root = folder(tmp_path, "images/*.png", "masks/*.png", NAMES)
    if content:
        generate.write_json(root / "dataset.json", content)
    (root / "train.txt").write_text("\n".join(NAMES))
    assert not open_dataset(root).splits
    assert set(open_dataset(root).with_default_split().splits) == {"train", "val", "test"}


def test_labels_in_a_list_need_no_entry_as_images(tmp_path: Path) -> None:
    root = folder(tmp_path, "data/*.png", "data/*9.png", NAMES)
    lines = "".join(f"data/{name}.png,data/{name}9.png\n" for name in NAMES)
    (root / "list.csv").write_text(f"image,mask\n{lines}")
    assert not open_dataset(root).remarks


@pytest.mark.parametrize("content", [None, CLASSES, CLASSES | {"dataset": ...}], ids=["none", "classes", "files"])
@pytest.mark.parametrize("way", WAYS)
def test_a_dataset_json_without_splits_leaves_them_to_lists(
    way: str, content: dict[str, object] | None, tmp_path: Path
) -> None:
    root = folder(tmp_path, "images/*.png", "masks/*.png", NAMES)
    if content and "dataset" in content:
        files = {name: {"images": [f"images/{name}.png"], "label": f"masks/{name}.png"} for name in NAMES}
        content = content | {"dataset": files}
    if content:
        generate.write_json(root / "dataset.json", content)
    WAYS[way](root)
    assert open_dataset(root).splits == SPLITS
    if content:
        generate.write_json(root / "dataset.json", content | {"splits": {"train": ["a"]}})
        assert open_dataset(root).splits == {"train": ("a",)}


def test_a_split_file_counts_where_nothing_else_names_training(tmp_path: Path) -> None:
    root = folder(tmp_path, "images/*.png", "masks/*.png", NAMES)
    generate.write_json(root / "dataset.json", CLASSES)
    with_folds(root)
    assert open_dataset(root).splits == {"train": ("a", "c", "d", "f"), "val": ("b", "e")}
    (root / "test.txt").write_text("f\n")
    assert open_dataset(root).splits == {"train": ("a", "c", "d", "f"), "val": ("b", "e")}
    with_lists(root)
    assert open_dataset(root).splits == SPLITS


def test_a_list_that_matches_nothing_is_told_beside_a_dataset_json(tmp_path: Path) -> None:
    root = folder(tmp_path, "images/*.png", "masks/*.png", NAMES)
    generate.write_json(root / "dataset.json", CLASSES)
    (root / "train.txt").write_text("x\ny\n")
    assert "none, in 2 lines such as 'x'" in str(check(root))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
@pytest.mark.parametrize("header", ["image,mask,split", "image,split"])
def test_tables_in_another_encoding_are_refused(header: str, encoding: str, tmp_path: Path) -> None:
    root = folder(tmp_path, "images/*.png", "masks/*.png", ("Müller", *NAMES))
    lines = (f"images/{name}.png,masks/{name}.png,train" for name in ("Müller", *NAMES))
    text = "\n".join([header, *lines]) + "\n"
    (root / "list.csv").write_bytes(text.encode(encoding))
    with pytest.raises(FileError, match=r"list\.csv: .* which is not UTF-8; save it as UTF-8"):
        open_dataset(root)


def test_a_letter_at_the_end_of_a_lists_beginning_may_be_cut(tmp_path: Path) -> None:
    root = folder(tmp_path, "images/*.png", "masks/*.png", NAMES)
    line, header = "images/a.png,masks/a.png,train\n", "image,mask,split,note\n"
    (root / "list.csv").write_text(header + line.rstrip() + "," + "ü" * (1 << 15) + "\n", encoding="utf-8")
    assert len((header + line).encode()) % 2  # the 65,536th byte is the first of two
    assert open_dataset(root).told["lists"] == "list.csv"


def test_images_that_no_list_names_are_told(tmp_path: Path) -> None:
    root = folder(folder(tmp_path, "train/images/*.png", "train/masks/*.png"), "val/images/*.png", "val/masks/*.png")
    (root / "train.csv").write_text(
        "image,mask\n" + "".join(f"train/images/{n}.png,train/masks/{n}.png\n" for n in "ab")
    )
    (remark,) = open_dataset(root).remarks
    assert remark.found.startswith("4 without: train/images/c.png, val/images/a.png, ")
    assert remark.fix.startswith("add them to train.csv")

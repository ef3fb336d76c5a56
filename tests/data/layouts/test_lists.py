"""Lists of images and labels, as CSV or text."""

from __future__ import annotations

from pathlib import Path

import pytest

from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.errors import FileError
from tests.data.layouts.test_tree import folder, pairs

AB = {"a": (["x/a.png"], "y/a9.png"), "b": (["x/b.png"], "y/b9.png")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "image,mask\nx/a.png,y/a9.png\nx/b.png,y/b9.png\n"),
        ("list.csv", "id;label_path;filename\n1;y/a9.png;x/a.png\n2;y/b9.png;x/b.png\n"),
        ("list.tsv", "img\tgt\nx/a.png\ty/a9.png\nx/b.png\ty/b9.png"),
        ("list.txt", "x/a.png y/a9.png\n\n# a comment\nx/b.png   y/b9.png\n"),
        ("pairs.lst", "x/a.png, y/a9.png\nx/b.png, y/b9.png\n"),
    ],
)
def test_pairs_are_those_of_the_list(name: str, text: str, tmp_path: Path) -> None:
    root = folder(tmp_path, "x/*.png", "y/*9.png")
    (root / name).write_text(text)
    (root / "notes.txt").write_text("taken in May\n")
    dataset = open_dataset(root)
    assert pairs(dataset) == AB
    assert dataset.told["lists"] == name
    assert not dataset.splits


def test_a_list_for_each_split(tmp_path: Path) -> None:
    root = folder(tmp_path, "x/*.png", "y/*9.png")
    (root / "train.txt").write_text("x/a.png y/a9.png\nx/c.png y/c9.png\n")
    (root / "val.csv").write_text("image,mask\nx/b.png,y/b9.png\n")
    (root / "all.txt").write_text("".join(f"x/{name}.png y/{name}9.png\n" for name in "abc"))
    assert open_dataset(root).splits == {"train": ("a", "c"), "val": ("b",)}
    check(root, write=True)
    assert open_dataset(root).layout == "listed"
    assert open_dataset(root).splits == {"train": ("a", "c"), "val": ("b",)}


def test_a_column_of_splits(tmp_path: Path) -> None:
    root = folder(tmp_path, "x/*.png", "y/*9.png")
    lines = [
        "split,image,mask",
        *(f"{s},x/{n}.png,y/{n}9.png" for n, s in {"a": "train", "b": "valid", "c": "test"}.items()),
    ]
    (root / "list.csv").write_text("\n".join(lines))
    assert open_dataset(root).splits == {"train": ("a",), "val": ("b",), "test": ("c",)}


def test_a_column_that_tells_no_split_is_none(tmp_path: Path) -> None:
    root = folder(tmp_path, "x/*.png", "y/*9.png")
    (root / "list.csv").write_text("image,mask,part\nx/a.png,y/a9.png,liver\nx/b.png,y/b9.png,\n")
    assert (pairs(open_dataset(root)), open_dataset(root).splits) == (AB, {})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/SegNet/data/x/a.png /SegNet/data/y/a9.png", "/SegNet/data/x/b.png /SegNet/data/y/b9.png"),
        ("C:\\data\\x\\a.png,C:\\data\\y\\a9.png", "x\\b.png,y\\b9.png"),
    ],
)
def test_paths_of_another_machine_are_found_by_their_ends(first: str, second: str, tmp_path: Path) -> None:
    root = folder(tmp_path, "x/*.png", "y/*9.png")
    (root / "pairs.txt").write_text(f"{first}\n{second}\n")
    assert pairs(open_dataset(root)) == AB


def test_absolute_paths_are_those_of_a_folder_given_relatively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path / "data", "x/*.png", "y/*9.png")
    (root / "list.csv").write_text("image,mask\n" + "".join(f"{root}/x/{n}.png,{root}/y/{n}9.png\n" for n in "ab"))
    monkeypatch.chdir(tmp_path)
    assert pairs(open_dataset(Path("data"))) == AB


def test_files_may_lie_outside_the_folder(tmp_path: Path) -> None:
    elsewhere = folder(tmp_path / "elsewhere", "x/*.png", "y/*9.png")
    (root := tmp_path / "data").mkdir()
    lines = "".join(f"{elsewhere}/x/{n}.png,{elsewhere}/y/{n}9.png\n" for n in "ab")
    (root / "list.csv").write_text(f"image,mask\n{lines}")
    dataset = open_dataset(root)
    assert [case.name for case in dataset.cases] == ["a", "b"]
    assert dataset.told["images"] == f"{elsewhere}/x (2 files)"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("README.txt", "Aufgenommen in Zürich\n".encode("latin-1")),
        ("train.csv", f"id,image,rle\na,a.png,{'1 2 ' * 60000}\n".encode()),
        ("rle.csv", f"image,mask\nx/a.png,{'1 2 ' * 60000}\n".encode()),
        ("meta.csv", b"image,label\na.png,cat\nb.png,dog\n"),
        ("age.csv", b"image,label\na.png,0.5\n"),
        ("reports.csv", b"images/a.png,reports/a.txt\nimages/b.png,reports/b.txt\n"),
        ("captions.csv", b"images/a.png,somewhere/a.json\n"),
    ],
)
def test_other_texts_beside_the_data_are_passed_over(name: str, content: bytes, tmp_path: Path) -> None:
    root = folder(tmp_path, "images/*.png", "masks/*.png")
    (root / name).write_bytes(content)
    (root / "reports").mkdir()
    (root / "reports" / "a.txt").write_text("Nothing to be seen.")
    assert "lists" not in open_dataset(root).told


def test_of_several_columns_of_images_that_with_files_counts(tmp_path: Path) -> None:
    """As DeepGlobe's metadata.csv has them, with lines without a mask."""
    root = folder(tmp_path, "x/*.png", "y/*9.png")
    pairs = "3,valid,x/c.png,\n1,train,x/a.png,y/a9.png\n2,train,x/b.png,y/b9.png\n"
    (root / "metadata.csv").write_text(f"image_id,split,sat_image_path,mask_path\n{pairs}")
    dataset = open_dataset(root)
    assert [case.name for case in dataset.cases] == ["a", "b"]
    assert [remark.found for remark in dataset.remarks] == ["1 line without, which is left out"]


def test_images_of_one_name_have_their_folders_before_it(tmp_path: Path) -> None:
    root = folder(folder(tmp_path, "p/*.png", "m/p*.png", ("1",)), "q/*.png", "m/q*.png", ("1",))
    (root / "list.csv").write_text("image,mask\np/1.png,m/p1.png\nq/1.png,m/q1.png\n")
    assert [case.name for case in open_dataset(root).cases] == ["p-1", "q-1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,mask\nx/a.png,y/a9.png\nx/z.png,y/a9.png\n", "file 'x/z.png' of line 3, found nothing there"),
        ("image,mask\nx/a.png,y/a9.xyz\n", "file 'y/a9.xyz' of line 2, found no image or label"),
        ("image,mask\nx/a.png\n", "an image and a label in line 2"),
        (
            f"image,mask,rle\nx/a.png,y/a9.png,{'1 2 ' * 50_000}\n",
            "a list of images and labels, found field larger than",
        ),
        (
            "image,mask\n/gone/x/a.png,y/a9.png\n/gone/x/z.png,y/a9.png\n",
            "file '/gone/x/z.png' of line 3, found nothing",
        ),
        ("image,mask,split\nx/a.png,y/a9.png,train\nx/b.png,y/b9.png,holdout\n", "split of line 3, found 'holdout'"),
        ("image,mask,split\nx/a.png,y/a9.png\nx/b.png,y/b9.png,train\n", "split of line 2, found ''"),
        ("image,mask\nx/a.png,y/a9.png\nx/a.png,y/a9.png\n", "one case named 'x-a'"),
    ],
)
def test_a_wrong_line_is_named(text: str, words: str, tmp_path: Path) -> None:
    root = folder(tmp_path, "x/*.png", "y/*9.png")
    (root / "list.csv").write_text(text)
    with pytest.raises(FileError, match=words):
        open_dataset(root)

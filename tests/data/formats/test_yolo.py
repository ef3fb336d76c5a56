"""YOLO's outlines: fractions of the picture, classes by number, names in the data set's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import find_label_format, read_case
from samtailor.data.formats.picture import PictureGeometry
from samtailor.data.formats.yolo import YoloFormat
from samtailor.errors import FileError
from samtailor.labels import LabelSpace

SIZE = (10, 20)
LABELS = LabelSpace.from_names(("background", "cat", "dog", "cow"))
SQUARE = "2 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6"  # x from 2 to 10, y from 2 to 6
CORNER = "0 0 0 .25 0 .25 5e-1 0 0.5"


def folder(root: Path, images: str, labels: str, *texts: str) -> Path:
    """Pictures 0, 1, ... with these annotations, at these places."""
    for number, text in enumerate(texts):
        for place in (images, labels):
            (root / place).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / images / f"{number}.jpg")
        (root / labels / f"{number}.txt").write_text(text)
    return root


def drawn(path: Path) -> np.ndarray:
    ids, _ = YoloFormat().read_ids(path, LABELS, PictureGeometry(SIZE))
    return ids[0]


def test_polygons_are_drawn_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{SQUARE}\n\n{CORNER}\n")
    expected = np.zeros(SIZE, int)
    expected[2:6, 2:10] = 3
    expected[:5, :5] = 1
    np.testing.assert_array_equal(drawn(path), expected)


@pytest.mark.parametrize(
    ("images", "labels"), [("images/train2017", "labels/train2017"), ("train/images", "train/labels"), ("", "")]
)
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data.yaml", "path: .\ntrain: images/train\nnc: 3\nnames: ['cat', 'dog', 'cow']\n"),
        ("my data.yml", "names:\n  0: cat\n  2: cow\n"),
        ("classes.txt", "cat\ndog\ncow\n"),
        ("beside the labels/classes.txt", "cat\ndog\ncow\n"),
        (None, ""),
    ],
)
def test_names_are_the_data_sets(images: str, labels: str, file: str | None, text: str, tmp_path: Path) -> None:
    root = folder(tmp_path, images, labels, SQUARE, CORNER, f"{CORNER}\n{SQUARE}", "")
    (root / "other.yaml").write_text("- a list\n")
    if file:
        (root / file.replace("beside the labels", labels or ".")).write_text(text)
    dataset = open_dataset(root)
    names = ("background", "cat", "cow") if file else ("background", "class 1", "class 3")
    assert (dataset.labels.names, dataset.labels.ids) == (names, (0, 1, 3))
    assert len(dataset.cases) == 4
    found = [read_case(case, dataset.labels).label for case in dataset.cases]
    assert [np.unique(label).tolist() for label in found] == [[0, 2], [0, 1], [0, 1, 2], [0]]
    assert not dataset.remarks
    assert not check(root).errors


def test_names_of_other_data_sets_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "coco.yaml").write_text("names: [person, bicycle, car]\n")
    flat = folder(tmp_path / "flat", "", "", SQUARE, CORNER)
    assert open_dataset(flat).labels.names == ("background", "class 1", "class 3")
    mine = folder(tmp_path / "mine", "images/train", "labels/train", SQUARE, CORNER)
    assert open_dataset(mine).labels.names == ("background", "class 1", "class 3")


def test_the_dataset_json_of_it_says_the_same(tmp_path: Path) -> None:
    root = folder(tmp_path, "images", "labels", *[SQUARE] * 5)
    before = open_dataset(root).with_default_split().fingerprint()
    assert not check(root, write=True).errors
    assert open_dataset(root).layout == "listed"
    assert open_dataset(root).fingerprint() == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1 0.5 0.5 0.2 0.2", "in line 2, found a box; draw outlines"),
        ("1 0.5 0.5 0.2 0.2 0.1", "in line 2, found a polygon of 2.5 points"),
        ("1 10 20 10 30 15 40", "in line 2, found '1 10 20 10 30 15 40'"),
        ("1 0.1 nan 0.1 0.3 0.2 0.4", "in line 2"),
        ("-1 0.1 0.2 0.1 0.3 0.2 0.4", "in line 2"),
        ("cat 0.1 0.2 0.1 0.3 0.2 0.4", "in line 2"),
        ("1 0.1 0.2", "the outline of object 2, found a polygon of 1 points"),
    ],
)
def test_what_is_no_outline_is_refused_with_its_line(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{SQUARE}\n{line}\n")
    with pytest.raises(FileError) as error:
        drawn(path)
    assert words in str(error.value)


def test_boxes_alone_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, "images", "labels", *["0 0.5 0.5 0.2 0.2"] * 3)
    with pytest.raises(FileError, match="found a box; draw outlines: from boxes no segmentation can be learnt"):
        open_dataset(root)


def test_other_texts_are_none_of_it(tmp_path: Path) -> None:
    for name, text in {
        "notes.txt": "1 of 3",
        "list.txt": "a.png b.png\n",
        "numbers.txt": "1 2 3\n",
        "README.txt": "",
    }.items():
        (tmp_path / name).write_text(text)
        assert find_label_format(tmp_path / name) is None, name
    (tmp_path / "a.txt").write_text(SQUARE)
    assert isinstance(find_label_format(tmp_path / "README.txt"), YoloFormat)  # of a picture without objects, perhaps
    assert isinstance(find_label_format(tmp_path / "missing.txt"), YoloFormat)

"""LabelMe's JSON: shapes are drawn as they were, and called by their names."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import find_label_format, read_case
from samtailor.data.formats.labelme import LabelMeFormat
from samtailor.errors import FileError
from samtailor.labels import IGNORE, LabelSpace
from tests import generate

SIZE = (12, 16)
LABELS = LabelSpace(("background", "cat", "dog"), (0, 5, 7), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


def shape(label: str, points: list[list[float]], kind: str | None = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "flags": {}, **more} | (
        {"shape_type": kind} if kind else {}
    )


def write(path: Path, *shapes: dict[str, Any], size: tuple[int, int] | None = SIZE, picture: bool = True) -> Path:
    """LabelMe's file, and its picture beside it."""
    if picture:
        pixels = np.random.default_rng(len(path.stem)).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path.with_suffix(".png"))
    sides = {} if size is None else {"imageHeight": size[0], "imageWidth": size[1]}
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{path.stem}.png", "imageData": None}
    generate.write_json(path, content | sides)
    return path


def packed(mask: np.ndarray[Any, Any]) -> str:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def drawn(path: Path, labels: LabelSpace = LABELS) -> np.ndarray[Any, Any]:
    from samtailor.data.formats.picture import PictureGeometry

    ids, geometry = LabelMeFormat().read_ids(path, labels, PictureGeometry(SIZE))
    assert geometry.shape == (1, *SIZE)
    return np.asarray(ids[0])


def box(top: int, bottom: int, left: int, right: int, value: int = 5) -> np.ndarray[Any, Any]:
    expected = np.zeros(SIZE, int)
    expected[top:bottom, left:right] = value
    return expected


ROUND = {(y, x) for y in range(12) for x in range(16) if (y + 0.5 - 6) ** 2 + (x + 0.5 - 7) ** 2 < 9}


class TestShapes:
    @pytest.mark.parametrize("kind", ["polygon", "rotation", "rectangle", None])
    def test_of_four_corners(self, kind: str | None, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", shape("cat", [[2, 1], [6, 1], [6, 4], [2, 4]], kind))
        np.testing.assert_array_equal(drawn(path), box(1, 4, 2, 6))

    def test_a_rectangle_of_two(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", shape("cat", [[6, 4], [2, 1]], "rectangle"))
        np.testing.assert_array_equal(drawn(path), box(1, 4, 2, 6))

    def test_a_circle_by_its_centre_and_a_point_of_its_rim(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", shape("dog", [[7, 6], [7, 9]], "circle"))
        found = drawn(path)
        assert {(int(y), int(x)) for y, x in np.argwhere(found == 7)} == ROUND

    def test_a_mask(self, tmp_path: Path) -> None:
        inside = np.eye(3, 4, dtype=bool)
        path = write(tmp_path / "a.json", shape("cat", [[10, 5], [13, 7]], "mask", mask=packed(inside)))
        expected = np.zeros(SIZE, int)
        expected[5:8, 10:14] = 5 * inside
        np.testing.assert_array_equal(drawn(path), expected)

    def test_of_several_the_last_counts_and_the_background_is_one(self, tmp_path: Path) -> None:
        corners = [[0, 0], [16, 0], [16, 12], [0, 12]]
        path = write(
            tmp_path / "a.json",
            shape("cat", corners),
            shape("dog", [[2, 1], [6, 4]], "rectangle"),
            shape("_background_", [[8, 0], [16, 12]], "rectangle"),
        )
        expected = box(0, 12, 0, 8) + box(1, 4, 2, 6, 2)
        np.testing.assert_array_equal(drawn(path), expected)

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (shape("cat", [[1, 1], [2, 2]], "line"), "an area as shape 2, 'cat', found a line"),
            (shape("cat", [[1, 1]], "point"), "found a point"),
            (shape("cat", [[1, 1], [2, 2]]), "found a polygon of 2 points"),
            (shape("cat", [[1, 1], ["x", 2]]), "an area as shape 2"),
            (shape("cat", [[12, 5], [15, 7]], "mask", mask=packed(np.ones((3, 5), bool))), "a mask of 3 x 5 pixels"),
            (shape("cat", [[12, 5], [15, 7]], "mask", mask="nothing"), "an area as shape 2"),
            (shape("cat", [[12, 5], [15, 7]], "mask"), "no 'mask'"),
            (shape("horse", [[1, 1], [3, 1], [3, 3]]), "shapes of the classes background, cat, dog, found 'horse'"),
            (shape("__ignore__", [[1, 1], [3, 1], [3, 3]]), "'__ignore__'; write an \"ignore_index\""),
        ],
    )
    def test_what_has_no_area_or_class_is_refused(self, wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", shape("cat", [[2, 1], [6, 1], [6, 4]]), wrong)
        with pytest.raises(FileError) as error:
            drawn(path)
        assert words in str(error.value)
        assert error.value.file.endswith("a.json")


def test_classes_are_the_names_that_occur(tmp_path: Path) -> None:
    corners = [[2, 1], [6, 1], [6, 4], [2, 4]]
    write(tmp_path / "a.json", shape("dog", corners), shape("__ignore__", [[8, 0], [16, 12]], "rectangle"))
    write(tmp_path / "bb.json", shape("cat", corners), shape("_background_", [[8, 0], [16, 12]], "rectangle"))
    write(tmp_path / "ccc.json")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.labels) == ("inferred", LabelSpace.from_names(("background", "cat", "dog"), 3))
    labels = {case.name: read_case(case, dataset.labels).label for case in dataset.cases}
    counts = {name: np.unique(label, return_counts=True) for name, label in labels.items()}
    assert {name: dict(zip(*map(np.ndarray.tolist, found), strict=True)) for name, found in counts.items()} == {
        "a": {IGNORE: 96, 0: 84, 2: 12},
        "bb": {0: 180, 1: 12},
        "ccc": {0: 192},
    }
    assert "the names of the outlines" in check(tmp_path).facts["classes"]


def test_the_dataset_json_of_it_says_the_same(tmp_path: Path) -> None:
    for name in "abcde":
        write(tmp_path / f"{name}.json", shape("cat", [[2, 1], [6, 1], [6, 4], [2, 4]]))
    before = open_dataset(tmp_path).with_default_split()
    assert not check(tmp_path, write=True).errors
    after = open_dataset(tmp_path)
    assert (after.layout, after.labels, after.cases) == ("listed", before.labels, before.cases)
    assert after.fingerprint() == before.fingerprint()


def test_outlines_with_names_do_not_mix_with_those_of_numbers(tmp_path: Path) -> None:
    write(tmp_path / "a.json", shape("cat", [[2, 1], [6, 1], [6, 4], [2, 4]]))
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "b.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5")
    with pytest.raises(FileError, match=r"b\.txt.*outlines with names of classes, as in a\.json, found numbers"):
        open_dataset(tmp_path)


def test_nothing_that_is_marked_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.json")
    with pytest.raises(FileError, match="outlines of objects, found none; mark"):
        open_dataset(tmp_path)


def test_another_size_and_a_cut_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="annotations of an image of 12 x 16 pixels, found those of one of 16 x 12"):
        drawn(write(tmp_path / "a.json", size=(16, 12)))
    assert not drawn(write(tmp_path / "a.json", size=None)).any()
    path = write(tmp_path / "a.json", shape("cat", []))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(FileError, match=r"a\.json: expected a JSON file with an object"):
        drawn(path)
    path.write_text(json.dumps({"shapes": [{"points": []}]}))
    with pytest.raises(FileError, match="LabelMe's shapes, each with a label, found no 'label'"):
        LabelMeFormat().content(path)
    with pytest.raises(FileError, match="on whose grid"):
        LabelMeFormat().read_ids(path, LABELS)


@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_a_shape_without_a_name_is_a_finding_of_its_file(name: str, tmp_path: Path) -> None:
    corners = [[2, 1], [6, 1], [6, 4], [2, 4]]
    for index, label in enumerate((name, "cat", "cat", "cat")):
        write(tmp_path / f"{index}.json", shape(label, corners))
    (error,) = check(tmp_path).errors
    assert error.file.endswith("0.json")
    assert error.expected == "a name that can be shown for each shape"


def test_other_json_is_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"annotations": []}')
    assert find_label_format(tmp_path / "a.json") is None
    (tmp_path / "folder.json").mkdir()
    assert find_label_format(tmp_path / "folder.json") is None
    assert isinstance(find_label_format(tmp_path / "missing.json"), LabelMeFormat)
    file = write(tmp_path / "b.json", picture=False)
    assert isinstance(find_label_format(file), LabelMeFormat)
    keys_in_order = dict(sorted((json.loads(file.read_text()) | {"imageData": "A" * 10_000}).items()))
    file.write_text(json.dumps(keys_in_order))
    assert isinstance(find_label_format(file), LabelMeFormat)

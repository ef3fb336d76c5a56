"""Annotations in COCO's JSON: polygons and run lengths, found with their images and drawn on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samtailor.data.cache import prepare_case
from samtailor.data.case import CaseFiles
from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import label_format_of, read_case
from samtailor.data.formats.coco import mask_of
from samtailor.errors import DataError, FileError
from samtailor.evaluation.cases import grid_of
from tests import generate

SIZE = (8, 10)
SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]  # x from 2 to 6, y from 1 to 4
INSIDE = np.zeros(SIZE, np.bool_)
INSIDE[1:4, 2:6] = True


def runs(mask: np.ndarray[Any, Any]) -> list[int]:
    """Run lengths of a mask, column by column."""
    flat = np.concatenate([[False], mask.T.ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff([0, *edges, mask.size]).tolist()


def packed(counts: list[int]) -> str:
    """Run lengths as COCO's text: `rleToString` of its API."""
    text = ""
    for index, count in enumerate(counts):
        value = count - (counts[index - 2] if index > 2 else 0)
        more = True
        while more:
            group, value = value & 31, value >> 5
            more = value != (-1 if group & 16 else 0)
            text += chr((group | 32 * more) + 48)
    return text


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_are_masks_whether_packed_or_not(seed: int) -> None:
    mask = np.random.default_rng(seed).random((40, 300)) < 0.02
    mask[:, 100 * (seed % 2) : 150] = True
    for counts in (runs(mask), packed(runs(mask))):
        np.testing.assert_array_equal(mask_of({"size": [40, 300], "counts": counts}, (40, 300)), mask)


def test_a_text_of_cocos_own_is_read() -> None:
    # pycocotools: encode(np.asfortranarray(mask))["counts"], of a mask of 8 x 10 that is INSIDE
    np.testing.assert_array_equal(mask_of({"size": [8, 10], "counts": "a03500000o0"}, SIZE), INSIDE)


def test_polygons_hold_the_pixels_whose_centres_they_contain() -> None:
    np.testing.assert_array_equal(mask_of([SQUARE], SIZE), INSIDE)
    both = mask_of([SQUARE, [0, 6, 1, 6, 1, 8, 0, 8]], SIZE)
    np.testing.assert_array_equal(np.argwhere(both & ~INSIDE), [[6, 0], [7, 0]])


@pytest.mark.parametrize(
    "segmentation",
    [None, [], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [["a"] * 6], [[0, 0, 1, float("nan"), 2, 2]], 7]
    + [{"size": [8, 10], "counts": counts} for counts in ([79], [100, -20], "", "a03500000", "~~", [[80]])]
    + [{"size": [10, 8], "counts": [80]}, {"size": [8, 10]}],
)
def test_damaged_segmentations_are_refused(segmentation: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        mask_of(segmentation, SIZE)


def coco(first: int = 1, images: tuple[int, ...] = (1, 2)) -> dict[str, Any]:
    """A square of the first category on every image, and on it a smaller one of the third; the second is unused."""
    small = {"size": list(SIZE), "counts": [8 * 3 + 2, 1, 80 - 27]}  # row 2, column 3
    objects = [(number, kind, what) for number in images for kind, what in ((first, [SQUARE]), (first + 2, small))]
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "height": SIZE[0], "width": SIZE[1]} for n in images],
        "annotations": [
            {"id": i, "image_id": n, "category_id": kind, "segmentation": what}
            for i, (n, kind, what) in enumerate(objects)
        ],
        "categories": [{"id": first + i, "name": name} for i, name in enumerate(("house", "unused", "door"))],
    }


def pictures(folder: Path, *numbers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def test_names_may_have_folders_as_windows_writes_them(tmp_path: Path) -> None:
    pictures(tmp_path / "images", 1, 2)
    content = coco()
    for image in content["images"]:
        image["file_name"] = f"images\\{image['file_name']}"
    generate.write_json(tmp_path / "all.json", content)
    assert [case.name for case in open_dataset(tmp_path).cases] == ["1", "2"]


def test_a_folder_of_images_and_annotations_is_a_data_set(tmp_path: Path) -> None:
    pictures(tmp_path / "images", 1, 2, 3)
    generate.write_json(tmp_path / "annotations" / "all.json", coco(images=(1, 2, 4)))
    dataset = open_dataset(tmp_path)
    assert (dataset.labels.names, dataset.labels.ids) == (("background", "house", "door"), (0, 1, 3))
    assert [case.name for case in dataset.cases] == ["1", "2"]
    assert "1 missing: 4.png" in str(dataset.remarks[0])
    label = read_case(dataset.cases[0], dataset.labels).label
    assert label is not None
    expected = INSIDE.astype(int)
    expected[2, 3] = 2
    np.testing.assert_array_equal(label[0], expected)
    report = check(tmp_path)
    assert "COCO annotations in annotations/all.json" in report.facts["labels"]
    assert report.cases[0].voxels == {"background": 68, "house": 11, "door": 1}


def test_every_part_of_the_library_reads_such_labels(tmp_path: Path) -> None:
    pictures(tmp_path, *range(1, 6))
    generate.write_json(tmp_path / "labels.json", coco(images=tuple(range(1, 6))))
    dataset = open_dataset(tmp_path).with_default_split()
    assert {name: len(part) for name, part in dataset.splits.items()} == {"train": 3, "val": 1, "test": 1}
    assert grid_of(dataset.cases[0]) is not None
    check(tmp_path, write=True)
    listed = open_dataset(tmp_path)
    assert (listed.layout, listed.cases, listed.labels) == ("listed", dataset.cases, dataset.labels)
    assert listed.fingerprint() == dataset.fingerprint()


def test_what_is_marked_on_one_image_is_what_its_cache_depends_on(tmp_path: Path) -> None:
    from samtailor.data.cache import SliceCache
    from samtailor.data.intensity import Range
    from samtailor.data.preprocessing import Preprocessing

    pictures(tmp_path, 1, 2)
    content = coco()
    generate.write_json(tmp_path / "labels.json", content)
    dataset = open_dataset(tmp_path)
    cache = SliceCache(dataset.labels, Preprocessing(Range(0, 255), 64, None, 3), tmp_path / "cache")
    before = [cache.load(case).key for case in dataset.cases]
    content["annotations"][0]["segmentation"] = [[0, 0, 5, 0, 5, 5]]
    generate.write_json(tmp_path / "labels.json", content)
    after = [cache.load(case).key for case in dataset.cases]
    assert before[0] != after[0]
    assert before[1] == after[1]
    assert prepare_case(dataset.cases[0], dataset.labels, cache.preprocessing).label is not None


def test_splits_are_those_of_the_files_and_a_category_0_moves_all(tmp_path: Path) -> None:
    for split, numbers in (("train", (1, 2)), ("valid", (3,))):
        pictures(tmp_path / split, *numbers)
        generate.write_json(tmp_path / split / "_annotations.coco.json", coco(0, numbers))
    dataset = open_dataset(tmp_path)
    assert dataset.splits == {"train": ("1", "2"), "val": ("3",)}
    assert (dataset.labels.names, dataset.labels.ids) == (("background", "house", "door"), (0, 1, 3))


def test_images_of_one_name_are_those_of_the_split(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        pictures(tmp_path / "images" / split, 1)
        generate.write_json(tmp_path / "annotations" / f"instances_{split}.json", coco(images=(1,)))
    dataset = open_dataset(tmp_path)
    assert dataset.splits == {"train": ("train2017-1",), "val": ("val2017-1",)}
    assert [case.images[0].parent.name for case in dataset.cases] == ["train2017", "val2017"]


def test_annotations_of_joints_beside_those_of_objects_are_passed_over(tmp_path: Path) -> None:
    pictures(tmp_path / "images", 1, 2)
    people = coco()
    people["categories"] = [{"id": n, "name": name, "keypoints": ["nose"]} for n, name in ((1, "man"), (3, "child"))]
    generate.write_json(tmp_path / "annotations" / "person_keypoints_train.json", people)
    assert open_dataset(tmp_path).labels.names == ("background", "man", "child")
    generate.write_json(tmp_path / "annotations" / "instances_train.json", coco())
    dataset = open_dataset(tmp_path)
    assert dataset.labels.names == ("background", "house", "door")
    assert "annotations/instances_train.json" in dataset.told["labels"]


def test_joints_of_other_images_and_none_at_all_are_objects(tmp_path: Path) -> None:
    for split, numbers, keypoints in (("train", (1, 2, 3), []), ("val", (4,), None), ("test", (5,), ["nose"])):
        pictures(tmp_path / split, *numbers)
        content = coco(images=numbers)
        if keypoints is not None:
            content["categories"] = [category | {"keypoints": keypoints} for category in content["categories"]]
        generate.write_json(tmp_path / split / "annotations.json", content)
    assert open_dataset(tmp_path).splits == {"train": ("1", "2", "3"), "val": ("4",), "test": ("5",)}


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no such category": (lambda c: c["annotations"][0].update(category_id=9), "one of category 9"),
    "no such image": (lambda c: c["annotations"][0].update(image_id=9), "none with the id 9"),
    "no size": (lambda c: c["images"][0].pop("height"), "no 'height'"),
    "two names": (lambda c: c["categories"][2].update(name="house"), "'house' twice"),
    "nothing marked": (lambda c: c["annotations"].clear(), "annotations of objects, found none"),
    "no images": (
        lambda c: c["images"][0].update(file_name="z.png") or c["images"].pop(),
        "an image for each|images that",
    ),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_wrong_annotations_are_refused(change: Callable[[dict[str, Any]], object], words: str, tmp_path: Path) -> None:
    pictures(tmp_path, 1, 2)
    content = coco()
    change(content)
    generate.write_json(tmp_path / "labels.json", content)
    with pytest.raises(FileError, match=words) as error:
        open_dataset(tmp_path)
    assert error.value.file.endswith("labels.json")


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    pictures(tmp_path, 1, 2)
    (tmp_path / "labels.json").write_text(json.dumps(coco())[:-20])
    with pytest.raises(FileError, match=r"labels\.json: expected COCO annotations"):
        open_dataset(tmp_path)


def test_a_wrong_object_and_another_size_are_findings_of_their_case(tmp_path: Path) -> None:
    pictures(tmp_path, 1, 2)
    content = coco()
    content["annotations"][0]["segmentation"] = [[1, 2]]
    content["images"][1]["width"] = 11
    generate.write_json(tmp_path / "labels.json", content)
    errors = {Path(finding.file).stem: str(finding) for finding in check(tmp_path).errors}
    assert "a segmentation of annotation 0 on 1.png, found a polygon of 1 points" in errors["1"]
    assert "annotations of an image of 8 x 10 pixels" in errors["2"]


def test_a_label_without_its_image_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path, 1)
    generate.write_json(tmp_path / "labels.json", coco(images=(1,)))
    dataset = open_dataset(tmp_path)
    label = tmp_path / "labels.json" / "7.coco"
    with pytest.raises(DataError, match="an image with the id 7"):
        read_case(CaseFiles("7", dataset.cases[0].images, label), dataset.labels)
    with pytest.raises(FileError, match="on whose grid"):
        label_format_of(label).read_ids(tmp_path / "labels.json" / "1.coco", dataset.labels)

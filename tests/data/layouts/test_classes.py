"""Which classes there are, by what labels hold: ids, gray levels, palettes, colours."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samtailor.data.check import check
from samtailor.data.dataset import open_dataset
from samtailor.data.formats import format_of, read_case
from samtailor.errors import DataError, FileError
from samtailor.evaluation.cases import check_classes
from samtailor.labels import IGNORE, LabelSpace
from tests import generate
from tests.data.formats.test_geotiff import write

SHOWN = np.arange(30 * 40).reshape(30, 40) // 100  # 0 to 11 in stripes
SOFT = np.where(SHOWN < 5, 0, 255).astype(np.uint8)
SOFT[:, 5:25] = np.linspace(0, 255, 20)
COLOURS = {"a": [(0, 0, 200), (255, 0, 0)], "b": [(255, 0, 0), (0, 255, 0)]}
VOC = {0: (0, 0, 0), 1: (128, 0, 0), 3: (128, 128, 0), 255: (224, 224, 192)}


def folder(root: Path, *masks: Any) -> Path:
    """Pictures with these masks: arrays, or images."""
    for index, mask in enumerate(masks):
        image = mask if isinstance(mask, Image.Image) else Image.fromarray(np.asarray(mask))
        pixels = np.random.default_rng(index).integers(0, 255, (*image.size[::-1], 3), dtype=np.uint8)
        for name, one in (("images", Image.fromarray(pixels)), ("masks", image)):
            (root / name).mkdir(parents=True, exist_ok=True)
            one.save(root / name / f"{index}.png")
    return root


def ids(*values: int, dtype: type = np.uint8) -> np.ndarray[Any, Any]:
    """A mask in stripes of these numbers."""
    return np.array(values)[SHOWN % len(values)].astype(dtype)


def paletted(colours: dict[int, tuple[int, int, int]]) -> Image.Image:
    """A mask in stripes of all indices of a palette."""
    image = Image.fromarray(ids(*colours))
    palette = np.zeros((256, 3), np.uint8)
    palette[list(colours)] = list(colours.values())
    image.putpalette(palette.tobytes())
    return image


def coloured(*colours: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    return np.array(colours, np.uint8)[SHOWN % len(colours)]


def jpeg(mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What JPEG makes of a mask."""
    buffer = BytesIO()
    Image.fromarray(mask).save(buffer, "JPEG", quality=85)
    return np.asarray(Image.open(buffer))


def resized(mask: np.ndarray[Any, Any], size: tuple[int, int]) -> np.ndarray[Any, Any]:
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR))


def blocks_of(*values: Any) -> np.ndarray[Any, Any]:
    """A mask of black with a block of each value."""
    mask = np.zeros((30, 40, *np.shape(values[0])), np.uint8)
    for index, value in enumerate(values):
        mask[4:26, 3 + 12 * index : 13 + 12 * index] = value
    return mask


def classes(labels: LabelSpace) -> tuple[tuple[str, ...], tuple[int, ...], int | None]:
    return labels.names, labels.ids, labels.ignore_id


def names(*numbers: int) -> tuple[str, ...]:
    return "background", *(f"class {number}" for number in numbers)


ONE = names(1)
RARE_LEVELS = (0, 90, 131, 200, 255)
SCARCE = np.append(ids(0, 255), np.resize(RARE_LEVELS, (1, 40)).astype(np.uint8), axis=0)
RARE_STEPS = np.append(ids(0, 240), np.resize(range(0, 240, 12), (1, 40)).astype(np.uint8), axis=0)


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([ids(0, 255)], (ONE, (0, 255), None)),
        ([ids(0, 255), ids(0)], (ONE, (0, 255), None)),
        ([ids(0, 1)], (ONE, (0, 1), None)),
        ([ids(0, 1).astype(bool)], (ONE, (0, 1), None)),
        ([ids(0, 1).astype(bool), ids(0, 255)], (ONE, (0, 255), None)),
        ([ids(0, 2), ids(1)], (("background", "class 1", "class 2"), (0, 1, 2), None)),
        ([ids(0, 7, 33)], (("background", "class 7", "class 33"), (0, 7, 33), None)),
        ([ids(1, 2)], (("background", "class 1", "class 2"), (0, 1, 2), None)),
        ([ids(0, 1, 255)], (ONE, (0, 1), 255)),
        ([ids(0, 1, 2, 5, 255)], (("background", "class 1", "class 2", "class 5"), (0, 1, 2, 5), 255)),
        ([ids(0, 127, 255)], (("background", "class 127", "class 255"), (0, 127, 255), None)),
        ([ids(0, 300, dtype=np.uint16)], (ONE, (0, 300), None)),
        ([paletted(VOC)], (("background", "class 1", "class 3"), (0, 1, 3), 255)),
        (
            [paletted({0: (0, 0, 0), 15: (192, 128, 128), 255: (224, 224, 192)})],
            (("background", "class 15"), (0, 15), 255),
        ),
        ([ids(0, 15, 255)], (("background", "class 15", "class 255"), (0, 15, 255), None)),
        ([ids(0, 1), ids(0, 255), ids(0, 1, 255)], (ONE, (0, 1), 255)),
        ([ids(0, 1), ids(0, 255), ids(0, 2)], (("background", "class 1", "class 2"), (0, 1, 2), 255)),
        ([coloured((0, 0, 0), (255, 255, 255))], (ONE, (0, 255), None)),
        ([coloured((0, 0, 0), (255, 255, 255)), ids(0, 255)], (ONE, (0, 255), None)),
        ([coloured((0, 0, 0), (1, 1, 1), (2, 2, 2))], (("background", "class 1", "class 2"), (0, 1, 2), None)),
        ([RARE_STEPS], (names(*range(12, 241, 12)), tuple(range(0, 241, 12)), None)),
        (
            [SCARCE, *[ids(0, 255)] * 3],
            (names(*RARE_LEVELS[1:]), RARE_LEVELS, None),
        ),
    ],
)
def test_ids_and_levels_are_classes(masks: list[Any], expected: Any, tmp_path: Path) -> None:
    root = folder(tmp_path, *masks)
    dataset = open_dataset(root)
    assert classes(dataset.labels) == expected
    for case in dataset.cases:  # what was inferred can be read
        label = read_case(case, dataset.labels).label
        assert label is not None
    assert dataset.labels.threshold is None


def test_what_counts_nowhere_is_ignored(tmp_path: Path) -> None:
    dataset = open_dataset(folder(tmp_path, ids(0, 1, 255)))
    label = read_case(dataset.cases[0], dataset.labels).label
    assert label is not None
    assert set(np.unique(label)) == {IGNORE, 0, 1}
    assert "255 counts nowhere" in dataset.told["classes"]


def test_a_palette_gives_the_colours_of_the_classes(tmp_path: Path) -> None:
    dataset = open_dataset(folder(tmp_path, paletted(VOC), ids(0)))
    assert dataset.labels.palette == ((0, 0, 0), (128, 0, 0), (128, 128, 0))


def test_palettes_that_contradict_each_other_leave_it_to_the_colours(tmp_path: Path) -> None:
    red, blue = (200, 0, 0), (0, 0, 200)
    dataset = open_dataset(
        folder(tmp_path, paletted({0: (0, 0, 0), 1: red}), paletted({0: (0, 0, 0), 1: blue, 2: red}))
    )
    assert dataset.labels.palette == ((0, 0, 0), blue, red)
    first, second = (read_case(case, dataset.labels).label for case in dataset.cases)
    assert first is not None
    assert second is not None
    assert (set(np.unique(first)), set(np.unique(second))) == ({0, 2}, {0, 1, 2})


def test_colours_are_classes_behind_black(tmp_path: Path) -> None:
    white, red = (255, 255, 255), (255, 0, 0)
    dataset = open_dataset(folder(tmp_path, coloured(white, red), coloured(red)))
    assert dataset.labels == LabelSpace(
        ("background", "colour ff0000", "colour ffffff"), (0, 1, 2), ((0, 0, 0), red, white)
    )
    assert "black, the background, occurs nowhere" in dataset.told["classes"]


def test_a_segmenter_of_other_colours_has_other_classes(tmp_path: Path) -> None:
    first, second = (open_dataset(folder(tmp_path / name, coloured(*colours))) for name, colours in COLOURS.items())
    with pytest.raises(
        DataError, match=r"expected the segmenter's .*colour 0000c8, colour ff0000; found .*colour 00ff00"
    ):
        check_classes(second, first.labels)


@pytest.mark.parametrize("soft", [SOFT, resized(blocks_of(255), (80, 60)), jpeg(blocks_of(255))])
def test_soft_edges_are_no_classes(soft: np.ndarray[Any, Any], tmp_path: Path) -> None:
    dataset = open_dataset(folder(tmp_path, soft))
    assert (dataset.labels.names, dataset.labels.threshold) == (ONE, 127)
    assert "above 127 is white" in dataset.remarks[0].found
    label = read_case(dataset.cases[0], dataset.labels).label
    assert label is not None
    np.testing.assert_array_equal(label[0] == 1, soft > 127)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (jpeg(blocks_of(128, 255)), r"3 gray levels \(0, 128, 255\) in 73.*nearest neighbours"),
        (jpeg(blocks_of(85, 170)), r"3 gray levels \(0, 85, 170\)"),
        (resized(blocks_of((255, 0, 0), (0, 128, 0)), (80, 60)), r"3 colours \(.*0, 128, 0.* and \d+ between"),
    ],
)
def test_soft_edges_of_several_classes_are_refused(mask: np.ndarray[Any, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=rf"0\.png: .*{words}"):
        open_dataset(folder(tmp_path, mask))


def test_names_in_the_files_are_kept(tmp_path: Path) -> None:
    root = folder(tmp_path, ids(0, 1), ids(0, 1))
    space = LabelSpace.from_names(("ground", "lake"))
    for mask in (root / "masks").iterdir():
        geometry = format_of(mask).read_header(mask).geometry
        geometry.write_label(mask, ids(0, 1).astype(np.int16)[None], space)
    assert open_dataset(root).labels.names == ("ground", "lake")


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ([ids(0)], "others than 0, found none"),
        (
            [ids(0, 1), ids(0, 255), ids(0), ids(0, 1)],
            r"found 2 of 0 and 1 such as 0\.png and 1 of 0 and 255 such as 1",
        ),
        (
            [np.random.default_rng(0).integers(0, 60000, (30, 40)).astype(np.uint16)],
            "different numbers, up to .*objects",
        ),
        ([np.random.default_rng(0).integers(0, 255, (30, 40, 3)).astype(np.uint8)], "a colour for each class"),
        ([coloured((0, 0, 0), (255, 0, 0)), ids(0, 3)], "a mask of colours like the others, found gray levels"),
    ],
)
def test_what_cannot_be_classes_is_refused_by_name(masks: list[Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=words) as error:
        open_dataset(folder(tmp_path, *masks))
    assert str(tmp_path) in error.value.file


def test_numbers_of_cells_are_no_classes_but_those_of_organs_are(tmp_path: Path) -> None:
    masks = {
        "cells": [ids(*range(count)) for count in (11, 5, 9, 7)],
        "organs": [ids(*range(count)) for count in (11, 10, 8, 11)],
        "some": [ids(*range(11)), ids(0, 2, 3), ids(0, 1), ids(0, 5, 9)],
    }
    for name in masks:
        (tmp_path / name).mkdir()
    with pytest.raises(FileError, match=r"0\.png: .*up to 4 in one and up to 10 .*single objects"):
        open_dataset(folder(tmp_path / "cells", *masks["cells"]))
    for name in ("organs", "some"):
        assert len(open_dataset(folder(tmp_path / name, *masks[name])).labels) == 11


def test_volumes_have_their_ids(tmp_path: Path) -> None:
    hu, labels = generate.volume((12, 10, 4), 0)
    generate.write_volume(tmp_path / "x.nii.gz", hu)
    generate.write_volume(tmp_path / "x_seg.nii.gz", labels * 4)
    assert classes(open_dataset(tmp_path).labels) == (("background", "class 4", "class 8"), (0, 4, 8), None)
    labels[labels > 0] = 250
    labels[0, 0, :3] = 1, 2, 131
    generate.write_volume(tmp_path / "x_seg.nii.gz", labels)
    assert open_dataset(tmp_path).labels.ids == (0, 1, 2, 131, 250)
    generate.write_volume(tmp_path / "x_seg.nii.gz", labels.astype(np.int16) - 1)
    with pytest.raises(FileError, match=r'found -1; if -1 marks what counts nowhere, write .*"ignore": -1'):
        open_dataset(tmp_path)
    generate.write_json(
        tmp_path / "dataset.json", {"labels": {"background": 0, "a": 1, "b": 130, "c": 249, "ignore": -1}}
    )
    assert open_dataset(tmp_path).labels.ignore_id == -1


def test_what_was_inferred_is_told(tmp_path: Path) -> None:
    report = check(folder(tmp_path, ids(0, 255), ids(0, 255), ids(0, 255)))
    assert not report.findings
    text = " ".join(str(report).split())
    for words in ("images (3 files)", "0.png goes with 0.png", "class 1 (255): masks are white on black", "--write"):
        assert words in text


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("int16", (-9999, -9999)),
        ("int8", (-128, -128)),
        ("float32", (-9999, -1)),
        ("float32", (np.nan, np.nan)),
        ("uint8", (15, 255)),
    ],
)
def test_what_each_file_says_is_no_data_is_no_class(dtype: str, nodata: tuple[float, float], tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for index, value in enumerate(nodata):
        mask = np.array([0, 1, value])[SHOWN % 3].astype(dtype)
        write(tmp_path / "images" / f"{index}.tif", np.ones((3, 30, 40), np.uint8))
        write(tmp_path / "masks" / f"{index}.tif", mask[None], nodata=value)
    dataset = open_dataset(tmp_path)
    assert classes(dataset.labels) == (ONE, (0, 1), None)
    told = dataset.told["classes"].endswith("what a file says is no data counts nowhere")
    assert told is np.isfinite(nodata).item(0)  # NaN is no number that could be a class
    for case in dataset.cases:
        label = read_case(case, dataset.labels).label
        assert label is not None
        assert np.array_equal(label[0], ids(0, 1, IGNORE, dtype=np.int16))

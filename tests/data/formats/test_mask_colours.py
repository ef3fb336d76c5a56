"""Masks are read by what they show: ids, palette indices, colours, gray levels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_case, read_geometry
from samtailor.data.formats.picture import PictureFormat
from samtailor.errors import DataError, FileError
from samtailor.labels import LabelSpace

COLOURS = ((0, 0, 0), (255, 0, 0), (0, 0, 255))
STATED = LabelSpace(("background", "red", "blue"), (0, 1, 2), COLOURS, ignore_id=255)
UNSTATED = LabelSpace.from_names(("background", "red", "blue"), ignore_id=255)
IDS = np.random.default_rng(0).integers(0, 3, (5, 7)).astype(np.uint8)


def ids_of(path: Path, labels: LabelSpace = STATED) -> NDArray[Any]:
    return PictureFormat().read_ids(path, labels)[0][0]


def write_indexed(path: Path, indices: NDArray[Any], *colours: tuple[int, int, int]) -> Path:
    """A mask of palette indices."""
    image = Image.fromarray(indices)
    image.putpalette(np.array(colours, np.uint8).tobytes())
    image.save(path)
    return path


class TestIndices:
    """An indexed mask and its palette."""

    @pytest.mark.parametrize("name", ["x.png", "x.tif"])
    @pytest.mark.parametrize("labels", [STATED, UNSTATED], ids=["stated", "unstated"])
    def test_colours_in_another_order_are_the_classes_they_show(
        self, tmp_path: Path, name: str, labels: LabelSpace
    ) -> None:
        black, first, second = labels.palette
        order = np.array([2, 0, 1], np.uint8)  # where each class is in the palette
        path = write_indexed(tmp_path / name, order[IDS], first, second, black)
        np.testing.assert_array_equal(ids_of(path, labels), IDS)

    def test_equal_colours_are_equal_ids(self, tmp_path: Path) -> None:
        shown = Image.fromarray(np.array(COLOURS, np.uint8)[IDS])
        shown.save(tmp_path / "colours.png")
        shown.quantize(3).save(tmp_path / "indexed.png")
        np.testing.assert_array_equal(ids_of(tmp_path / "indexed.png"), ids_of(tmp_path / "colours.png"))

    def test_the_usual_order_is_that_of_the_ids(self, tmp_path: Path) -> None:
        path = write_indexed(tmp_path / "x.png", IDS, *COLOURS)
        np.testing.assert_array_equal(ids_of(path), IDS)

    @pytest.mark.parametrize(
        "palette",
        [
            [(0, 0, 0), (128, 0, 0), (0, 128, 0)],  # another program's
            [(9, 9, 9)] * 3,
            [(0, 0, 0), (100, 100, 100), (200, 200, 200)],
            [(200, 200, 200), (100, 100, 100), (0, 0, 0)],
        ],
    )
    def test_indices_are_ids_where_no_colours_are_stated(self, tmp_path: Path, palette: list[Any]) -> None:
        path = write_indexed(tmp_path / "x.png", IDS, *palette)
        np.testing.assert_array_equal(ids_of(path, UNSTATED), IDS)

    @pytest.mark.parametrize("name", ["x.png", "x.tif"])
    def test_white_on_black_is_so_whichever_index_is_which(self, tmp_path: Path, name: str) -> None:
        mask = (IDS == 1).astype(np.uint8)
        white, black = (255, 255, 255), (0, 0, 0)
        by_number = LabelSpace.from_names(("background", "object"))
        by_level = LabelSpace(by_number.names, (0, 255), by_number.palette)
        for indices, palette in ((mask, (black, white)), (1 - mask, (white, black)), (mask + 1, (black, black, white))):
            path = write_indexed(tmp_path / name, indices, *palette)
            np.testing.assert_array_equal(ids_of(path, by_number), mask)
            np.testing.assert_array_equal(ids_of(path, by_level), 255 * mask)
            content = PictureFormat().content(path)
            assert (content.ids, content.step) == ({0: (mask == 0).sum(), 1: mask.sum()}, 255)
        empty = write_indexed(tmp_path / name, np.ones_like(mask), white, black)
        assert PictureFormat().content(empty).ids == {0: mask.size}
        np.testing.assert_array_equal(ids_of(empty, by_number), 0 * mask)
        stated = LabelSpace(by_number.names, (0, 1), (white, black))
        np.testing.assert_array_equal(ids_of(write_indexed(tmp_path / name, mask, white, black), stated), mask)

    @pytest.mark.parametrize("palette", [[(0, 0, 0)] * 3, [(0, 0, 0), (90, 90, 90), (180, 180, 180)]])
    def test_a_palette_that_tells_no_colours_is_passed_over(self, tmp_path: Path, palette: list[Any]) -> None:
        path = write_indexed(tmp_path / "x.png", IDS, *palette)
        np.testing.assert_array_equal(ids_of(path), IDS)
        path = write_indexed(tmp_path / "y.png", np.full((5, 7), 2, np.uint8), *palette)
        assert np.unique(ids_of(path)).tolist() == [2]

    @pytest.mark.parametrize(
        ("palette", "found"),
        [
            ([(0, 0, 0), (0, 0, 255), (9, 0, 0)], r"index 1 in \(0, 0, 255\), index 2 in \(9, 0, 0\)"),
            ([(0, 0, 0), (254, 0, 0), (0, 0, 255)], r"index 1 in \(254, 0, 0\)"),
            ([(255, 255, 255), (90, 90, 90), (0, 0, 0)], r"index 1 in \(90, 90, 90\), index 2 in \(0, 0, 0\)"),
        ],
    )
    def test_a_palette_that_contradicts_the_stated_one_is_named(
        self, tmp_path: Path, palette: list[Any], found: str
    ) -> None:
        path = write_indexed(tmp_path / "x.png", IDS, *palette)
        with pytest.raises(FileError, match=rf"\(255, 0, 0\) for 1.*{found}"):
            ids_of(path)

    def test_the_ignore_index_may_have_any_colour(self, tmp_path: Path) -> None:
        ids = IDS.copy()
        ids[0] = 255
        path = write_indexed(tmp_path / "x.png", ids, *COLOURS, *[(0, 0, 0)] * 252, (224, 224, 192))
        np.testing.assert_array_equal(ids_of(path), ids)

    def test_what_we_wrote_is_read_by_its_indices(self, tmp_path: Path) -> None:
        Image.fromarray(IDS).save(tmp_path / "x.png")
        read_geometry(tmp_path / "x.png").write_label(tmp_path / "y.png", IDS[None].astype(np.int16), UNSTATED)
        np.testing.assert_array_equal(ids_of(tmp_path / "y.png"), IDS)


class TestNumbers:
    """A mask of one channel."""

    @pytest.mark.parametrize(
        "dtype",
        ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"],
    )
    def test_any_type_holds_ids(self, tmp_path: Path, dtype: str) -> None:
        tifffile.imwrite(tmp_path / "x.tif", IDS.astype(dtype))
        ids = ids_of(tmp_path / "x.tif")
        assert ids.dtype == np.int32
        np.testing.assert_array_equal(ids, IDS)

    def test_rounding_does_not_matter(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", IDS * np.float32(1.0000001))
        np.testing.assert_array_equal(ids_of(tmp_path / "x.tif"), IDS)

    @pytest.mark.parametrize("value", [0.5, 1.01, np.nan, np.inf, -np.inf])
    def test_mixtures_are_named(self, tmp_path: Path, value: float) -> None:
        tifffile.imwrite(tmp_path / "x.tif", np.array([[1, value]], np.float32))
        with pytest.raises(FileError, match=rf"expected integer label ids, found 1 other values \({value:g}\)"):
            ids_of(tmp_path / "x.tif")

    @pytest.mark.parametrize("dtype", ["uint32", "uint64", "float64"])
    def test_ids_far_beyond_are_named(self, tmp_path: Path, dtype: str) -> None:
        for value in (3_000_000_000, 2**60):
            if value < np.iinfo("uint32").max or dtype != "uint32":
                tifffile.imwrite(tmp_path / "x.tif", np.array([[1, value]]).astype(dtype))
                with pytest.raises(DataError, match=str(value)):
                    read_case(CaseFiles("x", (tmp_path / "x.tif",), tmp_path / "x.tif"), STATED)

    @pytest.mark.parametrize(("ids", "expected"), [((0, 1), [0, 1]), ((0, 255), [0, 255])])
    def test_one_bit_is_what_the_label_space_makes_of_it(
        self, tmp_path: Path, ids: tuple[int, int], expected: list[int]
    ) -> None:
        Image.fromarray(IDS > 0).save(tmp_path / "x.png")
        labels = LabelSpace(("background", "red"), ids, COLOURS[:2])
        assert np.unique(ids_of(tmp_path / "x.png", labels)).tolist() == expected

    def test_several_bands_are_no_mask(self, tmp_path: Path) -> None:
        tifffile.imwrite(
            tmp_path / "x.tif", np.zeros((5, 7, 2), np.uint8), photometric="minisblack", planarconfig="contig"
        )
        with pytest.raises(FileError, match="found 2 channels"):
            ids_of(tmp_path / "x.tif")


class TestColours:
    """A mask in colours."""

    def test_sixteen_bits_are_those_of_eight(self, tmp_path: Path) -> None:
        deep = np.array(COLOURS, np.uint16)[IDS] * 257
        tifffile.imwrite(tmp_path / "x.tif", deep, photometric="rgb")
        np.testing.assert_array_equal(ids_of(tmp_path / "x.tif"), IDS)
        tifffile.imwrite(tmp_path / "y.tif", deep + np.uint16(1), photometric="rgb")
        with pytest.raises(FileError, match="found colours of uint16"):
            ids_of(tmp_path / "y.tif")


class TestNodata:
    """A mask whose tag says where it has no data."""

    def test_it_counts_nowhere(self, tmp_path: Path) -> None:
        ids = IDS.copy()
        ids[0] = 99
        tifffile.imwrite(tmp_path / "x.tif", ids, extratags=[(42113, "s", 0, "99", True)])
        for ignore in (255, -1):
            found = ids_of(tmp_path / "x.tif", replace(STATED, ignore_id=ignore))
            assert (found[0] == ignore).all()
            np.testing.assert_array_equal(found[1:], IDS[1:])
        with pytest.raises(FileError, match='nodata 99 by the file\'s tag; write "ignore_index": 99'):
            ids_of(tmp_path / "x.tif", LabelSpace.from_names(("background", "red", "blue")))

    def test_a_class_of_that_number_stays_one(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", IDS, extratags=[(42113, "s", 0, "0", True)])
        np.testing.assert_array_equal(ids_of(tmp_path / "x.tif"), IDS)


class TestLevels:
    """A mask of gray levels: white is the second class, whatever white exactly is."""

    SPACE = LabelSpace(("background", "target"), (0, 255), COLOURS[:2], threshold=127)
    LEVELS = np.array([[0, 127, 128, 255]], np.uint8)

    @pytest.mark.parametrize("name", ["gray.png", "rgb.png", "deep.tif", "palette.png"])
    def test_the_threshold_is_the_last_dark_level(self, tmp_path: Path, name: str) -> None:
        match name:
            case "gray.png":
                Image.fromarray(self.LEVELS).save(tmp_path / name)
            case "rgb.png":
                Image.fromarray(np.repeat(self.LEVELS[..., None], 3, axis=-1)).save(tmp_path / name)
            case "deep.tif":
                colours = np.repeat(self.LEVELS[..., None], 3, axis=-1).astype(np.uint16) * 257
                tifffile.imwrite(tmp_path / name, colours, photometric="rgb")
            case _:  # gray, in another order
                write_indexed(
                    tmp_path / name, np.uint8([[3, 2, 1, 0]]), *[(level,) * 3 for level in (255, 128, 127, 0)]
                )
        assert ids_of(tmp_path / name, self.SPACE).tolist() == [[0, 0, 255, 255]]

    def test_one_bit_is_white_or_black(self, tmp_path: Path) -> None:
        Image.fromarray(self.LEVELS > 127).save(tmp_path / "x.png")
        assert ids_of(tmp_path / "x.png", self.SPACE).tolist() == [[0, 0, 255, 255]]


def test_colours_that_jpeg_has_changed_are_told_by_their_cause(tmp_path: Path) -> None:
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[4:9, 3:8] = (255, 0, 0)
    Image.fromarray(colours).save(tmp_path / "mask.jpg")
    labels = LabelSpace(("background", "red"), (0, 1), ((0, 0, 0), (255, 0, 0)))
    with pytest.raises(FileError, match="save masks as PNG: JPEG and WebP change their colours"):
        PictureFormat().read_ids(tmp_path / "mask.jpg", labels)

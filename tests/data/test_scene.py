"""Scenes: parts are those of the whole, whatever the file's tiles, and no pixel is read more often than need be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.data import scene as module
from samtailor.data.case import CaseFiles
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.data.intensity import Range
from samtailor.data.preprocessing import Preprocessing
from samtailor.data.scene import Patch, PatchReader, Scene
from samtailor.errors import DataWarning, FileError

SHAPE = (3, 41, 29)


class Memory(PatchReader):
    """Reads from an array, and notes what."""

    def __init__(self, pixels: NDArray[Any], tile: tuple[int, int], void: NDArray[np.bool_] | None = None) -> None:
        self.shape, self.dtype, self.tile = pixels.shape, pixels.dtype, tile
        self.pixels, self.void = pixels, void
        self.read_times = np.zeros(pixels.shape[1:], int)
        self.largest = 0

    def read(self, rows: slice, columns: slice) -> Patch:
        assert 0 <= rows.start < rows.stop <= self.shape[1]
        assert 0 <= columns.start < columns.stop <= self.shape[2]
        self.read_times[rows, columns] += 1
        void = None if self.void is None or not self.void[rows, columns].any() else self.void[rows, columns]
        pixels = self.pixels[:, rows, columns].copy()
        self.largest = max(self.largest, pixels.size)
        return Patch(pixels, void)


def pixels(dtype: str = "uint16") -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 5000, SHAPE).astype(dtype)


def scene_of(reader: PatchReader) -> Scene:
    return Scene(CaseFiles("x", (Path("x.tif"),)), GeoGeometry(reader.shape[1:]), reader)


@pytest.mark.parametrize("tile", [(8, 8), (16, 4), (1, 29), (41, 29), (7, 64), (64, 64)])
@pytest.mark.parametrize("samples", [1, 100, 500, 1 << 22])
def test_blocks_cover_all_rows_once_along_the_tiles(
    tile: tuple[int, int], samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SAMPLES", samples)
    scene, seen = scene_of(Memory(pixels(), tile)), np.zeros(SHAPE[1:], int)
    for rows, columns in scene.blocks(slice(5, 41)):
        seen[rows, columns] += 1
        assert columns.start % tile[1] == 0
        assert rows.stop == 41 or rows.stop % min(tile[0], 41) == 0 or samples < 3 * np.prod(tile)
    np.testing.assert_array_equal(seen[5:], 1)
    assert not seen[:5].any()


@pytest.mark.parametrize("tile", [(8, 8), (1, 29), (41, 29)])
def test_parts_are_those_of_the_whole(tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SAMPLES", 300)
    whole = pixels()
    view = scene_of(Memory(whole, tile)).with_channels([2, 0]).slices
    array = whole[[2, 0]][None]
    assert (view.shape, view.dtype, len(view)) == (array.shape, array.dtype, 1)
    for part in (
        np.s_[0],
        np.s_[0, :, 3:17, 5:9],
        np.s_[0, 1:],
        np.s_[0, :1, 30:60, 20:60],
        np.s_[0, ..., ::3, ::3],
        np.s_[..., 2:30:7, ::4],
        np.s_[:, :, 5:6],
    ):
        np.testing.assert_array_equal(np.asarray(view[part]), array[part])
        assert view[part].shape == array[part].shape
    np.testing.assert_array_equal(np.asarray(view[0][:, 4:20, 3:20][:, 1:3, ::2]), array[0][:, 4:20, 3:20][:, 1:3, ::2])


@pytest.mark.parametrize("void", [False, True])
def test_whole_rows_of_a_file_are_read_once_for_all_windows_beside_each_other(
    void: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SAMPLES", 4 * 3 * 29)
    whole, hole = pixels(), np.zeros(SHAPE[1:], bool)
    hole[10:20, 5:12] = void
    reader = Memory(whole, (1, 29), hole)
    scene = scene_of(reader)
    windows = Preprocessing(Range(), 8, 12, 3).windows(*SHAPE[1:])
    for window in windows * 2:  # and again from the top
        rows, columns = slice(window.y, window.y + 12), slice(window.x, window.x + 12)
        found = scene.read(rows, columns)
        np.testing.assert_array_equal(found.pixels, whole[:, rows, columns])
        np.testing.assert_array_equal(np.zeros((12, 12)) if found.void is None else found.void, hole[rows, columns])
    np.testing.assert_array_equal(reader.read_times, 2)
    assert reader.largest <= 4 * 3 * 29


def test_where_nothing_is_void_no_row_is_read_again() -> None:
    hole = np.zeros(SHAPE[1:], bool)
    hole[10:20, 5:12] = True
    reader = Memory(pixels(), (8, 8), hole)
    scene = scene_of(reader)
    for start in range(0, 41, 10):
        rows = slice(start, min(start + 10, 41))
        scene.read(rows, slice(0, 29))
        found = scene.void(rows)
        np.testing.assert_array_equal(
            np.zeros((1, 1)) if found is None else found, hole[rows] if start == 10 else False
        )
    assert reader.read_times.max(axis=1).tolist() == [1] * 10 + [2] * 10 + [1] * 21


def test_numbers_that_are_none_are_filled_with_a_word() -> None:
    whole = pixels("float32")
    whole[0, 3, 4:6], whole[2, 0, 0] = (np.nan, np.inf), -np.inf
    with pytest.warns(DataWarning, match=r"x\.tif: . NaN or infinite pixels, filled with the lowest value") as said:
        found = np.asarray(scene_of(Memory(whole, (8, 8))).slices)
    assert len(said) == 2
    finite = [plane[np.isfinite(plane)] for plane in whole]
    assert found[0, 0, 3, 4:6].tolist() == [finite[0].min(), finite[0].max()]
    assert found[0, 2, 0, 0] == finite[2].min()
    np.testing.assert_array_equal(found[0][np.isfinite(whole)], whole[np.isfinite(whole)])
    whole[0] = np.nan
    with pytest.raises(FileError, match=r"x\.tif: expected finite intensities, found 1189 NaN"):
        np.asarray(scene_of(Memory(whole, (8, 8))).slices)


def test_what_holds_nothing_counts_in_no_statistics() -> None:
    hole = np.zeros(SHAPE[1:], bool)
    hole[10:20, 5:12] = True
    whole = pixels()
    whole[:, hole] = 60_000
    values = scene_of(Memory(whole, (8, 8), hole)).distribution()
    assert (values.max(), values.count) == (whole[:, ~hole].max(), 3 * (~hole).sum())
    with pytest.raises(FileError, match="expected pixels with data, found none"):
        scene_of(Memory(whole, (8, 8), ~np.zeros_like(hole))).distribution().max()

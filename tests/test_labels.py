"""The label space translates between ids in files and class indices, and refuses what it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.errors import ConfigError, DataError, SamTailorError
from samtailor.labels import IGNORE, LabelSpace, default_palette

SPACE = LabelSpace(("background", "road", "roof"), (0, 7, 300), default_palette(3), ignore_id=255)


def test_ids_become_indices_and_back() -> None:
    ids = np.array([[0, 7], [300, 0]], dtype=np.int32)
    indices = SPACE.to_indices(ids)
    assert indices.dtype == np.int16
    assert indices.tolist() == [[0, 1], [2, 0]]
    assert SPACE.to_ids(indices).dtype == np.uint16
    assert np.array_equal(SPACE.to_ids(indices), ids)


def test_the_ignore_id_counts_nowhere() -> None:
    ids = np.array([255, 7], dtype=np.uint8)
    assert SPACE.to_indices(ids).tolist() == [IGNORE, 1]
    assert SPACE.to_ids(SPACE.to_indices(ids)).tolist() == [255, 7]
    with pytest.raises(DataError, match="ignore id"):
        LabelSpace.from_names(("background", "road")).to_ids(np.array([IGNORE]))


@pytest.mark.parametrize("wrong", [-1, 1, 299, 301, 70000])
def test_unknown_ids_are_named(wrong: int) -> None:
    with pytest.raises(DataError, match=rf"found \[{wrong}\]"):
        SPACE.to_indices(np.array([0, wrong, 7]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_ids_of_every_type_are_taken(dtype: type[np.integer]) -> None:
    space = LabelSpace.from_names(("background", "liver"), ignore_id=-5)
    assert space.to_indices(np.array([0, 1, 0], dtype)).tolist() == [0, 1, 0]
    with pytest.raises(DataError, match=str(np.iinfo(dtype).max)):
        space.to_indices(np.array([0, np.iinfo(dtype).max], dtype))


@pytest.mark.parametrize("ignore", [None, -(2**31) + 1, 255])
def test_ids_may_lie_far_apart(ignore: int | None) -> None:
    space = LabelSpace(("a", "b", "c"), (0, 2**31 - 1, 614_454_277), default_palette(3), ignore)
    ids = np.array([614_454_277, 0, 2**31 - 1, *([] if ignore is None else [ignore])], np.int64)
    assert space.to_indices(ids).tolist() == [2, 0, 1, *([] if ignore is None else [IGNORE])]
    assert np.array_equal(space.to_ids(space.to_indices(ids)), ids)
    for wrong in (-1, 1, 614_454_276, 2**31, 2**62):
        with pytest.raises(DataError, match=rf"found \[{wrong}\]"):
            space.to_indices(np.array([0, wrong]))


@pytest.mark.parametrize("ids", [(0, 10**12), (0, -(10**12)), (0, 10**400)])
def test_ids_that_no_file_holds_are_refused(ids: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="to 2147483647"):
        LabelSpace(("a", "b"), ids, default_palette(2))


def test_fractions_are_refused() -> None:
    with pytest.raises(DataError, match="integer"):
        SPACE.to_indices(np.array([0.5]))


def test_json_gives_the_same_space() -> None:
    assert LabelSpace.from_json(SPACE.to_json()) == SPACE


@pytest.mark.parametrize(("names", "ids"), [(("a", "a"), (0, 1)), (("a", "b"), (1, 1)), (("a",), (0,))])
def test_repeated_or_missing_classes_are_refused(names: tuple[str, ...], ids: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="label space"):
        LabelSpace(names, ids, default_palette(len(names)))


def test_default_colours_differ() -> None:
    assert len(set(default_palette(150))) == 150


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x00b", "a\u2028b", "\udcff"])
def test_a_name_that_breaks_lines_is_refused(name: str) -> None:
    with pytest.raises(SamTailorError, match=r"names.* expected|expected class names"):
        LabelSpace.from_names(("background", name))


@pytest.mark.parametrize("wrong", [10**12, -(10**12), 2.5, "1", True])
def test_an_id_beyond_all_files_is_refused(wrong: object) -> None:
    for settings in ({"ids": (0, wrong)}, {"ignore_id": wrong}):
        with pytest.raises(SamTailorError, match=f"{next(iter(settings))}: expected .*whole number"):
            LabelSpace(**{"names": ("a", "b"), "ids": (0, 1), "palette": ((0, 0, 0), (1, 1, 1)), **settings})

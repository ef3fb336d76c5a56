"""The label space translates between ids in files and class indices, and refuses what it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from samtailor.errors import DataError, SamTailorError
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

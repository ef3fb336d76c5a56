"""The side of objects, by which the scale is chosen at which pictures are looked at."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.training.fingerprint import object_side


def label(*squares: tuple[int, int, int, int], size: int = 100) -> NDArray[np.int16]:
    """One slice with squares of class, row, column and side."""
    plane = np.zeros((1, size, size), np.int16)
    for index, row, column, side in squares:
        plane[0, row : row + side, column : column + side] = index
    return plane


def test_the_class_with_the_smallest_objects_decides() -> None:
    assert object_side([label((1, 0, 0, 40), (2, 50, 50, 7)), label((2, 0, 0, 7))]) == 7
    assert object_side([label((1, 0, 0, 40))]) == 40


def test_specks_count_as_little_as_they_cover() -> None:
    specks = [(1, 60, column, 1) for column in range(0, 100, 3)]
    assert object_side([label((1, 0, 0, 20), *specks)]) == 20


@pytest.mark.parametrize("classes", [(1, 1), (1, 2)])
def test_objects_are_connected_parts_of_one_class(classes: tuple[int, int]) -> None:
    first, second = classes
    assert object_side([label((first, 0, 0, 10), (second, 10, 10, 10))]) == 10  # corners do not connect
    touching = label((first, 0, 0, 10), (second, 0, 10, 10))
    assert object_side([touching]) == pytest.approx(200**0.5 if first == second else 10)


def test_without_objects_there_is_no_side() -> None:
    assert object_side([label()]) is None
    assert object_side([np.full((1, 5, 5), -1, np.int16)]) is None  # ignored pixels are of no class


def test_of_a_scene_the_middle_is_looked_at() -> None:
    scene = label((1, 0, 0, 30), (1, 2990, 2990, 20), size=6000)
    assert object_side([scene]) == 20

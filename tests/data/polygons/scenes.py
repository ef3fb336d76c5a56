"""Labels whose regions are awkward to trace."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def random_label(shape: tuple[int, int], classes: int, seed: int) -> NDArray[np.int16]:
    """Every pixel by chance, ignored ones and background among them."""
    return np.random.default_rng(seed).integers(-1, classes + 1, shape).astype(np.int16)


def blobs(shape: tuple[int, int], classes: int, seed: int) -> NDArray[np.int16]:
    """Patches like land cover's, with holes and narrow necks; no background."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).standard_normal((classes, *shape))
    return (gaussian_filter(noise, (0, 2, 2)).argmax(0) + 1).astype(np.int16)


def spiral(turns: int) -> NDArray[np.int16]:
    """Two regions, one pixel wide each, that wind into each other from the rim to the middle."""
    side = 4 * turns + 3
    label = np.full((side, side), 2, np.int16)
    row, column, step = 0, 0, (0, 1)
    length = side - 1
    lengths = [length, length, length, *(n for k in range(length - 2, 0, -2) for n in (k, k))]
    label[0, 0] = 1
    for steps in lengths:
        for _ in range(steps):
            row, column = row + step[0], column + step[1]
            label[row, column] = 1
        step = (step[1], -step[0])
    return label


def comb(teeth: int, height: int) -> NDArray[np.int16]:
    """Teeth that hang apart in many rows, and are one region by the last row only."""
    label = np.zeros((height, 2 * teeth - 1), np.int16)
    label[:, ::2] = 1
    label[-1] = 1
    return label


def ring_that_touches_itself() -> NDArray[np.int16]:
    """A ring whose ends meet at a corner in the second row, and along edges farther down only."""
    return np.array(
        [[1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]],
        np.int16,
    )


def knot() -> NDArray[np.int16]:
    """A region that touches itself at corners on both sides of holes, in itself and at its rim."""
    return np.array(
        [
            [1, 1, 1, 1, 1, 2],
            [1, 0, 1, 2, 1, 1],
            [1, 1, 0, 1, 0, 1],
            [2, 1, 1, 0, 1, 1],
            [1, 0, 1, 1, 1, 0],
            [1, 1, 1, 2, 2, 1],
        ],
        np.int16,
    )


def islands() -> NDArray[np.int16]:
    """Regions of a pixel in holes of others, whose rings begin where those of the holes begin."""
    label = np.ones((7, 9), np.int16)
    label[1:6:2, 1:8:2] = 2
    label[2:5, 2:5] = 3
    label[3, 3] = 1
    alone = np.zeros((5, 9), np.int16)
    alone[1:4, 1:4] = 1
    alone[2, 2] = 2
    return np.concatenate([label, alone])


AWKWARD: dict[str, NDArray[Any]] = {
    "random": random_label((23, 17), 2, 0),
    "random, one class": random_label((31, 29), 1, 1),
    "random, wide": random_label((5, 60), 3, 2),
    "random, one column": random_label((40, 1), 1, 3),
    "blobs": blobs((50, 40), 4, 4),
    "spiral": spiral(5),
    "comb": comb(6, 30),
    "comb upside down": comb(6, 30)[::-1],
    "ring that touches itself": ring_that_touches_itself(),
    "knot": knot(),
    "islands": islands(),
    "checkerboard": (np.indices((12, 13)).sum(0) % 2 + 1).astype(np.int16),
    "one class": np.full((9, 8), 3, np.int16),
    "nothing": np.array([[0, -1], [-1, 0]], np.int16).repeat(4, axis=0),
}

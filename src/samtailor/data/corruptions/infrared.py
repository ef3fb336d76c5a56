"""Corruptions of infrared cameras: the pattern of the sensor, the same in all channels and frames of a case."""

from __future__ import annotations

import numpy as np

from samtailor.data.corruptions.corruption import Corruption, Image, Plane, normal

_COARSE = 4  # nodes along a side between which a non-uniformity is smooth


class Stripes(Corruption):
    """Columns read by amplifiers that are out of tune; levels are the standard deviation of their offsets."""

    levels = (0.02, 0.04, 0.07, 0.11, 0.16)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Add a number to each column."""
        return plane.image + level * normal(plane.shared, plane.size[1])


class Gain(Corruption):
    """Rows and columns that see brighter or darker; levels are the standard deviation of their gains."""

    levels = (0.02, 0.04, 0.08, 0.13, 0.2)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Multiply the signal."""
        rows, columns = (1 + level * normal(plane.shared, n) for n in plane.size)
        gain: Image = rows[:, None] * columns
        return plane.image + plane.signal * (gain - 1)


class DeadPixels(Corruption):
    """Pixels that always show the darkest, or (a quarter) the brightest intensity; levels are their fraction."""

    levels = (0.001, 0.003, 0.01, 0.02, 0.04)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Replace them."""
        dead = plane.shared.random(plane.size, dtype=np.float32) < level
        is_hot = plane.shared.random(plane.size, dtype=np.float32) < 0.25
        return np.where(dead, np.where(is_hot, plane.extremes[1], plane.extremes[0]), plane.image)


class NonUniformity(Corruption):
    """Gain and offset that change slowly over the sensor, as it warms up.

    Levels are what both together change, at most, at the top of the range.
    """

    levels = (0.08, 0.15, 0.25, 0.4, 0.6)

    def __call__(self, plane: Plane, level: float) -> Image:
        """Add and multiply smooth fields."""
        offset, gain = (_smooth(plane.shared, plane.size) for _ in range(2))
        change: Image = offset + plane.signal * gain
        return plane.image + level / 2 * change


def _smooth(random: np.random.Generator, size: tuple[int, int]) -> Image:
    """A random field of low frequency, between -1 and 1."""
    from scipy.ndimage import map_coordinates

    nodes = random.uniform(-1, 1, (_COARSE, _COARSE))
    at = np.meshgrid(*(np.linspace(0, _COARSE - 1, n) for n in size), indexing="ij")
    field = map_coordinates(nodes, at, order=3, mode="nearest")
    smooth: Image = (field / max(float(np.abs(field).max()), 1e-6)).astype(np.float32)
    return smooth

"""What a prompt means by the class probabilities alone, for a segmenter that was trained without prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from samtailor.inference.prompt import Mask, Prompt

REACH = 0.2
"""How far a click reaches, as a fraction of the slice's longest side."""
LEAST = 0.5
"""Share of the probability at the click from which on a pixel is of the same object."""
_NOTHING = 1e-3
"""Probabilities far below it do not differ, nor do those whose logarithms differ by less."""


def touching(mask: Mask, seeds: Mask) -> Mask:
    """The 8-connected regions of a mask (H, W) that hold a seed."""
    regions, count = ndimage.label(mask, structure=np.ones((3, 3), bool))
    held = np.zeros(count + 1, bool)
    held[regions[seeds]] = True
    held[0] = False
    return np.asarray(held[regions])


def object_of(prompt: Prompt, probability: NDArray[np.float16]) -> tuple[Mask, Mask]:
    """Where a prompt's box or mask speaks, and where it says the object is: nowhere for points alone.

    A rough mask is taken as it is. In a box the object is where its class is the more probable: the logarithms of the
    probabilities are parted in two after Otsu (1979).

    Args:
        prompt: The prompt.
        probability: Of its class, (H, W).
    """
    size = probability.shape
    if prompt.mask is not None:
        return np.ones(size, bool), prompt.shown(size)
    inside = prompt.shown(size)
    logarithm = np.log(probability.astype(np.float32) + _NOTHING)
    values = logarithm[inside]
    if not len(values) or np.ptp(values) < _NOTHING:
        return inside, inside
    return inside, inside & (logarithm > threshold_otsu(values))


def around(row: int, column: int, plane: NDArray[np.int16], probability: NDArray[np.float16]) -> Mask:
    """What changes with a clicked pixel from the class that it was given to another.

    It is connected with the pixel, was given the same class, is at least half as probably of the other, and lies no
    farther away than `REACH`.

    Args:
        row: Row of the click.
        column: Its column.
        plane: Class indices, (H, W).
        probability: Of the other class, (H, W).
    """
    place = row, column
    rows, columns = np.ogrid[: plane.shape[0], : plane.shape[1]]
    is_near = np.hypot(rows - row, columns - column) <= REACH * max(plane.shape)
    seed = np.zeros(plane.shape, bool)
    seed[place] = True
    return touching(is_near & (plane == plane[place]) & (probability >= LEAST * probability[place]), seed)

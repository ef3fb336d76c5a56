"""Distances between the surfaces of two masks: normalised surface Dice (NSD) and the 95th percentile (HD95).

A surface is made of elements at the corners of the voxels, each with the area that marching cubes give it, as in
DeepMind's surface-distance (Nikolov et al., Deep learning to achieve clinically applicable segmentation of head and
neck anatomy for radiotherapy, 2018; https://github.com/google-deepmind/surface-distance). Its numbers come out
exactly, in less time: distances are taken at the surfaces only.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Spacing = tuple[float, ...]

# A distance transform takes 12 bytes of each voxel of the box, a search tree some of each voxel of the surface. Where
# several places are nearest, their distances can differ in the last bit: small boxes are exact.
_LARGEST_TRANSFORM = 1 << 24


class Surface(NamedTuple):
    """The elements of a mask's surface.

    Attributes:
        distances: Of each element to the other mask's surface, (N,).
        areas: Of each element (its length in a picture), (N,).
    """

    distances: NDArray[np.float64]
    areas: NDArray[np.float64]


def surfaces(truth: NDArray[np.bool_], prediction: NDArray[np.bool_], spacing: Spacing) -> tuple[Surface, Surface]:
    """Surfaces of truth and prediction, and their distances.

    Args:
        truth: Two or three axes, at least one voxel set.
        prediction: Of the truth's shape, at least one voxel set.
        spacing: Distance of voxels along each axis.
    """
    box = bounding_box(truth | prediction)
    areas = _areas(spacing)
    codes = [_codes(mask[box]) for mask in (truth, prediction)]
    first, second = ((code != 0) & (code != len(areas) - 1) for code in codes)
    return (
        Surface(_distances(first, second, spacing), areas[codes[0][first]]),
        Surface(_distances(second, first, spacing), areas[codes[1][second]]),
    )


def surface_dice(found: tuple[Surface, Surface], tolerance: float) -> float:
    """NSD: the share of both surfaces that lies no farther than the tolerance from the other."""
    near = sum(surface.areas[surface.distances <= tolerance].sum() for surface in found)
    return float(near / sum(surface.areas.sum() for surface in found))


def surface_hd95(found: tuple[Surface, Surface]) -> float:
    """HD95: the larger of both directions' 95th percentile of the distances, weighted by area."""
    return max(_percentile(*surface) for surface in found)


def voxel_hd95(truth: NDArray[np.bool_], prediction: NDArray[np.bool_], spacing: Spacing) -> float:
    """HD95 as medpy has it: the 95th percentile of the distances of both borders' voxels together.

    Args:
        truth: At least one voxel set.
        prediction: Of the truth's shape, at least one voxel set.
        spacing: Distance of voxels along each axis; 1 for a distance in voxels.
    """
    box = bounding_box(truth | prediction)
    borders = [mask[box] & ~ndimage.binary_erosion(mask[box]) for mask in (truth, prediction)]
    both = [_distances(one, other, spacing) for one, other in permutations(borders)]
    return float(np.percentile(np.concatenate(both), 95))


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box around everything that is set."""
    axes = set(range(mask.ndim))
    found = [np.flatnonzero(mask.any(axis=tuple(axes - {axis}))) for axis in axes]
    return tuple(slice(int(places[0]), int(places[-1]) + 1) for places in found)


def _codes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Which of the voxels around each corner are set, a bit for each; one longer than the mask along each axis."""
    padded = np.pad(mask, 1).view(np.uint8)
    shape = tuple(length + 1 for length in mask.shape)
    codes = np.zeros(shape, dtype=np.uint8)
    for bit, place in enumerate(reversed(list(product((0, 1), repeat=mask.ndim)))):
        part = tuple(slice(start, start + length) for start, length in zip(place, shape, strict=True))
        codes |= padded[part] << np.uint8(bit)
    return codes


def _distances(places: NDArray[np.bool_], border: NDArray[np.bool_], spacing: Spacing) -> NDArray[np.float64]:
    """Distance of each place that is set to the nearest one of a border."""
    points = np.nonzero(places)
    square = np.zeros(len(points[0]))
    for axis, (nearest, step) in enumerate(zip(_nearest(places, border, spacing), spacing, strict=True)):
        square += ((nearest - points[axis]) * float(step)) ** 2
    return np.sqrt(square)


def _nearest(places: NDArray[np.bool_], border: NDArray[np.bool_], spacing: Spacing) -> list[NDArray[np.int64]]:
    """Indices along each axis of the place of a border that is nearest to each place that is set."""
    if border.size > _LARGEST_TRANSFORM:
        step = np.asarray(spacing, dtype=np.float64)
        candidates = np.argwhere(border)
        _, found = cKDTree(candidates * step, balanced_tree=False).query(np.argwhere(places) * step)
        return list(candidates[found].T)
    indices: Any = ndimage.distance_transform_edt(~border, spacing, return_distances=False, return_indices=True)
    return [axis[places] for axis in indices]


def _percentile(distances: NDArray[np.float64], areas: NDArray[np.float64]) -> float:
    """95th percentile of distances, weighted by area."""
    order = np.lexsort((areas, distances))
    share = np.cumsum(areas[order]) / areas.sum()
    return float(distances[order][min(int(np.searchsorted(share, 0.95)), len(order) - 1)])


@lru_cache(maxsize=64)
def _areas(spacing: Spacing) -> NDArray[np.float64]:
    """Area of the surface, or length of the contour, for each code of the voxels around a corner, (256,) or (16,)."""
    from monai.metrics import utils

    # MONAI's public function gives single precision, which can change the fourth digit of an NSD; the normals it starts
    # from are multiples of 1/8 and exact, but have a private name, which a later MONAI than 1.6 may not know.
    table = getattr(utils, "_get_neighbour_code_to_normals_table", None)
    if len(spacing) == 2 or table is None:
        return np.asarray(utils.get_code_to_measure_table(spacing)[0], dtype=np.float64)
    normals = np.asarray(table(), dtype=np.float64)
    first, second, third = map(float, spacing)
    stretched = normals * np.array([second * third, first * third, first * second])
    areas: NDArray[np.float64] = np.linalg.norm(stretched, axis=-1).sum(axis=-1)
    return areas

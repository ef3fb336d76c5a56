"""Which pictures are neighbours, of one scene, series or patient: they show the same, and belong into one split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, isqrt
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from samtailor.data.case import CaseFiles
from samtailor.data.formats import is_scene, read_geometry
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.errors import FileError

_BLOCKS = 20  # at least: a split of a tenth then has two
_BLOCKS_OF_SERIES = 10
_SERIES = 10  # so many series are blocks themselves, if none of them is more than a fifth of all
_LARGEST_SERIES = 0.2
_DENSEST = 0.3  # of the numbers between the first and the last that are there; else they count nothing
_NEXT = 1.5  # sides of a picture between the centres of neighbours

_APART = r"[_\-. ]"
_ROW, _COLUMN = rf"(?:row|r|y){_APART}?(\d+)", rf"(?:column|col|c|x){_APART}?(\d+)"
_GRIDS = [
    re.compile(rf"(?P<series>.*?){_APART}?{first}{_APART}{second}", re.IGNORECASE)
    for first, second in ((_ROW, _COLUMN), (_COLUMN, _ROW))
]
_NUMBERED = re.compile(r"(?P<series>.*?)(\d+)")


@dataclass(frozen=True)
class Blocks:
    """Cases in blocks of neighbours.

    Attributes:
        keys: Which block each case is in, in the order of the cases.
        told: What they are, in words; '' if every case is alone.
    """

    keys: tuple[Hashable, ...]
    told: str = ""


class _Place(NamedTuple):
    """Where a picture is: in which series, and at which numbers of it."""

    series: str
    numbers: tuple[int, ...]


def blocks_of(cases: Sequence[CaseFiles]) -> Blocks:
    """Blocks of pictures whose coordinates, or else names, show that they are neighbours; else each case is alone."""
    return _by_coordinates(cases) or _by_names([case.name for case in cases]) or Blocks(tuple(range(len(cases))))


def _by_coordinates(cases: Sequence[CaseFiles]) -> Blocks | None:
    """Squares on the ground, if all pictures say where they lie, in one CRS, and some are next to each other."""
    if not all(is_scene(case.images[0]) for case in cases):
        return None
    boxes = []
    systems = set()
    for case in cases:
        try:
            geometry = read_geometry(case.images[0])
        except FileError:
            return None
        if not isinstance(geometry, GeoGeometry) or geometry.transform is None:
            return None
        systems.add(geometry.crs)
        corners = geometry.corners()
        boxes.append([corners.min(axis=0), corners.max(axis=0)])
    if len(systems) > 1:
        return None
    ends = np.array(boxes)
    places = ends.mean(axis=1) / np.median(ends[:, 1] - ends[:, 0], axis=0)
    if not len(cKDTree(places).query_pairs(_NEXT, p=np.inf)):
        return None
    side = isqrt(len(cases) // _BLOCKS)
    if side < 2:
        return None
    keys = np.floor((places - places.min(axis=0)) / side + 1e-6).astype(int)
    return Blocks(tuple(map(tuple, keys.tolist())), f"in blocks of {side} x {side} neighbours by their coordinates")


def _by_names(names: Sequence[str]) -> Blocks | None:
    """Blocks of what the names number: rows and columns, or places in a series."""
    for pattern in (*_GRIDS, _NUMBERED):
        matches = [pattern.fullmatch(name) for name in names]
        if all(matches):
            places = [_Place(match["series"], tuple(map(int, match.groups()[1:]))) for match in matches if match]
            return _of_series(names, places) or _of_numbers(places)
    return None


def _of_series(names: Sequence[str], places: Sequence[_Place]) -> Blocks | None:
    """Whole series, if there are many and none is large: slices of a patient, frames of a film, tiles of a scene."""
    sizes = Counter(place.series for place in places)
    largest = max(sizes.values())
    if len(sizes) < _SERIES or largest == 1 or largest > _LARGEST_SERIES * len(places):
        return None
    example = next(name for name, place in zip(names, places, strict=True) if sizes[place.series] > 1)
    told = f"pictures of a series by their names (such as that of {example}) stay together"
    return Blocks(tuple(place.series for place in places), told)


def _of_numbers(places: Sequence[_Place]) -> Blocks | None:
    """Neighbouring numbers of a series, or squares of rows and columns, whatever the step from one to the next."""
    members = defaultdict(list)
    for index, place in enumerate(places):
        members[place.series].append(index)
    dimensions = len(places[0].numbers)
    keys: list[tuple[str | int, ...]] = [()] * len(places)
    largest = 1
    for name, indices in members.items():
        ranks = [_ranks([places[index].numbers[axis] for index in indices]) for axis in range(dimensions)]
        count = min(len(places) // _BLOCKS, len(indices) // _BLOCKS_OF_SERIES)  # a series may be all that shows a class
        side = max(1, isqrt(count) if dimensions > 1 else count)
        largest = max(largest, side)
        for axis, of_axis in enumerate(ranks):
            if of_axis is None:
                return None
            for index, rank in zip(indices, of_axis, strict=True):
                keys[index] = (*keys[index], rank // side) if axis else (name, rank // side)
    if largest == 1:
        return None
    what = f"{largest} x {largest}" if dimensions > 1 else str(largest)
    up_to = "up to " * (len(members) > 1)
    return Blocks(tuple(keys), f"in blocks of {up_to}{what} neighbours by the numbers in their names")


def _ranks(numbers: Sequence[int]) -> list[int] | None:
    """Place of each number in their order; None if they are too far apart to count anything."""
    values = sorted(set(numbers))
    step = gcd(*(second - first for first, second in pairwise(values))) or 1
    if len(values) < _DENSEST * ((values[-1] - values[0]) // step + 1):
        return None
    rank = {value: index for index, value in enumerate(values)}
    return [rank[number] for number in numbers]

"""Which pictures are neighbours, of one scene, series or patient: they show the same, and belong into one split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, isqrt
from typing import NamedTuple, TypeVar

import numpy as np

from samtailor.data.case import CaseFiles
from samtailor.data.formats import is_scene, read_geometry
from samtailor.data.formats.geotiff import GeoGeometry
from samtailor.errors import FileError

K = TypeVar("K", bound=Hashable)

_BLOCKS = 20  # at least: a split of a tenth then has two
_BLOCKS_OF_SERIES = 10
_FOLDERS = 5  # in so many folders pictures may lie by what they show; fewer are those of splits
_SERIES = 10  # so many series are no classes but blocks; where their names differ in numbers alone, so are fewer
_LARGEST_SERIES = 0.2  # of all pictures: of a larger series, neighbours are blocks
_LEAST_PATIENTS = 3  # of fewer nothing could be learnt and tested
_MOST_OF_PATIENT = 6  # volumes, however few patients there are, where names do not say that they are patients
_PATIENT = re.compile(r"(?:sub|subj|subject|pat|patient|pt|p)[_\-. ]?\d", re.IGNORECASE)
_DENSEST = 0.3  # of the numbers between the first and the last that are there; else they count nothing
_NEXT = 1.5  # sides of a picture between the centres of neighbours

_APART = r"[_\-. ]"
_LAST_WORD = re.compile(rf"{_APART}[^_\-. ]*$")
_LEADING = re.compile(r"(?:(?:sub|subj|subject|pat|patient|pt|p)[_\-. ]?\d+|\d{3}_S_\d{4})(?!\d)", re.IGNORECASE)
"""What names of volumes begin with that say their patient: BIDS' and ADNI's among them."""
_COPIED = re.compile(r"[_.](?:jpe?g|png|bmp|webp|tiff?)\.rf\.[0-9a-z]{8,}$", re.IGNORECASE)
"""What Roboflow puts behind the name of a picture that it has changed."""
_ROW, _COLUMN = rf"(?:row|r|y){_APART}?(\d+)", rf"(?:column|col|c|x){_APART}?(\d+)"
_GRIDS = [
    re.compile(rf"(?P<series>.*?){_APART}?{first}{_APART}{second}", re.IGNORECASE)
    for first, second in ((_ROW, _COLUMN), (_COLUMN, _ROW))
]
_CORNERS = re.compile(r"(?P<series>.+?)_(\d+)_\d+_(\d+)_\d+")  # x0_x1_y0_y1 of a tile, as iSAID's
_PATTERNS = (*_GRIDS, _CORNERS, re.compile(r"(?P<series>.*?)(\d+)\D*"))


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
    """Where a picture is: in which series, and at which numbers of it, if it has any."""

    series: str
    numbers: tuple[int, ...]


def blocks_of(cases: Sequence[CaseFiles]) -> Blocks:
    """Blocks of pictures whose coordinates, or else names, show that they are neighbours; else each case is alone."""
    return _by_coordinates(cases) or _by_names(cases) or Blocks(tuple(range(len(cases))))


def patients_of(volumes: Sequence[CaseFiles]) -> Blocks:
    """Blocks of volumes that names or folders show to be of one patient (`sub-03_ses-1`); else each is alone."""
    folders = Counter(volume.images[0].parent for volume in volumes)
    # A folder for each volume tells nothing that the names, which have it before them then, do not.
    places = _series_of(volumes) if max(folders.values()) > 1 else _places([volume.name for volume in volumes])
    numbered = _members(places, lambda place: (place.series, *place.numbers))
    by_series = _members(places, lambda place: (place.series,))
    keys: list[Hashable] = list(range(len(volumes)))
    leading = [match and match[0].lower() for match in map(_LEADING.match, (volume.name for volume in volumes))]
    by_leading = Counter(filter(None, leading))
    say_patients = len(by_leading) >= _LEAST_PATIENTS
    several = ""
    are_blocks = len(by_series) >= _LEAST_PATIENTS and _are_blocks({place.series for place in places})
    for index, place in enumerate(places):
        series, number = (place.series,), (place.series, *place.numbers)
        size = len(by_series[series])
        if say_patients and (patient := leading[index]) and by_leading[patient] > 1:
            keys[index], several = (patient,), several or volumes[index].name
            continue
        is_patient = _PATIENT.match(place.series.rpartition("/")[2]) or size <= _LARGEST_SERIES * len(volumes)
        if are_blocks and size > 1 and (is_patient or size <= _MOST_OF_PATIENT):
            keys[index] = series
        elif place.numbers and len(numbered[number]) > 1:  # pat01_before, pat01_after
            keys[index] = number
        else:
            continue
        several = several or volumes[index].name
    told = f"volumes of a patient by their names or folders (such as {several})"
    return Blocks(tuple(keys), told if several else "")


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
    from scipy.spatial import cKDTree

    ends = np.array(boxes)
    places = ends.mean(axis=1) / np.median(ends[:, 1] - ends[:, 0], axis=0)
    if not len(cKDTree(places).query_pairs(_NEXT, p=np.inf)):
        return None
    side = isqrt(len(cases) // _BLOCKS)
    if side < 2:
        return None
    keys = np.floor((places - places.min(axis=0)) / side + 1e-6).astype(int)
    return Blocks(tuple(map(tuple, keys.tolist())), f"in blocks of {side} x {side} neighbours by their coordinates")


def _by_names(cases: Sequence[CaseFiles]) -> Blocks | None:
    """Blocks of what names number, or folders hold: whole series, and of large ones what is next to each other."""
    places = _series_of(cases)
    members = _members(places, lambda place: place.series)
    are_blocks = _are_blocks({place.series for place in places if place.numbers})
    originals = [_COPIED.sub("", case.name) for case in cases]
    keys: list[Hashable] = [(place.series, None, original) for place, original in zip(places, originals, strict=True)]
    example, largest = "", 0
    dimensions = max(len(place.numbers) for place in places)
    for series, indices in members.items():
        numbered = [index for index in indices if places[index].numbers]  # in folders perhaps not all of them are
        if are_blocks and len(indices) <= _LARGEST_SERIES * len(places):
            example = example or (cases[indices[0]].name if len(indices) > 1 else "")
            for index in indices:
                keys[index] = (series,)
        elif found := _of_numbers([places[index].numbers for index in numbered], len(places)):
            side, cells = found
            largest = max(largest, side)
            for index, cell in zip(numbered, cells, strict=True):
                keys[index] = (series, *cell)
    told = []
    if len(set(originals)) < len(cases) and not example:
        told.append("copies of a picture (by Roboflow's names) stay together")
    if largest > 1:
        what = f"{largest} x {largest}" if dimensions > 1 else str(largest)
        up_to = "up to " * (len(members) > 1)
        told.append(f"in blocks of {up_to}{what} neighbours by the numbers in their names")
    if example:
        told.append(f"pictures of a series by their names or folders (such as that of {example}) stay together")
    return Blocks(tuple(keys), ", ".join(told)) if told else None


def _series_of(cases: Sequence[CaseFiles]) -> list[_Place]:
    """Where each case is, by names, and by folders if these are not those of splits."""
    places = _places([case.name for case in cases])
    folders = [str(case.images[0].parent) for case in cases]
    if len(set(folders)) >= _FOLDERS and _are_blocks(set(folders)):
        return [_Place(folder, place.numbers) for folder, place in zip(folders, places, strict=True)]
    return places


def _members(places: Sequence[_Place], key: Callable[[_Place], K]) -> dict[K, list[int]]:
    """Indices of the cases of each key."""
    members = defaultdict(list)
    for index, place in enumerate(places):
        members[key(place)].append(index)
    return members


def _places(names: Sequence[str]) -> list[_Place]:
    """Series and numbers by the first pattern that most names follow; each other name is a series of its own."""
    names = [_COPIED.sub("", name) for name in names]
    parts = _without_shared_endings(names)
    for pattern in _PATTERNS:
        matches = [pattern.fullmatch(part) for part in parts]
        if sum(map(bool, matches)) > len(names) / 2:
            return [
                _Place(match["series"], tuple(map(int, match.groups()[1:]))) if match else _Place(name, ())
                for name, match in zip(names, matches, strict=True)
            ]
    return [_Place(name, ()) for name in names]


def _without_shared_endings(names: Sequence[str]) -> list[str]:
    """The names without words at the end that most of them have, such as "_ct", which number nothing."""
    parts = list(names)
    while True:
        endings = Counter(match[0] for part in parts if (match := _LAST_WORD.search(part)))
        ending, count = endings.most_common(1)[0] if endings else ("", 0)
        is_number = ending[1:].isdigit()  # of a visit, unless all have it
        if count <= len(parts) / 2 or (is_number and count < len(parts)):
            return parts
        parts = [part.removesuffix(ending) for part in parts]


def _are_blocks(series: Collection[str]) -> bool:
    """Whether series are patients, films or scenes, and not classes: there are many, or numbers tell them apart."""
    return len(series) >= _SERIES or len({re.sub(r"\d+", "0", name) for name in series}) == 1


def _of_numbers(numbers: Sequence[tuple[int, ...]], total: int) -> tuple[int, list[tuple[int, ...]]] | None:
    """Neighbours of a series, or squares of rows and columns, whatever the step from one to the next.

    Args:
        numbers: Those of each picture of the series.
        total: Pictures of all series.

    Returns:
        Side of a block, and which one each picture is in; None if the numbers count nothing.
    """
    axes = [_ranks(of_axis) for of_axis in zip(*numbers, strict=True)]
    if not axes or None in axes:
        return None
    count = min(total // _BLOCKS, len(numbers) // _BLOCKS_OF_SERIES)  # a series may be all that shows a class
    side = max(1, isqrt(count) if len(axes) > 1 else count)
    return side, [tuple(rank // side for rank in ranks) for ranks in zip(*filter(None, axes), strict=True)]


def _ranks(numbers: Sequence[int]) -> list[int] | None:
    """Place of each number in their order; None if they are too far apart to count anything."""
    values = sorted(set(numbers))
    step = gcd(*(second - first for first, second in pairwise(values))) or 1
    if len(values) < _DENSEST * ((values[-1] - values[0]) // step + 1):
        return None
    rank = {value: index for index, value in enumerate(values)}
    return [rank[number] for number in numbers]

"""YOLO's outlines (https://docs.ultralytics.com/datasets/segment): a text for each picture, a line for each object.

A line is the number of a class and the corners of a polygon, as fractions of width and height: `0 0.1 0.2 0.3 0.2 ...`.
Classes have their names in the data set's YAML file, or in `classes.txt`. Ids in labels are one higher, since 0 is the
background's here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from samtailor.data.formats.label_content import LabelContent
from samtailor.data.formats.outlines import OutlineFile, enclosed, in_pairs
from samtailor.errors import FileError
from samtailor.files import made_of, read_text, read_yaml
from samtailor.labels import LabelSpace

_HEAD = 1 << 10
_NUMBER = rb"-?(?:\d+\.?\d*|\.\d+)(?:[eE]-?\d+)?"
_FIRST = re.compile(rb"\s*\d+(?:[ \t]+" + _NUMBER + rb"){4}(?:\s|$)")
"""How such a file begins: a class and at least the four numbers of a box."""
_INSIDE = re.compile(
    r"labels?|annotations?|masks?|(?:train(?:ing)?|val(?:id|idation)?|test(?:ing)?)\d*|data", re.IGNORECASE
)
"""How folders inside a data set are called: where one is called otherwise, it is the data set's."""
_LARGEST = 1.001  # a fraction, rounded
_BOX = 4  # numbers
_EXPECTED = "lines of a class and the corners of its object, as fractions of width and height"
_FIX = "export the annotations again, as YOLO's segmentation"
_LISTS = ("classes.txt", "obj.names")


class YoloFormat(OutlineFile):
    """Polygons of one picture; an empty file is of one without objects."""

    suffixes: ClassVar = (".txt",)

    def holds_outlines(self, path: Path) -> bool:
        """Whether a text begins as such files do, or is empty beside one that does."""
        if path.stat().st_size:
            return _begins_so(path)
        return _has_outlines(path.parent, path.parent.stat().st_mtime_ns)

    def accompanies(self, path: Path) -> bool:
        """Whether a file is a list of the classes' names."""
        return path.name in _LISTS

    def annotated_size(self, path: Path) -> tuple[int, int] | None:
        """None: all is in fractions."""
        return None

    def objects(self, path: Path, labels: LabelSpace, size: tuple[int, int]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """The lines, in their order."""
        for number, (kind, corners) in enumerate(_lines(path), start=1):
            with made_of(path, f"the outline of object {number}", _FIX):
                yield kind + 1, enclosed(corners * (size[1], size[0]), size)

    def content(self, path: Path) -> LabelContent:
        """Objects of each class, with the background, of which there is always some."""
        counts = Counter(kind + 1 for kind, _ in _lines(path))
        return LabelContent("ids", {0: 1, **counts}, names=self.read_names(path))

    def read_names(self, path: Path) -> dict[int, str] | None:
        """Names that the data set has for its classes."""
        for folder in path.absolute().parents:
            if names := _names_in(folder):
                return {0: "background"} | {number + 1: name for number, name in names.items()}
            if not _INSIDE.fullmatch(folder.name):
                break
        return None


# Folders hold tens of thousands of such files: they are looked through once as long as nothing comes or goes there.
@lru_cache(maxsize=64)
def _has_outlines(folder: Path, modified: int) -> bool:
    """Whether a folder, as it was at some time, has such a file with an object."""
    return any(_begins_so(path) for path in folder.glob("*.txt") if path.is_file())


def _begins_so(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(_FIRST.match(file.read(_HEAD)))


def _lines(path: Path) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Class and corners (N, 2) of each object."""
    for line, words in enumerate(map(str.split, read_text(path, _EXPECTED, _FIX).splitlines()), start=1):
        if not words:
            continue
        with made_of(path, f"{_EXPECTED} in line {line}", _FIX):
            kind, numbers = int(words[0]), np.array(words[1:], np.float64)
            if len(numbers) == _BOX:
                fix = "draw outlines: from boxes no segmentation can be learnt"
                raise FileError(path, f"{_EXPECTED} in line {line}", "a box", fix)
            if kind < 0 or not (np.abs(numbers) <= _LARGEST).all():
                raise ValueError(f"'{' '.join(words):.60}'")
            corners = in_pairs(numbers)
        yield kind, corners


def _names_in(folder: Path) -> dict[int, str]:
    """Names of classes that a folder has, by number; none if it has none."""
    files = _name_files(folder, folder.stat().st_mtime_ns)
    return _names_of(tuple((path, path.stat().st_mtime_ns) for path in files if path.is_file()))


@lru_cache(maxsize=64)
def _name_files(folder: Path, modified: int) -> list[Path]:
    """Files of a folder, as it was at some time, that may say names."""
    return [*sorted(folder.glob("*.y*ml")), *(folder / name for name in _LISTS)]


@lru_cache(maxsize=64)
def _names_of(files: tuple[tuple[Path, int], ...]) -> dict[int, str]:
    """Names in the first of some files, as they were at some times, that has any."""
    for path, _ in files:
        with suppress(FileError, LookupError, ValueError, TypeError, AttributeError):  # somebody else's file
            if path.name in _LISTS:
                names = read_text(path, "names of classes", _FIX).splitlines()
            else:
                names = read_yaml(path, _FIX)["names"]
            pairs = enumerate(names) if isinstance(names, list) else names.items()
            if found := {int(number): str(name).strip() for number, name in pairs if str(name).strip()}:
                return found
    return {}

"""Lists of images and labels: CSV or text files with a pair on each line, one list for all or one for each split."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from samtailor.data.formats import find_format, find_label_format
from samtailor.data.layouts.contents import visible_files
from samtailor.data.layouts.found import Found, cases_of, told_files
from samtailor.data.layouts.names import role_of_folder, split_of
from samtailor.errors import FileError
from samtailor.files import read_text

_SUFFIXES = (".csv", ".tsv", ".txt", ".lst")
_DELIMITERS = ",;\t"
_FILES = frozenset(("file", "filename", "file_name", "path", "x"))
_SPLITS = frozenset(("split", "set", "subset", "phase", "part"))
_FIX = "write a line 'image,mask' and then a pair of files on each line, with paths relative to the folder"


class _Columns(NamedTuple):
    """Which columns of a list hold what."""

    image: int
    label: int
    split: int | None
    has_header: bool


def find(root: Path) -> Found | None:
    """The pairs that lists in a folder name; None if no list there names any.

    Raises:
        FileError: If a list of pairs names a file that is not there.
    """
    lists = [path for path in visible_files(root) if path.suffix.lower() in _SUFFIXES and path.stem != "requirements"]
    pairs: dict[Path, list[tuple[str, Path, Path]]] = {}
    for path in lists:
        rows = list(_rows(path))
        if rows and (columns := _columns(rows[0][1])):
            pairs[path] = list(_pairs(root, path, rows, columns))
    if any(split for found in pairs.values() for split, _, _ in found):  # beside them a list of all cases says no more
        pairs = {path: found for path, found in pairs.items() if all(split for split, _, _ in found)}
    every = [pair for found in pairs.values() for pair in found]
    if not every:
        return None
    cases, splits = cases_of(root, every)
    told = {
        "lists": ", ".join(path.name for path in pairs),
        "images": told_files(root, [image for _, image, _ in every]),
        "labels": told_files(root, [label for _, _, label in every]),
    }
    return Found(cases, told, splits)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines with something on them, cut into columns, with their numbers."""
    lines = read_text(path, "a list of images and labels", _FIX).splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = next((sign for sign in _DELIMITERS if sign in first), None)
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            cells = next(csv.reader([line], delimiter=delimiter)) if delimiter else line.split()
            yield number, [cell.strip() for cell in cells]


def _columns(first: Sequence[str]) -> _Columns | None:
    """Where images and labels stand; None if the list is none of pairs."""
    if len(first) > 1 and find_format(Path(first[0])) and find_label_format(Path(first[1])):
        return _Columns(0, 1, 2 if len(first) > 2 and split_of(first[2]) else None, has_header=False)
    roles = [role_of_folder(cell) or ("image" if cell.lower() in _FILES else None) for cell in first]
    if any(find_format(Path(cell)) for cell in first) or not {"image", "label"} <= set(roles):
        return None
    split = next((index for index, cell in enumerate(first) if cell.lower() in _SPLITS), None)
    return _Columns(roles.index("image"), roles.index("label"), split, has_header=True)


def _pairs(
    root: Path, path: Path, rows: Sequence[tuple[int, list[str]]], columns: _Columns
) -> Iterator[tuple[str, Path, Path]]:
    """Split ('' if none), image and label of each line."""
    for number, cells in rows[columns.has_header :]:
        if len(cells) <= max(columns.image, columns.label):
            raise FileError(path, f"an image and a label in line {number}", f"{' '.join(cells):.80}", _FIX)
        image, label = root / cells[columns.image], root / cells[columns.label]
        for file, format in ((image, find_format(image)), (label, find_label_format(label))):
            if format is None or not file.exists():
                found = "nothing there" if format else "no image or label"
                raise FileError(path, f"the file '{file.relative_to(root)}' of line {number}", found, _FIX)
        cell = cells[columns.split] if columns.split is not None and columns.split < len(cells) else path.stem
        yield split_of(cell) or "", image, label

"""Lists of images and labels: CSV or text files with a pair on each line, one list for all or one for each split."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from samtailor.data.formats import find_format, find_label_format
from samtailor.data.layouts.contents import visible_files
from samtailor.data.layouts.found import Found, cases_of, told_files
from samtailor.data.layouts.names import role_of_folder, split_of
from samtailor.errors import FileError, Finding, counted
from samtailor.files import read_text

_SUFFIXES = (".csv", ".tsv", ".txt", ".lst")
_BEGINNING = 1 << 16  # bytes by which lists are told from other texts
_DELIMITERS = ",;\t"
_LOOKED_AT = 100  # lines
_FILES = frozenset(("file", "filename", "file_name", "path", "x"))
SPLITS = frozenset(("split", "set", "subset", "phase", "part"))
"""What a column of splits is called."""
_EXPECTED = "a list of images and labels"
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
        FileError: If a list of pairs names a file that is not there, or a split that is none.
    """
    pairs: dict[Path, list[tuple[str, Path, Path]]] = {}
    remarks: list[Finding] = []
    named: set[Path] = set()
    for path in visible_files(root):
        if path.suffix.lower() in _SUFFIXES and (columns := _columns_of(path)):
            rows = all_rows(path, _EXPECTED, _FIX)[columns.has_header :]
            named.update(_located(root, cells[columns.image]) for _, cells in rows if columns.image < len(cells))
            labelled = [row for row in rows if row[1][columns.label : columns.label + 1] != [""]]
            pairs[path] = _pairs(root, path, labelled, columns)
            if count := len(rows) - len(labelled):
                found = f"{counted(count, 'line')} without, which {'is' if count == 1 else 'are'} left out"
                remarks.append(Finding("warning", str(path), "a label for each image", found, "if it is so, nothing"))
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
    return Found(cases, told, splits, tuple(remarks), named=frozenset(named))


def _columns_of(path: Path) -> _Columns | None:
    """Where images and labels stand in a file; None if its beginning is none of a list of pairs."""
    first, *rest = first_rows(path) or [[]]
    second = next((cells for cells in rest if all(cells)), rest[0] if rest else ())  # some images may have no label
    return _columns(path.parent, first, second) if first else None


def first_rows(path: Path) -> list[list[str]]:
    """The first lines of a table, by which it is known; none of what is no table.

    Spreadsheets save in other encodings than UTF-8, too: `all_rows` refuses them then.
    """
    if not path.is_file():
        return []
    with path.open("rb") as stream:
        beginning = stream.read(_BEGINNING)
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(beginning)  # the last letter may be cut in two
    except UnicodeDecodeError:
        utf_16 = beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = beginning.decode("utf-16" if utf_16 else "latin-1", "replace")
    try:
        return [cells for _, cells in islice(_rows(text), _LOOKED_AT)]
    except csv.Error:
        return []


def all_rows(path: Path, expected: str, fix: str) -> list[tuple[int, list[str]]]:
    """Lines with something on them, cut into columns, with their numbers.

    Raises:
        FileError: If the file cannot be read, or is not UTF-8.
    """
    try:
        return list(_rows(read_text(path, expected, fix)))
    except csv.Error as error:
        raise FileError(path, expected, str(error), fix) from error


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """`all_rows` of a text."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = next((sign for sign in _DELIMITERS if sign in first), None)
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            cells = next(csv.reader([line], delimiter=delimiter)) if delimiter else line.split()
            yield number, [cell.strip() for cell in cells]


def _may_be_label(path: Path) -> bool:
    """Whether a file is a label, or is called as labels are; texts and JSON are called as anything is."""
    return find_label_format(path) is not None and (path.exists() or path.suffix.lower() not in (".txt", ".json"))


def _columns(root: Path, first: Sequence[str], second: Sequence[str] = ()) -> _Columns | None:
    """Where images and labels stand, by the first row and a full one; None if they are not those of a list of pairs."""
    if len(first) > 1 and find_format(Path(first[0])) and _may_be_label(root / first[1]):
        return _Columns(0, 1, 2 if len(first) > 2 and split_of(first[2]) else None, has_header=False)
    roles = [role_of_folder(cell) or ("image" if cell.lower() in _FILES else None) for cell in first]
    if any(find_format(Path(cell)) for cell in first) or not {"image", "label"} <= set(roles):
        return None
    image, label = (_column_of(role, roles, second) for role in ("image", "label"))
    if label < len(second) and not Path(second[label]).suffix[1:2].isalpha():  # a word or a number, not a file
        return None
    split = next((index for index, cell in enumerate(first) if cell.lower() in SPLITS), None)
    return _Columns(image, label, split, has_header=True)


def _column_of(role: str, roles: Sequence[str | None], row: Sequence[str]) -> int:
    """The column of a role, of several (image_id, image_path) the first with a file in a row."""
    columns = [index for index, other in enumerate(roles) if other == role]
    with_file = (index for index in columns if index < len(row) and find_label_format(Path(row[index])))
    return next(with_file, columns[0])


def _pairs(
    root: Path, path: Path, rows: Sequence[tuple[int, list[str]]], columns: _Columns
) -> list[tuple[str, Path, Path]]:
    """Split ('' if none), image and label of each line."""
    pairs = []
    for number, cells in rows:
        if len(cells) <= max(columns.image, columns.label):
            raise FileError(path, f"an image and a label in line {number}", f"{' '.join(cells):.80}", _FIX)
        image, label = (_located(root, cells[column]) for column in (columns.image, columns.label))
        named = (columns.image, image, find_format(image)), (columns.label, label, find_label_format(label))
        for column, file, format in named:
            if format is None or not file.exists():
                found = "nothing there" if format else "no image or label"
                raise FileError(path, f"the file '{cells[column]}' of line {number}", found, _FIX)
        pairs.append((image, label))
    return [(split, *pair) for split, pair in zip(_splits(path, rows, columns), pairs, strict=True)]


def _splits(path: Path, rows: Sequence[tuple[int, list[str]]], columns: _Columns) -> list[str]:
    """Split of each line, '' if none: by its column if that tells splits, else by the name of the list."""
    if (column := columns.split) is not None:
        named = [cells[column] if column < len(cells) else "" for _, cells in rows]
        found = [split_of(name) for name in named]
        for split, name, (number, _) in zip(found, named, rows, strict=True):
            if split is None and any(found):
                fix = "name a split in each line, or remove the line"
                raise FileError(path, f"train, val or test as the split of line {number}", f"'{name:.80}'", fix)
        if any(found):
            return [split or "" for split in found]
    return [split_of(path.stem) or ""] * len(rows)


def _located(root: Path, name: str) -> Path:
    """The file that a list names, relative to the folder; of a path of another machine, as much as is there."""
    path = Path(name)
    if not (root / path).exists() and "\\" in name:
        path = Path(name.replace("\\", "/"))
    if path.is_relative_to(root.absolute()):
        return root / path.relative_to(root.absolute())
    if (path.is_absolute() or PureWindowsPath(name).is_absolute()) and not path.exists():
        tails = (root.joinpath(*path.parts[first:]) for first in range(1, len(path.parts)))
        return next((tail for tail in tails if tail.exists()), path)
    return root / path

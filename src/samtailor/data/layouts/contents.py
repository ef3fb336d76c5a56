"""What a layout finds in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtailor.data.case import CaseFiles
from samtailor.data.finding import Finding
from samtailor.errors import DataError, FileError
from samtailor.labels import LabelSpace


@dataclass(frozen=True)
class Contents:
    """Classes and cases of a folder.

    Attributes:
        labels: Label space.
        cases: Sorted by name; `label` is None where the file is missing.
        channels: Names of the image channels.
        bits: Bits per channel of pictures; None for volumes.
        orphans: Files that belong to no case.
        remarks: What the layout itself finds worth telling: cases left out, parts that are missing.
        largest: Rows and columns of the picture with the longest side; None for volumes.
        title: Name that the folder gives itself, if any.
    """

    labels: LabelSpace
    cases: tuple[CaseFiles, ...]
    channels: tuple[str, ...]
    bits: int | None
    orphans: tuple[Path, ...] = ()
    remarks: tuple[Finding, ...] = ()
    largest: tuple[int, int] | None = None
    title: str | None = None


def label_space(
    path: Path,
    names: tuple[str, ...],
    ids: tuple[int, ...],
    palette: tuple[tuple[int, int, int], ...],
    ignore_id: int | None,
) -> LabelSpace:
    """Label space that a dataset.json describes.

    Raises:
        FileError: If a name or id occurs twice.
    """
    try:
        return LabelSpace(names, ids, palette, ignore_id)
    except DataError as error:
        raise FileError(path, "distinct names and ids of classes", str(error), "rename or renumber them") from error


def read_split(path: Path, content: Any, name: str) -> tuple[str, ...]:
    """Case names of one split, sorted.

    Raises:
        FileError: If they are no list of strings.
    """
    if not isinstance(content, list) or not all(isinstance(case, str) for case in content):
        raise FileError(path, f"a list of case names for split '{name}'", f"{content!r:.80}", "write a list of strings")
    return tuple(sorted(content))


def visible_files(folder: Path) -> list[Path]:
    """Files of a folder, sorted, without hidden ones (macOS leaves '._x' files next to images)."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))

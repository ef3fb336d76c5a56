"""What a layout finds in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtailor.data.case import CaseFiles
from samtailor.data.file_error import FileError
from samtailor.data.finding import Finding
from samtailor.data.labels import LabelSpace
from samtailor.errors import DataError


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


def read_json(path: Path, expected: type[dict[str, Any]] | type[list[Any]], mend: str) -> Any:
    """Content of a JSON file.

    Args:
        path: The file.
        expected: Type of its outermost value.
        mend: Advice if the file is missing.

    Raises:
        FileError: If it is missing, no JSON, or something else than expected.
    """
    kind = "an object {...}" if expected is dict else "a list [...]"
    if not path.is_file():
        raise FileError(path, f"a JSON file with {kind}", "nothing", mend)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FileError(path, f"a JSON file with {kind}", str(error), "mend the syntax") from error
    if not isinstance(content, expected):
        raise FileError(path, f"a JSON file with {kind}", type(content).__name__, mend)
    return content


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

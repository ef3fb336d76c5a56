"""Lists of case names that say which case is in which split: train.txt (or trainval.txt), val.txt, test.txt; tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from itertools import zip_longest
from pathlib import Path

from samtailor.data.formats import find_format
from samtailor.data.layouts.contents import composed, visible_files
from samtailor.data.layouts.found import stem_of
from samtailor.data.layouts.lists import SPLITS, all_rows, first_rows
from samtailor.data.layouts.names import split_of
from samtailor.errors import Finding, counted
from samtailor.files import read_text
from samtailor.settings import Split

_FOLDERS = ("", "ImageSets/Segmentation", "ImageSets", "splits", "lists", "split")
FOLDERS = frozenset(folder.partition("/")[0] for folder in _FOLDERS if folder)
"""Names of folders of lists."""
_TABLES = (".csv", ".tsv")
_FIX = "write one name a line"
_SPLITS: tuple[Split, ...] = ("train", "val", "test")


def read_lists(root: Path, names: Sequence[str]) -> tuple[dict[str, tuple[str, ...]], tuple[Finding, ...]]:
    """Case names of each split, of the first folder with a list for training, or of some, and what is wrong with lists.

    A folder without lists may have a table, of a line for each case with its name and, under 'split', its split. What a
    list names that is no case, such as an image without a label, is left out of it.
    """
    known = set(names)
    remarks: list[Finding] = []
    others: dict[str, tuple[str, ...]] = {}
    for folder in (root / name for name in _FOLDERS):
        lists = {path.stem.lower(): path for path in visible_files(folder) if path.suffix.lower() in (".txt", ".lst")}
        if "train" not in lists and "trainval" in lists:
            lists["train"] = lists["trainval"]
        splits: dict[str, tuple[str, ...]] = {}
        for split in _SPLITS:
            if path := lists.get(split):
                lines = read_text(path, "a list of case names, one a line", _FIX).splitlines()
                found = [_names(line.strip()) & known or _names(*line.split()) & known for line in lines]
                splits[split] = tuple(sorted(set().union(*found)))
                if any(lines) and not any(found):
                    first = next(filter(None, lines))
                    what = f"none, in {counted(len(lines), 'line')} such as '{first:.80}'"
                    remarks.append(Finding("warning", str(path), "names of cases, one a line", what, _FIX))
        if splits.get("train") and lists["train"] == lists.get("trainval"):  # without what has a list of its own
            held = {name for split in ("val", "test") for name in splits.get(split, ())}
            splits["train"] = tuple(name for name in splits["train"] if name not in held)
        shown = {split: part for split, part in splits.items() if part} or _of_tables(folder, known)
        if "train" in shown:
            return shown, tuple(remarks)
        others = others or shown
    return others, tuple(remarks)


def _of_tables(folder: Path, known: Set[str]) -> dict[str, tuple[str, ...]]:
    """Case names of each split by the first table in a folder that has a column of splits; none if none has."""
    for path in visible_files(folder):
        header = next(iter(first_rows(path) if path.suffix.lower() in _TABLES else ()), [])
        if not any(title.lower() in SPLITS for title in header):
            continue
        rows = [
            cells for _, cells in all_rows(path, "a table with a case and its split on each line", "save it as CSV")
        ]
        columns = list(zip_longest(*rows, fillvalue=""))
        splits = next(column for column in columns if column[0].lower() in SPLITS)
        cases = max(columns, key=lambda column: _is_of_cases(column, known))
        parts: dict[str, set[str]] = defaultdict(set)
        for case, name in zip(cases[1:], splits[1:], strict=True):
            if split := split_of(name):
                parts[split] |= _names(case) & known
        if any(parts.values()):
            return {split: tuple(sorted(names)) for split, names in parts.items() if names}
    return {}


def _is_of_cases(column: Sequence[str], known: Set[str]) -> tuple[int, bool, int]:
    """How much speaks for a column to be that of the cases: lines may be numbered, and cases be called by numbers."""
    title, *cells = column
    found = [cell for cell in cells if _names(cell) & known]
    return sum(bool(find_format(Path(cell))) for cell in found), bool(title), len(found)


def _names(*files: str) -> set[str]:
    """What the cases of files may be called: as these are, perhaps with folders before it (see `named_cases`)."""
    return {
        composed("-".join((*path.parts[depth:-1], last)))
        for path in map(Path, files)
        for last in (path.name, stem_of(path))
        for depth in range(len(path.parts))
    }

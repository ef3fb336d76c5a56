"""Lists of case names that say which case is in which split: train.txt (or trainval.txt), val.txt, test.txt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from samtailor.data.layouts.contents import composed, visible_files
from samtailor.data.layouts.found import stem_of
from samtailor.errors import Finding, counted
from samtailor.files import read_text
from samtailor.settings import Split

_FOLDERS = ("", "ImageSets/Segmentation", "ImageSets", "splits", "lists", "split")
_FIX = "write one name a line"
_SPLITS: tuple[Split, ...] = ("train", "val", "test")


def read_lists(root: Path, names: Sequence[str]) -> tuple[dict[str, tuple[str, ...]], tuple[Finding, ...]]:
    """Case names of each split, of the first folder with a list for training, or of some, and what is wrong with lists.

    What a list names that is no case, such as an image without a label, is left out of it.
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
        shown = {split: part for split, part in splits.items() if part}
        if "train" in shown:
            return shown, tuple(remarks)
        others = others or shown
    return others, tuple(remarks)


def _names(*files: str) -> set[str]:
    """What the cases of files may be called: as these are, perhaps with folders before it (see `named_cases`)."""
    return {
        composed("-".join((*path.parts[depth:-1], last)))
        for path in map(Path, files)
        for last in (path.name, stem_of(path))
        for depth in range(len(path.parts))
    }

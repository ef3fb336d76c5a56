"""Lists of case names that say which case is in which split: train.txt, val.txt, test.txt, as VOC has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from samtailor.data.layouts.contents import composed, visible_files
from samtailor.files import read_text
from samtailor.settings import Split

_FOLDERS = ("", "ImageSets/Segmentation", "ImageSets", "splits", "lists", "split")
_SPLITS: tuple[Split, ...] = ("train", "val", "test")


def read_lists(root: Path, names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Case names of each split, of the first folder that has lists of them; empty if none has.

    What a list names that is no case, such as an image without a label, is left out of it.
    """
    known = set(names)
    for folder in (root / name for name in _FOLDERS):
        lists = {path.stem.lower(): path for path in visible_files(folder) if path.suffix.lower() in (".txt", ".lst")}
        splits = {}
        for split in _SPLITS:
            if path := lists.get(split):
                lines = read_text(path, "a list of case names, one a line", "write one name a line").split()
                listed = {composed(name) for line in lines for name in (Path(line).name, Path(line).stem)}
                splits[split] = tuple(sorted(listed & known))
        if splits.get("train"):
            return {split: part for split, part in splits.items() if part}
    return {}

"""nnU-Net's splits_final.json: a list of folds, each with the names of its training and validation cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samtailor.data.layouts.contents import read_split
from samtailor.data.layouts.layout import Splits
from samtailor.errors import FileError, counted
from samtailor.files import read_json, write_json

NAME = "splits_final.json"


def read_fold(path: Path, fold: int) -> dict[str, tuple[str, ...]]:
    """Case names of train and val of one fold.

    Raises:
        FileError: If the file is none of folds, or has no such one.
    """
    folds = _folds(path)
    if not 0 <= fold < len(folds):
        raise FileError(path, f"a fold {fold}", counted(len(folds), "fold"), "choose another fold (they count from 0)")
    return _splits(path, folds[fold])


def _folds(path: Path) -> list[Any]:
    folds: list[Any] = read_json(path, list, 'write a list with one {"train": [...], "val": [...]} per fold')
    return folds


def _splits(path: Path, fold: Any) -> dict[str, tuple[str, ...]]:
    """Case names of train and val of one entry of the file."""
    if not isinstance(fold, dict) or not {"train", "val"} <= fold.keys():
        raise FileError(path, "train and val in each fold", f"{fold!r:.80}", "name the cases of both")
    return {name: read_split(path, fold[name], name) for name in ("train", "val")}


def completed(root: Path, splits: Splits) -> Splits:
    """Splits that a folder shows, with the first fold of its split file, if it has one and they name no training."""
    path = root / NAME
    if "train" in splits or not path.exists():
        return splits
    fold = read_fold(path, 0)
    named = {name for names in fold.values() for name in names}
    others = {split: tuple(name for name in names if name not in named) for split, names in splits.items()}
    return fold | {split: names for split, names in others.items() if names}


def require_folds(path: Path, count: int) -> None:
    """Refuse a file of another number of folds, or that has a case in the validation of several.

    Raises:
        FileError: Naming what was found.
    """
    folds = _folds(path)
    if len(folds) != count:
        fix = f"take --folds {len(folds)}, or write the file anew" if len(folds) > 1 else "add folds, or take it away"
        raise FileError(path, f"{count} folds", str(len(folds)), fix)
    seen: dict[str, int] = {}
    for number, fold in enumerate(folds):
        for case in _splits(path, fold)["val"]:
            if case in seen:
                found = f"'{case}' in that of {seen[case]} and {number}"
                raise FileError(path, "each case in the validation of one fold", found, "leave it in one of them")
            seen[case] = number


def write_folds(path: Path, folds: Sequence[Splits]) -> None:
    """Write folds as nnU-Net does."""
    write_json(path, [{split: list(names) for split, names in fold.items()} for fold in folds])

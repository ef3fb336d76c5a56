"""nnU-Net's splits_final.json: a list of folds, each with the names of its training and validation cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from samtailor.data.layouts.contents import read_split
from samtailor.data.layouts.layout import Splits
from samtailor.errors import FileError
from samtailor.files import read_json, write_json

NAME = "splits_final.json"


def read_fold(path: Path, fold: int) -> dict[str, tuple[str, ...]]:
    """Case names of train and val of one fold.

    Raises:
        FileError: If the file is none of folds, or has no such one.
    """
    folds = read_json(path, list, 'write a list with one {"train": [...], "val": [...]} per fold')
    if not 0 <= fold < len(folds):
        raise FileError(path, f"a fold {fold}", f"{len(folds)} folds", "choose another fold (they count from 0)")
    if not isinstance(folds[fold], dict) or not {"train", "val"} <= folds[fold].keys():
        raise FileError(path, "train and val in each fold", f"{folds[fold]!r:.80}", "name the cases of both")
    return {name: read_split(path, folds[fold][name], name) for name in ("train", "val")}


def write_folds(path: Path, folds: Sequence[Splits]) -> None:
    """Write folds as nnU-Net does."""
    write_json(path, [{split: list(names) for split, names in fold.items()} for fold in folds])

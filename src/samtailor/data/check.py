"""Validating a data set before training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from samtailor.settings import AnyPath, Folds, Index, Rare, Recognition, Selection, checked

if TYPE_CHECKING:
    from samtailor.data.check_report import CheckReport


@checked
def check(
    data: AnyPath,
    fold: Rare[Index | None] = None,
    dataset: Rare[Recognition] = "auto",
    bands: str | None = None,
    folds: Rare[Folds | None] = None,
    write: bool = False,
) -> CheckReport:
    """Validate a dataset before training: everything that is wrong with it, at once.

    Args:
        data: Labelled folder, with a dataset.json or without (docs/guide/data.md lists what is recognised).
        fold: Entry of splits_final.json, or one of five folds where the folder has no such file; by default its own
            splits.
        dataset: 'none' takes the folder for no data set that is known by name, whatever its files are called.
        bands: Which bands are used of pictures with more than three, by number from 1 such as 4,3,2 (or by the names
            that dataset.json gives them); or 'all', which a learned projection brings to three.
        folds: How many folds there are to be, with `fold`.
        write: Write what the names of files and the labels tell (classes, pairs, splits) into DATA/dataset.json, which
            must not exist; the folder is then read by that alone.

    Returns:
        What is there and what is wrong with it; never an error for bad data.

    Raises:
        FileError: If a dataset.json is to be written that is there already, or cannot be.
    """
    from samtailor.data.check_dataset import check_dataset

    return check_dataset(Path(data), Selection(fold, dataset, bands, folds), write)

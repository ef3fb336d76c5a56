"""Validating a data set before training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from samtailor.settings import AnyPath, Index, Rare, checked

if TYPE_CHECKING:
    from samtailor.data.check_report import CheckReport


@checked
def check(data: AnyPath, fold: Rare[Index] = 0) -> CheckReport:
    """Validate a dataset before training: everything that is wrong with it, at once.

    Args:
        data: Labelled folder (nnU-Net layout, image folder, or a data set known by name as its publisher ships it).
        fold: Entry of splits_final.json (nnU-Net layout).

    Returns:
        What is there and what is wrong with it; never an error for bad data.
    """
    from samtailor.data.check_dataset import check_dataset

    return check_dataset(Path(data), fold)

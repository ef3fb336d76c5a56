"""The contract of a layout: how a folder keeps a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from samtailor.data.layouts.contents import Contents

LayoutName = Literal["nnunet", "images", "listed", "inferred", "publisher"]
"""Folders that a dataset.json describes in one of three ways, one that only the names of its files describe, or that of
a data set known by name as its publisher ships it."""

Splits = Mapping[str, tuple[str, ...]]
"""Case names of each split."""


@dataclass(frozen=True)
class Layout:
    """One way in which folders keep a data set.

    Attributes:
        name: What it is called in reports.
        recognises: Whether a folder is laid out so; looks at names, and at dataset.json, if there is one.
        read_contents: Classes and cases of a folder.
        read_splits: Case names of each split that the folder names; empty if it names none.
    """

    name: LayoutName
    recognises: Callable[[Path], bool]
    read_contents: Callable[[Path], Contents]
    read_splits: Callable[[Path, Contents], Splits]

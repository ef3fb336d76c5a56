"""What is found in a folder that no dataset.json describes: cases and, as far as the folder shows them, splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.errors import Finding, listed
from samtailor.labels import LabelSpace

_FOLDERS_TOLD = 3


@dataclass(frozen=True)
class Found:
    """Cases of a folder, by their names and places alone.

    Attributes:
        cases: Sorted by name; each has a label.
        told: What was taken for what, in words, by what it is.
        splits: Case names of each split that the folder shows.
        remarks: What else is worth telling.
        labels: Classes, if the folder says what they are; else the labels tell.
        channels: Names of the channels of volumes.
    """

    cases: tuple[CaseFiles, ...]
    told: Mapping[str, str]
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remarks: tuple[Finding, ...] = ()
    labels: LabelSpace | None = None
    channels: tuple[str, ...] = ("image",)


def told_files(root: Path, files: list[Path], ending: str = "") -> str:
    """Where files lie, in a few words: 'images (12 files)'."""
    folders = sorted({file.parent.relative_to(root).as_posix() for file in files})
    shown = ["the folder itself" if folder == "." else folder for folder in folders]
    return f"{listed(shown, _FOLDERS_TOLD)}{ending} ({len(files)} files)"

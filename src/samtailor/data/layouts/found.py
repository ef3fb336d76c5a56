"""What is found in a folder that no dataset.json describes: cases and, as far as the folder shows them, splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.formats import find_label_format
from samtailor.data.layouts.contents import composed
from samtailor.errors import FileError, Finding, counted, listed
from samtailor.labels import LabelSpace

UNKNOWN = ("image",)
"""The name of a channel of which nobody knows more."""
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
        named: Images that lists or annotations name, also those without a label; empty if there are neither.
    """

    cases: tuple[CaseFiles, ...]
    told: Mapping[str, str]
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remarks: tuple[Finding, ...] = ()
    labels: LabelSpace | None = None
    channels: tuple[str, ...] = UNKNOWN
    named: frozenset[Path] = frozenset()


def told_files(root: Path, files: list[Path]) -> str:
    """Where files lie, in a few words: 'images (12 files)'."""
    parents = {file.parent for file in files}
    folders = sorted((one.relative_to(root) if one.is_relative_to(root) else one).as_posix() for one in parents)
    shown = ["the folder itself" if folder == "." else folder for folder in folders]
    return f"{listed(shown, _FOLDERS_TOLD)} ({counted(len(files), 'file')})"


def cases_of(
    root: Path, entries: Sequence[tuple[str, Path, Path]]
) -> tuple[tuple[CaseFiles, ...], dict[str, tuple[str, ...]]]:
    """Cases, sorted by name, and the names of each split.

    Args:
        root: The data set.
        entries: Split, or '', image and label of each case.

    Raises:
        FileError: If an image is there twice.
    """
    names = named_cases(root, [(split, image) for split, image, _ in entries])
    named = sorted(zip(names, entries, strict=True), key=lambda pair: pair[0])
    parts: dict[str, list[str]] = {split: [] for split, _, _ in entries if split}
    for name, (split, _, _) in named:
        if split:
            parts[split].append(name)
    cases = tuple(CaseFiles(name, (image,), label) for name, (_, image, label) in named)
    return cases, {split: tuple(part) for split, part in parts.items()}


def named_cases(root: Path, images: Sequence[tuple[str, Path]]) -> list[str]:
    """A name of its own for each image: that of its file, with its folders before it where that is not enough.

    Args:
        root: The data set.
        images: Split, or '', and file of each.

    Raises:
        FileError: If an image is there twice.
    """
    stems = [stem_of(image) for _, image in images]
    folders = [image.parent.relative_to(root).parts if image.is_relative_to(root) else () for _, image in images]
    for depth in range(max(map(len, folders), default=0) + 1):
        names = [
            composed("-".join((*parts[len(parts) - depth :], stem)) if depth else stem)
            for parts, stem in zip(folders, stems, strict=True)
        ]
        if len(set(names)) == len(names):
            return names
    twice = next(name for name in names if names.count(name) > 1)
    raise FileError(root, f"one case named '{twice}'", "several", "name each image once, or rename the files")


def stem_of(image: Path) -> str:
    """The name of an image without what its format ends it with, as in `.nii.gz`."""
    format = find_label_format(image)
    return format.stem_of(image) if format else image.stem

"""What is known of a data set that has a name: where it is published, its classes, split and protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from samtailor.data.case import CaseFiles
from samtailor.data.layouts.contents import Contents, entries
from samtailor.errors import FileError, Finding, listed
from samtailor.labels import LabelSpace
from samtailor.metrics.protocols import ProtocolName

DatasetName = Literal["flare22", "gid5", "sirst", "btcv"]


@dataclass(frozen=True)
class NamedDataset:
    """A published data set.

    Attributes:
        name: What it is called in settings and files.
        title: What it is called in sentences.
        aliases: In lower case; a folder in our own layouts that calls itself otherwise is another data set.
        cases: Pattern of the names of its cases, here and in other common copies of it.
        labels: Its label space, with the ids or colours of the publisher's files.
        protocol: Name of the protocol its results are usually given in.
        published: The publisher's page, and the paper.
        terms: Its terms of use in one line.
        folder: The publisher's folder in one line.
        split: Which split is used, and whose it is.
        advice: Settings that suit it; '' if the defaults do.
        field: `sampling.field` for pictures that are far larger than the network's input; None is the input's side.
        looks_like: Whether a folder is the publisher's, complete or not.
        read_contents: Cases of the publisher's folder; raises FileError if what is missing forbids all work.
        read_splits: Case names of each split, of the publisher's folder and the cases found in it.
    """

    name: DatasetName
    title: str
    aliases: tuple[str, ...]
    cases: str
    labels: LabelSpace
    protocol: ProtocolName
    published: str
    terms: str
    folder: str
    split: str
    looks_like: Callable[[Path], bool]
    read_contents: Callable[[Path], Contents]
    read_splits: Callable[[Path, tuple[CaseFiles, ...]], Mapping[str, tuple[str, ...]]]
    advice: str = ""
    field: int | None = None

    def require(self, root: Path, folders: Mapping[Path, Mapping[str, Path]], hint: str = "") -> None:
        """Raise a FileError if any of the folders in `root` has no files; `hint` is for the first of them."""
        for folder, files in folders.items():
            if not files:
                raise self.incomplete(root, f"{self.folder} with files in {folder.name}{hint}", folder)
            hint = ""

    def incomplete(self, root: Path, expected: str, missing: Path) -> FileError:
        """The error of a publisher's folder in which something indispensable is missing."""
        folder = next(folder for folder in (missing, *missing.parents) if folder.is_dir())
        found = entries(folder) + ("" if folder == root else f" (in {folder.relative_to(root).as_posix()})")
        fix = f"unpack all that its publisher ships: {self.published}; if it is other data, take --dataset none"
        return FileError(root, f"{self.title} as its publisher ships it: {expected}", found, fix)

    def remark(self, folder: Path, expected: str, number: int, absent: list[str]) -> tuple[Finding, ...]:
        """The warning that some of the published cases, of which a number was found, are absent; none if none are."""
        if not absent:
            return ()
        found = f"{number}; missing {listed(absent)}"
        return (Finding("warning", str(folder), expected, found, f"fetch them from {self.published}"),)


def split_of_names(names: list[str]) -> dict[str, tuple[str, ...]]:
    """Names in a fixed random order, 70 % train, 10 % val, 20 % test, at least one each.

    The order is that of the names' hashes: the same on every machine, whatever the seed of a run.
    """
    return split_in_order(sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest()))


def split_in_order(names: list[str]) -> dict[str, tuple[str, ...]]:
    """The first 70 % of the names are train, the next 10 % val, the last 20 % test, at least one each of three."""
    if len(names) < 3:
        return {"train": tuple(names)}
    test, val = (max(1, round(share * len(names))) for share in (0.2, 0.1))
    last, middle = len(names) - test, len(names) - test - val
    parts = {"train": names[:middle], "val": names[middle:last], "test": names[last:]}
    return {split: tuple(sorted(part)) for split, part in parts.items()}

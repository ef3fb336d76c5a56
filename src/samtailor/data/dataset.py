"""A labelled data set: its cases, classes and splits."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from samtailor.data.case import CaseFiles
from samtailor.data.formats import is_scene
from samtailor.data.layouts import images, inferred, listed, nnunet
from samtailor.data.layouts.bands import with_bands
from samtailor.data.layouts.contents import Contents
from samtailor.data.layouts.layout import Layout, LayoutName, Splits
from samtailor.data.named import NAMED, DatasetName, NamedDataset, looking_like, published
from samtailor.errors import FileError
from samtailor.metrics.protocols import ProtocolName
from samtailor.settings import Recognition
from samtailor.settings import Split as Split

LAYOUTS: tuple[Layout, ...] = (listed.LAYOUT, nnunet.LAYOUT, images.LAYOUT, inferred.LAYOUT)
"""Layouts of any data set, in the order in which a folder is compared with them."""

_SPLIT_SEED = 0
_SHARES: dict[Split, float] = {"train": 0.7, "val": 0.1, "test": 0.2}


@dataclass(frozen=True, kw_only=True)
class Dataset(Contents):
    """A labelled folder, looked at but not read: its `Contents`, and what it is.

    Attributes:
        root: The folder.
        layout: How it is laid out.
        splits: Case names of each split; empty if the folder names none.
        name: Data set that it is, if it is one of those known by name: as its publisher ships it, or with its classes
            and names.
    """

    root: Path
    layout: LayoutName
    name: DatasetName | None = None

    @property
    def named(self) -> NamedDataset | None:
        """Where it is published, its terms, split and protocol, if it is known by name."""
        return NAMED[self.name] if self.name else None

    @property
    def protocol(self) -> ProtocolName:
        """Protocol its results are usually given in, if it is known by name; else ours."""
        return self.named.protocol if self.named else "samtailor"

    @property
    def pictures(self) -> bool:
        """Whether the cases are pictures rather than volumes."""
        return self.bits is not None

    @property
    def seen_from_above(self) -> bool:
        """Whether its pictures have no up and down: georeferenced ones, and known remote sensing."""
        return self.protocol == "remote-sensing" or (self.pictures and is_scene(self.cases[0].images[0]))

    def split(self, name: Split) -> tuple[CaseFiles, ...]:
        """Cases of a split; an absent or empty one is refused, and one that names a case that does not exist."""
        if not self.splits.get(name):
            present = ", ".join(f"{split} ({len(names)})" for split, names in self.splits.items()) or "none"
            raise FileError(self.root, f"a split '{name}'", present, "name its cases in the split file")
        cases = {case.name: case for case in self.cases}
        unknown = [case for case in self.splits[name] if case not in cases]
        if unknown:
            fix = "add the images or fix the split file"
            raise FileError(self.root, f"an image for each case of split '{name}'", f"none of {unknown[:5]}", fix)
        for error in self.named_twice():
            raise error
        return tuple(cases[case] for case in self.splits[name])

    def named_twice(self) -> Iterator[FileError]:
        """Cases that splits name more than once."""
        for case, count in Counter(case for names in self.splits.values() for case in names).items():
            if count > 1:
                found = " and ".join(split for split, names in self.splits.items() for name in names if name == case)
                fix = "leave it in one split: a case seen in training measures nothing in a test"
                yield FileError(self.root, f"case '{case}' in one split", found, fix)

    def with_default_split(self) -> Dataset:
        """The data set with every case in a split: train 70 %, val 10 %, test 20 %, at least one case each.

        It is drawn, but always the same, whatever the seed of a training: results compare only on the same cases.
        A folder that names its training cases keeps its splits; one that names test cases only keeps those. Of one
        whose folders show training cases but none for validation, some are taken for that.

        Raises:
            DataError: If there are too few cases.
        """
        if "train" in self.splits:
            return self._with_validation() if self.layout == "inferred" and "val" not in self.splits else self
        kept = dict(self.splits)
        taken = {case for names in kept.values() for case in names}
        names = [case.name for case in self.cases if case.name not in taken]
        missing = [split for split in _SHARES if split not in kept]
        if len(names) < len(missing):
            expected = f"at least {len(missing)} cases to split into {', '.join(missing)}"
            raise FileError(self.root, expected, str(len(names)), "add cases")
        order = np.random.default_rng(_SPLIT_SEED).permutation(names).tolist()
        total = sum(_SHARES[split] for split in missing)
        for split in [split for split in missing if split != "train"]:
            count = max(1, round(len(names) * _SHARES[split] / total))
            kept[split], order = tuple(sorted(order[:count])), order[count:]
        kept["train"] = tuple(sorted(order))
        return replace(self, splits={split: kept[split] for split in _SHARES})

    def _with_validation(self) -> Dataset:
        """The data set with an eighth of the training cases, as in the default split, taken for validation."""
        train = self.splits["train"]
        if len(train) < 2:
            fix = "add cases"
            raise FileError(self.root, "at least 2 training cases, one of them for validation", str(len(train)), fix)
        order = np.random.default_rng(_SPLIT_SEED).permutation(train).tolist()
        count = max(1, round(len(order) * _SHARES["val"] / (_SHARES["train"] + _SHARES["val"])))
        taken = {"train": tuple(sorted(order[count:])), "val": tuple(sorted(order[:count]))}
        return replace(self, splits={**taken, **{name: part for name, part in self.splits.items() if name != "train"}})

    def fingerprint(self) -> str:
        """Hash of label space, case names and splits: equal if the same task on the same cases."""
        content = [self.labels.to_json(), [case.name for case in self.cases], dict(self.splits)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def open_dataset(
    root: Path, fold: int | None = None, dataset: Recognition = "auto", bands: str | None = None
) -> Dataset:
    """Look at a labelled folder and recognise its layout.

    Args:
        root: Folder in one of the `LAYOUTS`, or that of a data set known by name as its publisher ships it.
        fold: Entry of its split file; None takes its own splits.
        dataset: Whether it may be taken for a data set known by name.
        bands: Bands of pictures that are used (see `samtailor.check`).

    Raises:
        DataError: If the folder is neither, or its dataset.json or splits are not as expected.
    """
    opened = open_cases(root, dataset, bands)
    return replace(opened, splits=read_splits(opened, fold))


def open_cases(root: Path, dataset: Recognition = "auto", bands: str | None = None) -> Dataset:
    """The data set without its splits."""
    if not os.path.isdir(root):
        found = "a file" if os.path.isfile(root) else "no such folder"
        raise FileError(root, "a folder with a data set", found, "give the path of the data set")
    layout = next(layout for layout in LAYOUTS if layout.recognises(root))
    named = looking_like(root) if layout is inferred.LAYOUT and dataset == "auto" else None
    if named:
        contents = with_bands(root, named.read_contents(root), bands)
        return Dataset(root=root, layout="publisher", name=named.name, **vars(contents))
    contents = with_bands(root, layout.read_contents(root), bands)
    names = [case.name for case in contents.cases]
    named = published(contents.labels, names, contents.title) if dataset == "auto" else None
    return Dataset(root=root, layout=layout.name, name=named.name if named else None, **vars(contents))


def read_splits(dataset: Dataset, fold: int | None = None) -> Splits:
    """Case names of each split that the folder names; empty if it names none."""
    if dataset.layout == "publisher" and dataset.named:
        return dataset.named.read_splits(dataset.root, dataset.cases)
    layout = next(layout for layout in LAYOUTS if layout.name == dataset.layout)
    return layout.read_splits(dataset.root, dataset, fold or 0)

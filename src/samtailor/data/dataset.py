"""A labelled data set: its cases, classes and splits."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from samtailor.data.case import CaseFiles
from samtailor.data.formats import is_scene
from samtailor.data.layouts import images, inferred, listed, nnunet, split_file
from samtailor.data.layouts.bands import with_bands
from samtailor.data.layouts.contents import Contents
from samtailor.data.layouts.found import stem_of
from samtailor.data.layouts.layout import Layout, LayoutName
from samtailor.data.named import NAMED, DatasetName, NamedDataset, looking_like, published
from samtailor.data.neighbours import Blocks, blocks_of, patients_of
from samtailor.data.shown import traits_of
from samtailor.data.splits import FOLDS, folds_of, nnunets_folds, stratified
from samtailor.errors import FileError, counted
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
        drawn: How its splits were drawn, or which fold they are, in words; '' if they are all that the folder names.
    """

    root: Path
    layout: LayoutName
    name: DatasetName | None = None
    drawn: str = ""

    @property
    def named(self) -> NamedDataset | None:
        """Where it is published, its terms, split and protocol, if it is known by name."""
        return NAMED[self.name] if self.name else None

    @property
    def protocol(self) -> ProtocolName:
        """Protocol its results are usually given in: its publisher's, of other scenes that of land cover, else ours."""
        if self.named:
            return self.named.protocol
        return "remote-sensing" if self.pictures and is_scene(self.cases[0].images[0]) else "samtailor"

    @property
    def pictures(self) -> bool:
        """Whether the cases are pictures rather than volumes."""
        return self.bits is not None

    @property
    def seen_as(self) -> str:
        """What the network sees its cases as, one by one."""
        return "images" if self.pictures else "slices"

    @property
    def seen_from_above(self) -> bool:
        """Whether its pictures have no up and down: georeferenced ones, and known remote sensing."""
        return self.protocol == "remote-sensing"

    @property
    def held_out(self) -> Split:
        """The split that a segmenter is judged by: 'test', or 'val' where there is none."""
        return "test" if self.splits.get("test") else "val"

    def split(self, name: Split) -> tuple[CaseFiles, ...]:
        """Cases of a split; an absent or empty one is refused, and one that names a case that does not exist."""
        if not self.splits.get(name):
            present = ", ".join(f"{split} ({len(names)})" for split, names in self.splits.items()) or "none"
            raise FileError(self.root, f"a split '{name}'", present, "name its cases in the split file")
        cases = {case.name: case for case in self.cases}
        unknown = [case for case in self.splits[name] if case not in cases]
        if unknown:
            are_files = all(stem_of(Path(case)) in cases for case in unknown)
            fix = "name the cases without suffix" if are_files else "add the images or fix the split file"
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
        whose folders or lists show training cases but none for validation, some are taken for that. Pictures are dealt
        out by their classes, with neighbours in one split; volumes of one patient are in one split, as far as names and
        folders show them.

        Raises:
            DataError: If there are too few cases.
        """
        if "train" in self.splits and not (self.shows_splits and "val" not in self.splits):
            return self
        kept = {split: names for split, names in self.splits.items() if split != "train"}
        missing = [split for split in _SHARES if split not in kept]
        if "train" in self.splits:
            names, missing = list(self.splits["train"]), ["train", "val"]
        else:
            taken = {case for names in kept.values() for case in names}
            names = [case.name for case in self.cases if case.name not in taken]
        if len(names) < len(missing):
            expected = f"at least {counted(len(missing), 'case')} to split into {', '.join(missing)}"
            raise FileError(self.root, expected, str(len(names)), "add cases")
        total = sum(_SHARES[split] for split in missing)
        sizes: dict[str, int] = {
            split: max(1, round(len(names) * _SHARES[split] / total)) for split in missing if split != "train"
        }
        all_sizes = {"train": len(names) - sum(sizes.values())} | sizes
        cases = self._named(names)
        patients = Blocks(()) if self.pictures else patients_of(cases)
        if self.pictures:
            parts, drawn = self._stratified(names, all_sizes)
            kept |= parts
        elif patients.told and len(set(patients.keys)) >= len(all_sizes):
            drawn = f"drawn at random, {patients.told} stay together"
            kept |= stratified({case.name: frozenset() for case in cases}, patients.keys, all_sizes)
        else:
            drawn = "drawn at random"
            order = np.random.default_rng(_SPLIT_SEED).permutation(names).tolist()
            for split, count in sizes.items():
                kept[split], order = tuple(sorted(order[:count])), order[count:]
            kept["train"] = tuple(sorted(order))
        return replace(self, splits={split: kept[split] for split in _SHARES if split in kept}, drawn=drawn)

    def with_fold(self, fold: int, count: int | None = None) -> Dataset:
        """The data set with the training and validation cases of a fold: of its split file, or else of `folds`.

        Test cases that its own splits name stay what they are, unless the fold names them.

        Args:
            fold: Which one, from 0.
            count: How many folds there are to be, each case in the validation of one at most; None takes those of the
                split file, or the usual five.

        Raises:
            DataError: If there is no such fold, or the split file has not so many.
        """
        path = self.root / split_file.NAME
        if path.exists():
            if count is not None:
                split_file.require_folds(path, count)
            splits, drawn = split_file.read_fold(path, fold), f"fold {fold} of {split_file.NAME}"
        else:
            count = FOLDS if count is None else count
            if not fold < count:
                fix = f"choose another one (they count from 0), or write {split_file.NAME}"
                raise FileError(self.root, f"a fold {fold}", f"{count} folds, as the folder has no split file", fix)
            folds, drawn = self.folds(count)
            splits = dict(folds[fold])
            drawn = f"fold {fold} of {count}, {drawn}"
        named = {name for names in splits.values() for name in names}
        if test := tuple(name for name in self.splits.get("test", ()) if name not in named):
            splits["test"] = test
        return replace(self, splits=splits, drawn=drawn)

    def folds(self, count: int = FOLDS) -> tuple[list[dict[str, tuple[str, ...]]], str]:
        """So many folds of all cases that are not for testing, and how they are made, in words.

        Volumes have those that nnU-Net makes of the same names. Pictures are dealt out by their classes, with
        neighbours in one fold.

        Raises:
            DataError: If there are too few cases.
        """
        held = set(self.splits.get("test", ()))
        if self.layout == "nnunet":  # which never looks at a folder of cases for validation
            held.update(self.splits.get("val", ()))
        names = [case.name for case in self.cases if case.name not in held]
        if len(names) < count:
            raise FileError(self.root, f"at least {count} cases for {count} folds", str(len(names)), "add cases")
        if not self.pictures:
            parted = patients_of(self._named(names)).told
            told = f"; {parted} are in several of them" if parted else ""
            return nnunets_folds(names, count), f"those of nnU-Net{told}"
        sizes = {str(part): (len(names) + count - 1 - part) // count for part in range(count)}
        parts, drawn = self._stratified(names, sizes)
        return folds_of(list(parts.values())), drawn

    def _named(self, names: Collection[str]) -> list[CaseFiles]:
        """Cases by their names, in their order."""
        wanted = set(names)
        return [case for case in self.cases if case.name in wanted]

    def _stratified(self, names: Sequence[str], sizes: Mapping[str, int]) -> tuple[dict[str, tuple[str, ...]], str]:
        """Cases dealt out by their classes in blocks of neighbours, and how, in words."""
        cases = self._named(names)
        blocks = blocks_of(cases)
        if len(set(blocks.keys)) < len(sizes):
            blocks = Blocks(tuple(range(len(cases))))
        parts = stratified(traits_of(cases, self.labels), blocks.keys, sizes)
        return parts, ", ".join(filter(None, ["drawn, each class in its share", blocks.told]))

    def fingerprint(self) -> str:
        """Hash of label space, case names and splits: equal if the same task on the same cases."""
        content = [self.labels.to_json(), [case.name for case in self.cases], dict(self.splits)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def open_dataset(
    root: Path,
    fold: int | None = None,
    dataset: Recognition = "auto",
    bands: str | None = None,
    folds: int | None = None,
) -> Dataset:
    """Look at a labelled folder and recognise its layout.

    Args:
        root: Folder in one of the `LAYOUTS`, or that of a data set known by name as its publisher ships it.
        fold: Entry of its split file, or of the usual five folds where it has none; None takes its own splits.
        dataset: Whether it may be taken for a data set known by name.
        bands: Bands of pictures that are used (see `samtailor.check`).
        folds: How many folds there are to be (see `Dataset.with_fold`).

    Raises:
        DataError: If the folder is neither, or its dataset.json or splits are not as expected.
    """
    opened = with_splits(open_cases(root, dataset, bands))
    return opened if fold is None else opened.with_fold(fold, folds)


def open_cases(root: Path, dataset: Recognition = "auto", bands: str | None = None) -> Dataset:
    """The data set without its splits."""
    if not os.path.isdir(root):
        found = "a file" if os.path.isfile(root) else "no such folder"
        fix = "give the folder that it lies in" if os.path.isfile(root) else "give the path of the data set"
        raise FileError(root, "a folder with a data set", found, fix)
    layout = next(layout for layout in LAYOUTS if layout.recognises(root))
    named = looking_like(root) if layout is inferred.LAYOUT and dataset == "auto" else None
    if named:
        contents = with_bands(root, named.read_contents(root), bands)
        return Dataset(root=root, layout="publisher", name=named.name, **vars(contents))
    contents = with_bands(root, layout.read_contents(root), bands)
    names = [case.name for case in contents.cases]
    named = published(contents.labels, names, contents.title) if dataset == "auto" else None
    return Dataset(root=root, layout=layout.name, name=named.name if named else None, **vars(contents))


def with_splits(dataset: Dataset) -> Dataset:
    """The data set with the splits that the folder names; none if it names none."""
    if dataset.layout == "publisher" and dataset.named:
        splits = dataset.named.read_splits(dataset.root, dataset.cases)
    else:
        layout = next(layout for layout in LAYOUTS if layout.name == dataset.layout)
        splits = layout.read_splits(dataset.root, dataset)
    return replace(dataset, splits=splits)

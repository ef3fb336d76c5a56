"""FLARE22: abdominal CT with 13 organs, the 50 labelled cases of the MICCAI FLARE 2022 challenge.

`FLARE22Train/images/FLARE22_Tr_0001_0000.nii.gz`, `FLARE22Train/labels/FLARE22_Tr_0001.nii.gz`. What else the
challenge ships (unlabelled cases, validation and test images without labels) lies beside it and is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.layouts.contents import Contents, matching, pair
from samtailor.data.named.named_dataset import NamedDataset, split_of_names
from samtailor.labels import LabelSpace
from samtailor.metrics.protocols import FLARE22_CLASSES

_ALL = tuple(f"FLARE22_Tr_{number:04d}" for number in range(1, 51))
_IMAGE, _LABEL = r"(FLARE22_.*)_0000\.nii\.gz", r"(FLARE22_.*)\.nii\.gz"


def looks_like(root: Path) -> bool:
    """Whether the folder is FLARE22Train, or holds it or another of the challenge's folders or archives."""
    inside = [path.name.lower() for path in root.iterdir()]
    if root.name.lower().startswith("flare22") or any(name.startswith("flare22") for name in inside):
        return "dataset.json" not in inside
    return bool(matching(root / "images", _IMAGE) or matching(root / "labels", _LABEL))


def read_contents(root: Path) -> Contents:
    """The labelled cases."""
    base = _base(root)
    images, labels = matching(base / "images", _IMAGE), matching(base / "labels", _LABEL)
    FLARE22.require(root, {base / "images": images, base / "labels": labels})
    cases, orphans = pair(images, labels)
    absent = [name for name in _ALL if name not in images]
    remarks = FLARE22.remark(base, "50 labelled cases", len(images), absent)
    return Contents(FLARE22.labels, cases, ("CT",), None, orphans, remarks)


def read_splits(root: Path, cases: tuple[CaseFiles, ...]) -> Mapping[str, tuple[str, ...]]:
    """The split of the 50 cases, without those that are missing; split anew if that leaves a part empty."""
    names = [case.name for case in cases]
    of_all = {split: tuple(n for n in part if n in names) for split, part in split_of_names(list(_ALL)).items()}
    return of_all if all(of_all.values()) and set(names) <= set(_ALL) else split_of_names(names)


def _base(root: Path) -> Path:
    """The folder that holds images and labels."""
    inside = root / "FLARE22Train"
    return inside if inside.is_dir() and not matching(root / "images", _IMAGE) else root


FLARE22 = NamedDataset(
    name="flare22",
    title="FLARE22",
    aliases=("flare",),
    cases=r"FLARE22_Tr_\d{4}",
    labels=LabelSpace.from_names(FLARE22_CLASSES),
    protocol="flare22",
    published="https://doi.org/10.5281/zenodo.7860267 (FLARE22Train.zip); challenge: https://flare22.grand-challenge.org",
    terms="the challenge's rules (https://flare22.grand-challenge.org/Rules) and the licence on the record",
    folder="FLARE22Train/images/FLARE22_Tr_0001_0000.nii.gz, FLARE22Train/labels/FLARE22_Tr_0001.nii.gz, ...",
    split="ours, fixed: the 50 labelled cases in the order of the SHA-256 of their names, 35 train, 5 val, 10 test "
    "(the challenge names none)",
    looks_like=looks_like,
    read_contents=read_contents,
    read_splits=read_splits,
)

"""BTCV: abdominal CT with 13 organs, the 30 labelled cases of "Beyond the Cranial Vault" (Synapse).

`RawData/Training/img/img0001.nii.gz`, `RawData/Training/label/label0001.nii.gz`. `RawData/Testing` has no labels and is
not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.layouts.contents import Contents, matching, pair, visible_files
from samtailor.data.named.named_dataset import NamedDataset, split_in_order
from samtailor.labels import LabelSpace

_ORGANS = (
    "spleen, right kidney, left kidney, gallbladder, esophagus, liver, stomach, aorta, inferior vena cava, "
    "portal and splenic veins, pancreas, right adrenal gland, left adrenal gland"
)
# The test cases of TransUNet (lists/lists_Synapse/test_vol.txt of its repository), which nearly all later work shares.
_TEST = tuple(f"case{number:04d}" for number in (1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38))
_VAL = ("case0010", "case0028", "case0037")  # TransUNet has none: ours, 3 of its 18 training cases
_TRAIN = tuple(f"case{number:04d}" for number in (5, 6, 7, 9, 21, 23, 24, 26, 27, 30, 31, 33, 34, 39, 40))


def looks_like(root: Path) -> bool:
    """Whether the folder is RawData or its Training, or holds them or their archive."""
    inside = {path.name for path in root.iterdir()}
    if "RawData.zip" in inside:
        return True
    if "RawData" in inside:
        folders = {kind: _base(root) / kind for kind in ("img", "label")}
        published = any(_files(folder, kind) for kind, folder in folders.items())
        return published or not any(visible_files(folder) for folder in folders.values())
    found = [_files(base / kind, kind).keys() for base in (root, root / "Training") for kind in ("img", "label")]
    return any(found) and {name for names in found for name in names} <= {*_TRAIN, *_VAL, *_TEST}


def read_contents(root: Path) -> Contents:
    """The labelled cases, named as TransUNet names them: case0001, ..."""
    base = _base(root)
    images, labels = _files(base / "img", "img"), _files(base / "label", "label")
    BTCV.require(root, {base / "img": images, base / "label": labels})
    cases, orphans = pair(images, labels)
    absent = [name.replace("case", "img") for name in sorted({*_TRAIN, *_VAL, *_TEST} - images.keys())]
    remarks = BTCV.remark(base, "30 labelled cases", len(images), absent)
    return Contents(BTCV.labels, cases, ("CT",), None, orphans, remarks)


def read_splits(root: Path, cases: tuple[CaseFiles, ...]) -> Mapping[str, tuple[str, ...]]:
    """The split, without cases that are missing; the cases in order, split anew, if that leaves a part empty."""
    names = [case.name for case in cases]
    usual = {"train": _TRAIN, "val": _VAL, "test": _TEST}
    present = {split: tuple(name for name in part if name in names) for split, part in usual.items()}
    return present if all(present.values()) else split_in_order(names)


def _base(root: Path) -> Path:
    """The folder that holds img and label."""
    for inside in ("RawData/Training", "Training"):
        if (root / inside).is_dir():
            return root / inside
    return root


def _files(folder: Path, prefix: str) -> dict[str, Path]:
    """Files named by a prefix and four digits, by case name."""
    return {f"case{number}": file for number, file in matching(folder, rf"{prefix}(\d+)\.nii\.gz").items()}


BTCV = NamedDataset(
    name="btcv",
    title="BTCV",
    aliases=("btcv", "synapse", "abdomen"),
    cases=r"(btcv_?|case_?|img|abdomen_?)\d{1,4}",
    labels=LabelSpace.from_names(("background", *_ORGANS.split(", "))),
    protocol="nnunet",
    published="https://doi.org/10.7303/syn3193805 (Synapse, Abdomen/RawData.zip, after registration)",
    terms="Synapse's terms for this data set, accepted at registration; no redistribution",
    folder="RawData/Training/img/img0001.nii.gz, RawData/Training/label/label0001.nii.gz, ...",
    split="TransUNet's 18/12: test 0001-0004, 0008, 0022, 0025, 0029, 0032, 0035, 0036, 0038; val (ours, of its 18 "
    "training cases) 0010, 0028, 0037",
    advice="--protocol transunet gives numbers to set beside TransUNet's and SAMed's, by their rule for absent organs",
    looks_like=looks_like,
    read_contents=read_contents,
    read_splits=read_splits,
)

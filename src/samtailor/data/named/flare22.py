"""FLARE22: abdominal CT with 13 organs, the 50 labelled cases of the MICCAI FLARE 2022 challenge.

`FLARE22Train/images/FLARE22_Tr_0001_0000.nii.gz`, `FLARE22Train/labels/FLARE22_Tr_0001.nii.gz`. What else the
challenge ships (unlabelled cases, validation and test images without labels) lies beside it and is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.finding import Finding
from samtailor.data.layouts.contents import Contents, visible_files
from samtailor.data.named.named_dataset import NamedDataset, enumerated, incomplete, split_of_names
from samtailor.labels import LabelSpace

_TITLE = "FLARE22"
_PUBLISHED = "https://doi.org/10.5281/zenodo.7860267 (FLARE22Train.zip); challenge: https://flare22.grand-challenge.org"
_FOLDER = "FLARE22Train/images/FLARE22_Tr_0001_0000.nii.gz, FLARE22Train/labels/FLARE22_Tr_0001.nii.gz, ..."
_ALL = tuple(f"FLARE22_Tr_{number:04d}" for number in range(1, 51))
_IMAGE, _LABEL = "_0000.nii.gz", ".nii.gz"


def looks_like(root: Path) -> bool:
    """Whether the folder is FLARE22Train, or holds it or another of the challenge's folders or archives."""
    inside = [path.name.lower() for path in root.iterdir()]
    if root.name.lower().startswith("flare22") or any(name.startswith("flare22") for name in inside):
        return "dataset.json" not in inside
    return any(_files(root / folder, suffix) for folder, suffix in (("images", _IMAGE), ("labels", _LABEL)))


def read_contents(root: Path) -> Contents:
    """The labelled cases.

    Raises:
        FileError: If the folder with the labelled cases, its images or all its labels are missing.
    """
    base = _base(root)
    images, labels = _files(base / "images", _IMAGE), _files(base / "labels", _LABEL)
    if not images or not labels:
        missing = "images" if not images else "labels"
        raise incomplete(root, _TITLE, f"{_FOLDER} with files in {missing}", base / missing, _PUBLISHED)
    cases = tuple(CaseFiles(name, (file,), labels.get(name)) for name, file in images.items())
    orphans = tuple(file for name, file in labels.items() if name not in images)
    remarks = []
    if absent := [name for name in _ALL if name not in images]:
        found = f"{len(images)}; missing {enumerated(absent)}"
        remarks.append(Finding("warning", str(base), "50 labelled cases", found, f"fetch them from {_PUBLISHED}"))
    return Contents(FLARE22.labels, cases, ("CT",), None, orphans, tuple(remarks))


def read_splits(root: Path, cases: tuple[CaseFiles, ...]) -> Mapping[str, tuple[str, ...]]:
    """The split of the 50 cases, without those that are missing; split anew if that leaves a part empty."""
    names = [case.name for case in cases]
    of_all = {split: tuple(n for n in part if n in names) for split, part in split_of_names(list(_ALL)).items()}
    return of_all if all(of_all.values()) and set(names) <= set(_ALL) else split_of_names(names)


def _base(root: Path) -> Path:
    """The folder that holds images and labels."""
    inside = root / "FLARE22Train"
    return inside if inside.is_dir() and not _files(root / "images", _IMAGE) else root


def _files(folder: Path, suffix: str) -> dict[str, Path]:
    """Labelled cases' files by case name."""
    names = [file for file in visible_files(folder) if file.name.startswith("FLARE22_") and file.name.endswith(suffix)]
    return {file.name.removesuffix(suffix): file for file in names}


FLARE22 = NamedDataset(
    name="flare22",
    title=_TITLE,
    aliases=("flare",),
    labels=LabelSpace.from_names(
        (
            "background",
            "liver",
            "right kidney",
            "spleen",
            "pancreas",
            "aorta",
            "inferior vena cava",
            "right adrenal gland",
            "left adrenal gland",
            "gallbladder",
            "esophagus",
            "stomach",
            "duodenum",
            "left kidney",
        )
    ),
    protocol="flare22",
    published=_PUBLISHED,
    terms="the challenge's rules (https://flare22.grand-challenge.org/Rules) and the licence on the record",
    folder=_FOLDER,
    split="ours, fixed: the 50 labelled cases in the order of the SHA-256 of their names, 35 train, 5 val, 10 test "
    "(the challenge names none)",
    looks_like=looks_like,
    read_contents=read_contents,
    read_splits=read_splits,
)

"""SIRST, version 1: single frames of infrared sequences with small targets.

`images/Misc_1.png`, `masks/Misc_1_pixels0.png` (white on black), `idx_427/{train,val,test}.txt` (or, in an older copy,
idx_320). Its author asks not to call it NUAA-SIRST. The bounding boxes (`masks/*.xml`) are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_geometry
from samtailor.data.layouts.contents import Contents, by_stem, entries
from samtailor.data.named.named_dataset import NamedDataset
from samtailor.errors import FileError, Finding
from samtailor.files import read_text
from samtailor.labels import LabelSpace

_ENDING = "_pixels0"
_NAME = r"Misc_\d{1,3}"
_INDICES = ("idx_427", "idx_320")
_WRONG_SIZE = "Misc_111"  # as published; whoever counts 426 images has left it out, too


def looks_like(root: Path) -> bool:
    """Whether the folder has masks or lists of names as SIRST has them."""
    if any((root / index).is_dir() for index in _INDICES) or by_stem(root / "masks", _ENDING):
        return True
    if (root / "dataset.json").exists():
        return False
    names = by_stem(root / "images").keys()
    if names & by_stem(root / "masks").keys():  # somebody else has made masks of these names
        return False
    return bool(names) and all(re.fullmatch(_NAME, name) for name in names)


def read_contents(root: Path) -> Contents:
    """Images and masks; Misc_111 is left out, with a remark, where its mask is of another size than it."""
    images, masks = by_stem(root / "images"), by_stem(root / "masks", _ENDING)
    SIRST.require(root, {root / "images": images, root / "masks": masks})
    usual = [f"Misc_{number}" for number in range(1, 428)] if len(images) < 427 else []
    absent = [name for name in usual if name not in images]
    remarks = SIRST.remark(root / "images", "427 images", len(images), absent)
    if remark := _left_out(images, masks):
        remarks += (remark,)
        images.pop(_WRONG_SIZE), masks.pop(_WRONG_SIZE)
    return Contents.from_pictures(SIRST.labels, images, masks, remarks)


def read_splits(root: Path, cases: tuple[CaseFiles, ...]) -> Mapping[str, tuple[str, ...]]:
    """The publisher's lists, without the image that is left out."""
    folder = next((root / index for index in _INDICES if (root / index).is_dir()), root / _INDICES[0])
    known = {case.name for case in cases}
    splits = {}
    for split in ("train", "val", "test"):
        path = folder / f"{split}.txt"
        if not path.is_file():
            fix = f"fetch the folder {folder.name} from {SIRST.published}"
            raise FileError(path, f"SIRST's list of the images of split {split}", entries(folder), fix)
        names = read_text(path, f"a list of the images of split {split}", "fetch it again").split()
        splits[split] = tuple(sorted(name for name in names if name != _WRONG_SIZE or name in known))
    return splits


def _left_out(images: dict[str, Path], masks: dict[str, Path]) -> Finding | None:
    """The remark on Misc_111, if it is there and its mask does not fit."""
    with suppress(KeyError, FileError):  # of an unreadable one the check of the case tells
        image, mask = (" x ".join(map(str, read_geometry(files[_WRONG_SIZE]).shape[1:])) for files in (images, masks))
        if image != mask:
            fix = "nothing to do: it is so as published, and is left out of training and scores"
            return Finding("warning", str(masks[_WRONG_SIZE]), f"a mask of {image} pixels like the image", mask, fix)
    return None


SIRST = NamedDataset(
    name="sirst",
    title="SIRST",
    aliases=("sirst",),
    cases=_NAME,
    labels=LabelSpace(("background", "target"), (0, 255), ((0, 0, 0), (255, 0, 0)), threshold=127),
    protocol="irstd",
    published="https://github.com/YimianDai/sirst (Dai et al., WACV 2021, https://arxiv.org/abs/2009.14530)",
    terms="the publisher's, for research; cite the paper",
    folder="images/Misc_1.png, masks/Misc_1_pixels0.png, ..., idx_427/train.txt, val.txt, test.txt",
    split="the publisher's idx_427: 256 train, 85 val, 86 test (85 without Misc_111); idx_320 where only that is there",
    advice="targets are 0.06 % of the pixels: train with --time, or --loss.class_weights auto --sampling.field 128",
    looks_like=looks_like,
    read_contents=read_contents,
    read_splits=read_splits,
)

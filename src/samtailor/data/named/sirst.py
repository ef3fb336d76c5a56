"""SIRST, version 1: single frames of infrared sequences with small targets.

`images/Misc_1.png`, `masks/Misc_1_pixels0.png` (white on black), `idx_427/{train,val,test}.txt` (or, in an older copy,
idx_320). Its author asks not to call it NUAA-SIRST. The bounding boxes (`masks/*.xml`) are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.finding import Finding
from samtailor.data.formats import read_geometry
from samtailor.data.layouts.contents import Contents
from samtailor.data.layouts.pictures import by_stem, picture_facts
from samtailor.data.named.named_dataset import NamedDataset, enumerated, incomplete, listed
from samtailor.errors import FileError
from samtailor.labels import LabelSpace

_TITLE = "SIRST"
_PUBLISHED = "https://github.com/YimianDai/sirst (Dai et al., WACV 2021, https://arxiv.org/abs/2009.14530)"
_FOLDER = "images/Misc_1.png, masks/Misc_1_pixels0.png, ..., idx_427/train.txt, val.txt, test.txt"
_ENDING = "_pixels0"
_INDICES = ("idx_427", "idx_320")
_WRONG_SIZE = "Misc_111"  # as published; whoever counts 426 images has left it out, too


def looks_like(root: Path) -> bool:
    """Whether the folder has masks or lists of names as SIRST has them."""
    if any((root / index).is_dir() for index in _INDICES):
        return True
    return bool(by_stem(root / "masks", _ENDING)) or any(
        name.startswith("Misc_") and not (root / "dataset.json").exists() for name in by_stem(root / "images")
    )


def read_contents(root: Path) -> Contents:
    """Images and masks; Misc_111 is left out, with a remark, where its mask is of another size than it.

    Raises:
        FileError: If the images or all masks are missing.
    """
    images, masks = by_stem(root / "images"), by_stem(root / "masks", _ENDING)
    if not images or not masks:
        missing = "images" if not images else "masks"
        raise incomplete(root, _TITLE, f"{_FOLDER} with files in {missing}", root / missing, _PUBLISHED)
    remarks = []
    if len(images) < 427:
        absent = [f"Misc_{number}" for number in range(1, 428) if f"Misc_{number}" not in images]
        found = f"{len(images)}; missing {enumerated(absent)}"
        remarks.append(Finding("warning", str(root / "images"), "427 images", found, f"fetch them from {_PUBLISHED}"))
    if remark := _left_out(images, masks):
        remarks.append(remark)
        images.pop(_WRONG_SIZE), masks.pop(_WRONG_SIZE)
    cases = tuple(CaseFiles(name, (file,), masks.get(name)) for name, file in images.items())
    orphans = tuple(file for name, file in masks.items() if name not in images)
    facts = picture_facts(cases)
    return Contents(SIRST.labels, cases, facts.channels, facts.bits, orphans, tuple(remarks), facts.largest)


def read_splits(root: Path, cases: tuple[CaseFiles, ...]) -> Mapping[str, tuple[str, ...]]:
    """The publisher's lists, without the image that is left out.

    Raises:
        FileError: If there is no list, or one of the three is missing.
    """
    folder = next((root / index for index in _INDICES if (root / index).is_dir()), root / _INDICES[0])
    known = {case.name for case in cases}
    splits = {}
    for split in ("train", "val", "test"):
        path = folder / f"{split}.txt"
        if not path.is_file():
            expected = f"{_TITLE}'s list of the images of split {split}"
            raise FileError(path, expected, listed(folder), f"fetch the folder {folder.name} from {_PUBLISHED}")
        names = path.read_text(encoding="utf-8").split()
        splits[split] = tuple(sorted(name for name in names if name != _WRONG_SIZE or name in known))
    return splits


def _left_out(images: dict[str, Path], masks: dict[str, Path]) -> Finding | None:
    """The remark on Misc_111, if it is there and its mask does not fit."""
    if _WRONG_SIZE not in images or _WRONG_SIZE not in masks:
        return None
    try:
        image, mask = (" x ".join(map(str, read_geometry(files[_WRONG_SIZE]).shape[1:])) for files in (images, masks))
    except FileError:
        return None  # the check of the case says so
    if image == mask:
        return None
    fix = "nothing to do: it is so as published, and is left out of training and scores"
    return Finding("warning", str(masks[_WRONG_SIZE]), f"a mask of {image} pixels like the image", mask, fix)


SIRST = NamedDataset(
    name="sirst",
    title=_TITLE,
    aliases=("sirst",),
    labels=LabelSpace(("background", "target"), (0, 255), ((0, 0, 0), (255, 0, 0)), threshold=127),
    protocol="irstd",
    published=_PUBLISHED,
    terms="the publisher's, for research; cite the paper",
    folder=_FOLDER,
    split="the publisher's idx_427: 256 train, 85 val, 86 test (85 without Misc_111); idx_320 where only that is there",
    advice="targets are 0.06 % of the pixels: --loss.class_weights auto and --sampling.field 128 help",
    looks_like=looks_like,
    read_contents=read_contents,
    read_splits=read_splits,
)

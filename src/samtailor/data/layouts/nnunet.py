"""The nnU-Net layout, and the Medical Segmentation Decathlon's, which it descends from.

`imagesTr/<case>_0000.nii.gz` (one file per channel), `labelsTr/<case>.nii.gz`, `dataset.json`,
`splits_final.json`; cases of `imagesTs` that have a label in `labelsTs` are the test split, those of `imagesVa` (AMOS,
WORD) that of validation, unless a split file says which is. An image may also be a folder that holds a DICOM series,
`imagesTr/<case>_0000/`: `file_ending` is that of files then. The Decathlon's dataset.json maps ids to names, lists its
files, and has all channels in one 4-D file.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from samtailor.data.case import CaseFiles
from samtailor.data.formats import find_format, image_suffixes
from samtailor.data.layouts import split_file
from samtailor.data.layouts.contents import Contents, by_name, composed, entries, label_space, passed_over
from samtailor.data.layouts.layout import Layout, Splits
from samtailor.errors import FileError, Finding
from samtailor.files import read_json
from samtailor.labels import LabelSpace, default_palette

_VALIDATION = ("Va", "Val")
"""Ends of the folders of cases for validation."""
_FIX = "write nnU-Net's dataset.json with labels, channel_names and file_ending"
_NUMBERED = re.compile("(.+)_([0-9]{4})")


def read_contents(root: Path) -> Contents:
    """Classes and cases of the folder."""
    path = root / "dataset.json"
    content = read_json(path, dict, _FIX)
    channels = channels_of(path, content)
    ending = content.get("file_ending", ".nii.gz")
    kinds = image_suffixes(only_volumes=True)
    if not isinstance(ending, str) or not ending.endswith(kinds):
        raise FileError(path, f"file_ending {' or '.join(kinds)}", f"{ending!r}", "convert the files to NIfTI")
    if is_decathlon := isinstance(content.get("training"), list):
        training = _listed_cases(root, path, content["training"], len(channels), ending)
    else:
        training = _scanned_cases(root, "Tr", len(channels), ending)
    trained = {case.name for case in training}
    listed = _listed_validation(root, path, content, len(channels), ending) if is_decathlon else []
    known = trained | {case.name for case in listed}
    test = [case for case in _scanned_cases(root, "Ts", len(channels), ending) if case.label]
    find = _alike if is_decathlon else _scanned_cases
    validation = [case for part in _VALIDATION for case in find(root, part, len(channels), ending) if case.label]
    others = [case for case in listed if case.name not in trained]
    others += [*test, *(case for case in validation if case.name not in known)]
    if not training:
        fix = f"name the images <case>_0000{ending} there"
        raise FileError(root / "imagesTr", f"images <case>_0000{ending}", entries(root / "imagesTr"), fix)
    cases = tuple(sorted((*training, *others), key=lambda case: case.name))
    for first, second in pairwise(cases):
        if first.name == second.name:
            found = f"{first.images[0]} and {second.images[0]}"
            raise FileError(root, f"one case named '{first.name}'", found, "rename or remove one of them")
    used = {file for case in cases for file in (*case.images, case.label)}
    named = ("imagesTr", "labelsTr", "labelsTs", *(f"labels{part}" for part in _VALIDATION))
    folders = [root / folder for folder in named]
    volumes = {file for folder in folders for file in _volumes(folder).values()}
    orphans = tuple(sorted(volumes - used))
    remarks = [remark for folder in folders for remark in passed_over(folder, volumes, kinds)]
    remarks += _other_number(path, content.get("numTraining"), len(training))
    return Contents(
        labels_of(path, content),
        cases,
        channels,
        orphans=orphans,
        remarks=tuple(remarks),
        title=content.get("name"),
        splits={"val": tuple(case.name for case in listed)} if listed else {},
    )


def _other_number(path: Path, expected: Any, number: int) -> Iterator[Finding]:
    if type(expected) is int and expected != number:
        fix = "add the missing images, or correct numTraining"
        yield Finding("warning", str(path), f"numTraining cases in imagesTr, {expected}", str(number), fix)


def recognises(root: Path) -> bool:
    """Whether the folder has imagesTr and a dataset.json, which does not say that it holds pictures."""
    path = root / "dataset.json"
    if not (root / "imagesTr").is_dir() or not os.path.lexists(path):
        return False
    ending = read_json(path, dict, _FIX).get("file_ending")
    return not (isinstance(ending, str) and ending.lower().endswith(image_suffixes(only_pictures=True)))


def read_splits(root: Path, contents: Contents) -> Splits:
    """Case names of train and val of the first fold, and of val and test where there are labelled cases of them."""
    parts = {"val": [f"images{part}" for part in _VALIDATION], "test": ["imagesTs"]}
    found = {
        split: tuple(
            case.name
            for case in contents.cases
            if case.images[0].parent.name in folders or case.name in contents.splits.get(split, ())
        )
        for split, folders in parts.items()
    }
    shown = {split: names for split, names in found.items() if names}
    path = root / split_file.NAME
    fold = split_file.read_fold(path, 0) if path.exists() else {}
    tested = {"test": found["test"]} if found["test"] else {}
    return {**shown, **fold, **tested}


def channels_of(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    """Names of the channels that dataset.json gives."""
    names = content.get("channel_names", content.get("modality"))
    if not isinstance(names, dict) or not names or sorted(names) != sorted(map(str, range(len(names)))):
        raise FileError(path, 'channel_names like {"0": "CT"}', f"{names!r:.80}", "number the channels from 0")
    return tuple(str(names[str(channel)]) for channel in range(len(names)))


def labels_of(path: Path, content: dict[str, Any]) -> LabelSpace:
    """Label space of either form of dataset.json; a label named 'ignore' is the ignore id."""
    fix = 'write labels like {"background": 0, "liver": 1}'
    labels = content.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise FileError(path, "labels", f"{labels!r:.80}", fix)
    if any(isinstance(value, list) for value in labels.values()):
        found = "region-based labels (lists of ids)"
        raise FileError(path, "one id per label", found, "give each class one id of its own")
    if all(re.fullmatch("[0-9]{1,10}", key) and isinstance(value, str) for key, value in labels.items()):
        if len(set(labels.values())) < len(labels):
            raise FileError(path, "a name of its own for each label", f"{labels!r:.80}", "rename them")
        labels = {name: int(identifier) for identifier, name in labels.items()}
    if not all(type(identifier) is int for identifier in labels.values()):
        raise FileError(path, "integer ids of labels", f"{labels!r:.80}", fix)
    ignore = labels.get("ignore")
    classes = sorted((identifier, name) for name, identifier in labels.items() if name != "ignore")
    if len(classes) < 2 or classes[0][0] != 0:
        raise FileError(path, "a background with id 0 and at least one class", f"ids {[i for i, _ in classes]}", fix)
    ids, names = zip(*classes, strict=True)
    return label_space(path, names, ids, default_palette(len(names)), ignore)


def _scanned_cases(root: Path, part: str, channels: int, ending: str) -> list[CaseFiles]:
    """Cases of `images<part>`, by the names of the files; all channels are named, present or not."""
    folder = root / f"images{part}"
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    for stem, file in _volumes(folder).items():
        if match := _NUMBERED.fullmatch(stem):
            found[match[1]][int(match[2])] = file
    labels = _volumes(root / f"labels{part}")

    def channel(name: str, files: dict[int, Path], number: int) -> Path:
        is_folder = os.path.isdir(next(iter(files.values())))
        return files.get(number, folder / f"{name}_{number:04d}{'' if is_folder else ending}")

    return [
        CaseFiles(name, tuple(channel(name, files, number) for number in range(channels)), labels.get(name))
        for name, files in sorted(found.items())
    ]


def _volumes(folder: Path) -> dict[str, Path]:
    """Volumes of a folder by stem, whichever suffix they have; a folder may be one."""
    return by_name(folder, _stem, folders=True)


def _stem(path: Path) -> str | None:
    """Name of a volume without suffix; None if it is none."""
    format = find_format(path)
    return format.stem_of(path) if format and format.volumes else None


def _alike(root: Path, part: str, channels: int, ending: str) -> list[CaseFiles]:
    """Cases of `images<part>` whose labels are called as they are, as the Decathlon's; or else as nnU-Net's."""
    images, labels = (_volumes(root / f"{kind}{part}") for kind in ("images", "labels"))
    alike = [CaseFiles(name, (file,), labels[name]) for name, file in sorted(images.items()) if name in labels]
    return alike or _scanned_cases(root, part, channels, ending)


def _listed_cases(root: Path, path: Path, listed: list[Any], channels: int, ending: str) -> list[CaseFiles]:
    """Cases of a list of the Decathlon's; nnU-Net's first version listed 'x.nii.gz' for 'x_0000.nii.gz', ..."""
    scanned = {case.name: case for case in _scanned_cases(root, "Tr", channels, ending)}
    cases = []
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
            fix = 'list {"image": "./imagesTr/x.nii.gz", "label": "./labelsTr/x.nii.gz"}'
            raise FileError(path, "training cases with image and label", f"{entry!r:.80}", fix)
        image = root / entry["image"]
        name = composed(_stem(image) or image.name)
        if name in scanned and not os.path.exists(image):
            cases.append(scanned[name])
            continue
        label = root / str(entry.get("label", f"labelsTr/{image.name}"))
        cases.append(CaseFiles(name, (image,), label if os.path.isfile(label) else None))
    return cases


def _listed_validation(root: Path, path: Path, content: dict[str, Any], channels: int, ending: str) -> list[CaseFiles]:
    """Cases of the list that MONAI has for validation; what lists names alone, as for the test, lists no labels."""
    listed = content.get("validation")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return [case for case in _listed_cases(root, path, entries, channels, ending) if case.label]


LAYOUT = Layout("nnunet", recognises, read_contents, read_splits)

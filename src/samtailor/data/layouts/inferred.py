"""The folder that no dataset.json describes, or not all of it: what it lacks, files and labels tell.

Cases are found by lists and names (`finding.py`); classes are what the labels hold (`classes.py`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from samtailor.data.formats import find_format, format_of, label_format_of
from samtailor.data.formats.label_content import LabelContent
from samtailor.data.layouts import images, listed, split_file, tree
from samtailor.data.layouts.classes import classes_of
from samtailor.data.layouts.contents import Contents, visible_entries
from samtailor.data.layouts.finding import find
from samtailor.data.layouts.found import UNKNOWN, Found
from samtailor.data.layouts.layout import Layout, Splits
from samtailor.errors import FileError, Finding
from samtailor.errors import listed as first_of
from samtailor.files import read_json
from samtailor.labels import LabelSpace
from samtailor.progress import report

_THREADS = 4
_DEEPEST = 3
_CLASSES_TOLD = 8
_FIX = 'write {"classes": ["background", ...]}'


def recognises(root: Path) -> bool:
    """Every folder may be one."""
    return True


def read_contents(root: Path) -> Contents:
    """Classes and cases, and what was taken for what."""
    path = root / "dataset.json"
    given: dict[str, Any] = read_json(path, dict, _FIX) if path.is_file() else {}
    if not given and (inner := _described_inside(root)):
        raise FileError(root, "the data set itself", f"a folder around {inner.name}, which says more", f"give {inner}")
    found = find(root)
    if found is None:
        raise tree.refused(root)
    if found.labels is None and not given.keys() & {"classes", "labels"}:
        found = _of_one_kind(root, found)
    told = dict(found.told)
    if given.keys() & {"classes", "labels"}:
        labels = listed.labels_of(path, given)
    elif found.labels is not None:
        labels = found.labels
    else:
        labels, why = _classes(found)
        told["classes"] = f"{_told(labels)}: {why}"
        if labels.threshold is not None:
            fix = f"look whether that is so; if the levels between are classes, {_FIX}, with their ids"
            remark = Finding("warning", str(root), "masks of black and white alone, or with soft edges", why, fix)
            found = replace(found, remarks=(*found.remarks, remark))
    contents = _contents(found, labels, given)
    if contents.bits:
        contents = images.with_bands(path, given, contents)
    elif not given:
        told["channels"] = _told_channels(contents.channels)
    contents = replace(contents, told=told)
    return replace(contents, splits=images.splits_of(root)) if "splits" in given else contents.showing(found.splits)


def _described_inside(root: Path) -> Path | None:
    """The folder that is all there is in another one, as an archive leaves it, and describes itself."""
    folder = root
    for _ in range(_DEEPEST):
        inside = visible_entries(folder)
        if len(inside) != 1 or not os.path.isdir(inside[0]):
            break
        folder = inside[0]
        if (folder / "ImageSets").is_dir() or _says_classes(folder / "dataset.json"):
            return folder
    return None


def _says_classes(path: Path) -> bool:
    """Whether a file is a dataset.json that says something for us, rather than for another tool."""
    if not path.is_file():
        return False
    with suppress(FileError):
        return bool(read_json(path, dict, _FIX).keys() & {"classes", "labels", "dataset"})
    return False


def read_splits(root: Path, contents: Contents) -> Splits:
    """Splits that the folder shows, or else the first fold of nnU-Net's split file, if there is one."""
    return split_file.completed(root, contents.splits)


def _contents(found: Found, labels: LabelSpace, given: dict[str, Any]) -> Contents:
    title = given.get("name")
    if format_of(found.cases[0].images[0]).volumes:
        return Contents(labels, found.cases, _channels(found), remarks=found.remarks, title=title)
    pictures = {case.name: case.images[0] for case in found.cases}
    masks = {case.name: case.label for case in found.cases if case.label}
    return Contents.from_pictures(labels, pictures, masks, found.remarks, title)


def _of_one_kind(root: Path, found: Found) -> Found:
    """The cases with masks, if some have outlines instead: nobody says which of their names is which number."""
    masks = [case for case in found.cases if case.label and find_format(case.label)]
    if len(masks) in (0, len(found.cases)):
        return found
    names = {case.name for case in masks}
    left = [case.label for case in found.cases if case.name not in names and case.label]
    told = f"{len(left)} with outlines only, which are left out: {first_of([path.name for path in left], 3)}"
    fix = 'write the classes into dataset.json: {"classes": ["background", ...]}, or convert the outlines to masks'
    remark = Finding("warning", str(root), "masks, or outlines, for all images", told, fix)
    splits = {split: tuple(name for name in part if name in names) for split, part in found.splits.items()}
    return replace(found, cases=tuple(masks), splits=splits, remarks=(*found.remarks, remark))


def _channels(found: Found) -> tuple[str, ...]:
    """Names of the channels of volumes: what their names tell, or else what the first image says of itself."""
    first = found.cases[0].images[0]
    if found.channels != UNKNOWN:
        return found.channels
    with suppress(FileError):  # the check of the case says what is wrong
        format = format_of(first)
        if (count := format.read_header(first).channels) > 1:
            return tuple(f"channel {number}" for number in range(count))
        if known := format.modality(first):
            return (known,)
    return found.channels


def _classes(found: Found) -> tuple[LabelSpace, str]:
    """Classes by the labels of all cases; those that cannot be read are left to the check."""
    files = [case.label for case in found.cases if case.label]
    contents: dict[Path, LabelContent] = {}
    errors: list[FileError] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = {pool.submit(content_of, file): file for file in files}
        for done, future in enumerate(as_completed(futures), start=1):
            report("looking for classes", done, len(futures))
            try:
                contents[futures[future]] = future.result()
            except FileError as error:
                errors.append(error)
    if not contents:
        raise min(errors, key=str)
    return classes_of({file: contents[file] for file in files if file in contents})


def content_of(path: Path) -> LabelContent:
    """What a label holds, read once as long as the file does not change."""
    status = os.stat(path) if path.exists() else None
    return _content(path, (status.st_size, status.st_mtime_ns) if status else None)


@lru_cache(maxsize=1 << 16)
def _content(path: Path, state: tuple[int, int] | None) -> LabelContent:
    return label_format_of(path).content(path)


def _told_channels(channels: Sequence[str]) -> str:
    """How channels of volumes are scaled where nobody says it."""
    ct = [name for name in channels if name.upper() == "CT"]
    others = [name for name in channels if name not in ct]
    told = [f"{', '.join(ct)} by its window"] if ct else []
    told += [f"{', '.join(others)} by percentiles"] if others else []
    return ", ".join(told) + ("" if ct else "; of CT take --intensity.kind window")


def _told(labels: LabelSpace) -> str:
    """Classes with their ids, or their colours where these tell."""
    pairs: Sequence[str] = [f"{name} ({identifier})" for name, identifier in zip(labels.names, labels.ids, strict=True)]
    return first_of(pairs, _CLASSES_TOLD)


LAYOUT = Layout("inferred", recognises, read_contents, read_splits)

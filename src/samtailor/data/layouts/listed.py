"""The folder whose dataset.json lists its files: `"dataset": {"case": {"images": ["a.png"], "label": "b.png"}, ...}`.

The list is that of nnU-Net's second version; paths are relative to the folder. Classes stand in `labels` with
`channel_names`, as nnU-Net has them, or in `classes`, `ids`, `palette`, ... as in an image folder's dataset.json, and
splits in `splits`. It says all that is otherwise told by names, and is what `samtailor check --write` writes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from samtailor.data.case import CaseFiles
from samtailor.data.formats import find_format, format_of
from samtailor.data.layouts import images, nnunet
from samtailor.data.layouts.contents import Contents, composed
from samtailor.data.layouts.layout import Layout, Splits
from samtailor.errors import FileError
from samtailor.files import read_json
from samtailor.labels import LabelSpace, default_palette

_FIX = 'write "dataset": {"case": {"images": ["images/a.png"], "label": "masks/a.png"}, ...}'


def recognises(root: Path) -> bool:
    """Whether the folder has a dataset.json that lists files; nnU-Net's folders may list them too, and are scanned."""
    path = root / "dataset.json"
    if not path.is_file():
        return False
    content = read_json(path, dict, _FIX)
    return "dataset" in content and ("splits" in content or not (root / "imagesTr").is_dir())


def read_contents(root: Path) -> Contents:
    """Classes and cases of the folder."""
    path = root / "dataset.json"
    content = read_json(path, dict, _FIX)
    cases = _cases(root, path, content["dataset"])
    labels = labels_of(path, content)
    if format_of(cases[0].images[0]).volumes:
        contents = Contents(labels, cases, nnunet.channels_of(path, content), title=content.get("name"))
        return images.with_lists(root, content, contents)
    if several := [case for case in cases if len(case.images) > 1]:
        found = f"{len(several[0].images)} files of '{several[0].name}'"
        raise FileError(path, "one picture file for each case", found, "merge the channels")
    pictures = {case.name: case.images[0] for case in cases}
    masks = {case.name: case.label for case in cases if case.label}
    contents = Contents.from_pictures(labels, pictures, masks, (), content.get("name"))
    return images.with_lists(root, content, images.with_bands(path, content, contents))


def labels_of(path: Path, content: dict[str, Any]) -> LabelSpace:
    """Label space of a dataset.json, nnU-Net's or an image folder's."""
    return nnunet.labels_of(path, content) if "labels" in content else images.labels_of(path, content)


def _cases(root: Path, path: Path, listed: Any) -> tuple[CaseFiles, ...]:
    if not isinstance(listed, dict) or not listed:
        raise FileError(path, "dataset: the files of each case", f"{listed!r:.80}", _FIX)
    cases = {}
    for name, files in listed.items():
        paths = files.get("images") if isinstance(files, dict) else None
        label = files.get("label") if isinstance(files, dict) else None
        if not isinstance(paths, list) or not paths or not all(isinstance(p, str) for p in [*paths, label or ""]):
            raise FileError(path, f"images and a label of '{name}'", f"{files!r:.80}", _FIX)
        for file in paths:
            if find_format(root / file) is None:
                raise FileError(path, f"an image file of '{name}'", f"'{file}'", _FIX)
        key = composed(name)
        cases[key] = CaseFiles(key, tuple(root / file for file in paths), root / label if label else None)
    return tuple(cases[name] for name in sorted(cases))


def read_splits(root: Path, contents: Contents) -> Splits:
    """Case names of each split that dataset.json names, or else lists, or nnU-Net's split file."""
    return images.read_splits(root, contents)


def described(root: Path, contents: Contents, splits: Splits) -> dict[str, Any]:
    """The dataset.json that says the same of a folder."""
    names = {case.name: case for case in contents.cases}

    def relative(path: Path) -> str:
        return Path(os.path.relpath(path, root)).as_posix()

    listed = {
        name: {"images": list(map(relative, case.images))} | ({"label": relative(case.label)} if case.label else {})
        for name, case in names.items()
    }
    content = described_classes(contents)
    return {**content, "dataset": listed, "splits": {split: list(part) for split, part in splits.items()}}


def described_classes(contents: Contents) -> dict[str, Any]:
    """What of the dataset.json is of the classes, and the channels of volumes."""
    labels = contents.labels
    if contents.bits is None and labels.palette == default_palette(len(labels)):
        ids = dict(zip(labels.names, labels.ids, strict=True))
        return {
            "channel_names": {str(number): name for number, name in enumerate(contents.channels)},
            "labels": ids if labels.ignore_id is None else ids | {"ignore": labels.ignore_id},
            "file_ending": format_of(contents.cases[0].images[0]).suffixes[0],
            "numTraining": len(contents.cases),
        }
    usual = LabelSpace.from_names(labels.names)
    optional = {
        "ids": None if labels.ids == usual.ids else list(labels.ids),
        "palette": None if labels.palette == usual.palette else [list(colour) for colour in labels.palette],
        "ignore_index": labels.ignore_id,
        "threshold": labels.threshold,
        "use_bands": None if contents.bands is None else list(contents.bands),
    }
    return {"classes": list(labels.names)} | {name: value for name, value in optional.items() if value is not None}


LAYOUT = Layout("listed", recognises, read_contents, read_splits)

"""Labels into the data set: where its layout expects them, in the image's geometry, what they replace copied first."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.data.case import Case, CaseFiles
from samtailor.data.formats import find_format, format_of, label_format_of
from samtailor.data.formats.format import Format
from samtailor.data.layouts.contents import Contents, composed
from samtailor.data.layouts.listed import described_classes
from samtailor.data.layouts.names import role_of_folder
from samtailor.errors import FileError, listed
from samtailor.files import atomic, read_json, write_json
from samtailor.labels import IGNORE, LabelSpace
from samtailor.page.cases import Folder
from samtailor.page.edits import FOLDER
from samtailor.page.predictions import NOT_COUNTED
from samtailor.page.request_error import RequestError

_LABELS = "labels"
_TRIES = 1000


@dataclass(frozen=True)
class Saved:
    """A label that was written.

    Attributes:
        files: The case with it.
        target: Its file.
        backup: Copy of what it has replaced; None if there was nothing.
    """

    files: CaseFiles
    target: Path
    backup: Path | None


def write_label(case: Case, path: Path, label: NDArray[np.uint8], labels: LabelSpace) -> None:
    """Write a label of the page in the geometry of its image.

    What counts nowhere has the data set's ignore id. Without one, formats that know pixels without data write those
    so; elsewhere they become background.

    Args:
        case: The case.
        path: File to write; its suffix says which kind.
        label: Class indices, 255 where nothing counts, (S, H, W).
        labels: The classes.
    """
    indices = np.where(label == NOT_COUNTED, np.int16(IGNORE), label.astype(np.int16))
    if labels.ignore_id is None:
        indices[indices == IGNORE] = 0
    case.geometry.write_label(path, indices, labels)


def save(folder: Folder, case: Case, files: CaseFiles, label: NDArray[np.uint8]) -> Saved:
    """Write a label into the data set.

    Args:
        folder: The data set.
        case: The case that is labelled.
        files: Where it lies.
        label: Class indices, 255 where nothing counts, (S, H, W).

    Raises:
        RequestError: If the layout has no place for it that can be written.
    """
    target = target_of(folder, files)
    backup, replaced = None, list[Path]()
    if files.label is not None and files.label.is_file():
        replaced = _parts(files.label)
        backup, *_ = [_copied(folder.root, part) for part in replaced]
    elif target.exists():
        backup = _copied(folder.root, target)
    write_label(case, target, label, folder.labels)
    saved = replace(files, label=target)
    if folder.dataset is None:
        _describe(folder, files)
    elif folder.dataset.layout == "listed":
        _list_label(folder.root, saved)
    if files.label is not None and files.label != target:
        for part in replaced:  # two labels of one image would be refused; their copies lie with the backups
            if part != target:
                part.unlink(missing_ok=True)
    return Saved(saved, target, backup)


def _parts(label: Path) -> list[Path]:
    """The file of a label, and what of it lies beside it under its name: voxels of an `.mhd`, a Shapefile's columns."""
    parts = label_format_of(label).parts(label)
    beside = (part for part in parts if part.parent == label.parent and part.name.startswith(f"{label.stem}."))
    return list(dict.fromkeys((label, *beside)))


def target_of(folder: Folder, files: CaseFiles) -> Path:
    """The file that a label of an image is to be.

    Raises:
        RequestError: If the image's label is of a kind that cannot be written, or that of other images too.
    """
    format = format_of(files.images[0])
    target = _new_label(folder, files, format) if files.label is None else _other_label(folder, files, format)
    image = files.images[0]
    beside = target.parent == image.parent and target.name == f"{_stem(files)}{format.label_suffix}"
    if beside and image.is_file() and target != files.label:  # as outlines lie; a mask would be taken for an image
        return target.with_name(f"{_stem(files)}_mask{format.label_suffix}")
    return target


def _require_ids(folder: Folder) -> None:
    """Refuse masks beside outlines that alone say which classes there are: no dataset.json says their ids."""
    inferred = folder.dataset is not None and "classes" in folder.dataset.told
    outlined = (case.label for case in folder.labelled if case.label and find_format(case.label) is None)
    if inferred and (one := next(outlined, None)) is not None:
        raise RequestError(
            409,
            f"save: expected a dataset.json that says the ids of the classes, found them by the outlines of {one.name} "
            f"alone; stop the page, run samtailor check {folder.root} --write, and begin again",
        )


def _other_label(folder: Folder, files: CaseFiles, format: Format) -> Path:
    """The file that takes the place of the label that there is, or is it."""
    assert files.label is not None
    if others := [case.name for case in folder.cases if case.label == files.label and case.name != files.name]:
        found = f"{files.label}: expected a label file of its own, found that of {listed(others)} too"
        raise RequestError(409, f"{found}; download the label, or give each image a label of its own first")
    if files.label.name.lower().endswith(_written(format)):
        return files.label
    layout = folder.dataset.layout if folder.dataset else "inferred"
    if not files.label.is_file() or layout == "publisher":
        raise RequestError(
            409,
            f"{files.label}: expected a label file of its own with {' or '.join(_written(format))}, as labels of such "
            "images are written; found another kind; download the label, or convert the data set's labels first",
        )
    _require_ids(folder)
    own = find_format(files.label)
    stem = own.stem_of(files.label) if own else files.label.stem
    return files.label.with_name(f"{stem}{format.label_suffix}")


def _written(format: Format) -> tuple[str, ...]:
    """Suffixes of labels that are written for images of a format, and read again."""
    suffixes = [suffix for suffix in format.label_suffixes.values() if find_format(Path(f"x{suffix}"))]
    return (*suffixes, ".nii") if ".nii" in format.suffixes else tuple(suffixes)


def _new_label(folder: Folder, files: CaseFiles, format: Format) -> Path:
    """Where the layout expects the label of an image that has none yet."""
    _require_ids(folder)
    name = f"{files.name}{format.label_suffix}"
    image = files.images[0]
    match folder.dataset.layout if folder.dataset else "inferred":
        case "nnunet":
            part = "labelsTs" if image.parent.name == "imagesTs" else "labelsTr"
            return folder.root / part / name
        case "images":
            return folder.root / "masks" / name
        case "listed":
            return folder.root / _LABELS / name
    if sibling := _labelled_beside(folder, image):
        return _like(sibling, image, files, format)
    return folder.root / _labels_folder(image.parent.relative_to(folder.root)) / f"{_stem(files)}{format.label_suffix}"


def _labelled_beside(folder: Folder, image: Path) -> CaseFiles | None:
    """A case whose image lies in the same folder, and whose label is a file."""
    beside = (case for case in folder.labelled if case.images[0].parent == image.parent)
    return next((case for case in beside if case.label is not None and case.label.is_file()), None)


def _like(sibling: CaseFiles, image: Path, files: CaseFiles, format: Format) -> Path:
    """The label of an image, where and as a sibling's is called."""
    assert sibling.label is not None
    of_label = find_format(sibling.label)
    label, stem = (of_label.stem_of(sibling.label) if of_label else sibling.label.stem), _stem(sibling)
    called = label.replace(stem, _stem(files), 1) if stem in label else _stem(files)
    return sibling.label.parent / f"{called}{format.label_suffix}"


def _labels_folder(images: Path) -> Path:
    """The folder of labels of a folder of images: of `a/images` it is `a/labels`, of `a` it is `labels/a`."""
    parts = list(images.parts)
    for place in reversed(range(len(parts))):
        if role_of_folder(parts[place]) == "image":
            parts[place] = _LABELS
            return Path(*parts)
    return Path(_LABELS, *parts)


def _stem(files: CaseFiles) -> str:
    """Name of an image's file without suffix, nor the number of a channel."""
    return format_of(files.images[0]).case_files(files.images[0]).name


def _copied(root: Path, label: Path) -> Path:
    """A copy of a label among the backups, with the time in its name."""
    inside = label.relative_to(root) if label.is_relative_to(root) else Path(label.name)
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in range(_TRIES):
        stamp = f"{now}-{number}" if number else now
        copy = root / FOLDER / "backups" / inside.parent / f"{stamp}-{inside.name}"
        if not os.path.lexists(copy):
            break
    with atomic(copy) as temporary:
        shutil.copy2(label, temporary)
    return copy


def _describe(folder: Folder, files: CaseFiles) -> None:
    """Write the classes into the dataset.json of a folder that was not labelled before; what is there stays."""
    path = folder.root / "dataset.json"
    content: dict[str, Any] = {}
    if path.is_file():
        content = read_json(path, dict, "take it away: it is written anew")
        if content.keys() & {"classes", "labels"}:
            return
    bits = None if format_of(files.images[0]).volumes else 8
    told = described_classes(Contents(folder.labels, (files,), ("image",), bits))
    told.pop("numTraining", None)  # it would be wrong with the next label
    write_json(path, told | content)


def _list_label(root: Path, files: CaseFiles) -> None:
    """Name a label in a dataset.json that lists files."""
    path = root / "dataset.json"
    content = read_json(path, dict, "restore it")
    assert files.label is not None
    relative = Path(os.path.relpath(files.label, root)).as_posix()
    entry = next((entry for name, entry in content["dataset"].items() if composed(name) == files.name), None)
    if not isinstance(entry, dict):
        raise FileError(path, f"the case '{files.name}' in its list", "none", "restart samtailor app")
    if entry.get("label") != relative:
        entry["label"] = relative
        write_json(path, content)

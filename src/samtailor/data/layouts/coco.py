"""A folder of images with annotations in COCO's JSON, one file for all or one for each split."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from samtailor.data.formats import find_format
from samtailor.data.formats.coco import CocoFile, coco_file, is_coco
from samtailor.data.layouts.classes import BACKGROUND
from samtailor.data.layouts.contents import folders_below
from samtailor.data.layouts.found import Found, cases_of, told_files
from samtailor.data.layouts.names import split_of
from samtailor.errors import FileError, Finding, listed
from samtailor.labels import LabelSpace, default_palette

_MOST = 20  # JSON files of a folder that are looked into; more are of single images
_DEEPEST = 2
_OURS = ("dataset.json", "splits_final.json")


def find(root: Path) -> Found | None:
    """The images that annotations in a folder name; None if there are no annotations.

    Raises:
        FileError: If annotations are damaged, contradict each other, or none of their images is there.
    """
    files = [coco_file(path) for path in _candidates(root) if is_coco(path)]
    if not files:
        return None
    # COCO itself ships the joints of people in files of their own, beside all objects of the same images.
    outlined = set[str]().union(*(_names(file) for file in files if not file.keypoints))
    files = [file for file in files if not (file.keypoints and outlined.issuperset(_names(file)))]
    pictures = _pictures(root)
    entries, missing = [], []
    for file in files:
        split = _split(root, file.path)
        for number, image in file.images.items():
            if path := _found(root, file, image.name, split, pictures):
                entries.append((split, path, file.path / f"{number}.coco"))
            else:
                missing.append(image.name)
    if not entries:
        fix = f"put the images into {root}, in any folder"
        raise FileError(files[0].path, f"the images that it names, {listed(missing, 3)}", "none of them", fix)
    cases, splits = cases_of(root, entries)
    remarks: tuple[Finding, ...] = ()
    if missing:
        found = f"{len(missing)} missing: {listed(missing, 3)}"
        remarks = (Finding("warning", str(root), "the images that annotations name", found, "they are left out"),)
    labels = _labels(files)
    told = {
        "images": told_files(root, [path for _, path, _ in entries]),
        "labels": f"COCO annotations in {', '.join(file.path.relative_to(root).as_posix() for file in files)}",
        "classes": ", ".join(f"{name} ({number})" for name, number in zip(labels.names, labels.ids, strict=True)),
    }
    return Found(cases, told, splits, remarks, labels, named=frozenset(path for _, path, _ in entries))


def _names(file: CocoFile) -> set[str]:
    """Names of the images of a file."""
    return {image.name for image in file.images.values()}


def _candidates(root: Path) -> list[Path]:
    """JSON files in a folder, its folders and theirs."""
    found = []
    for _, inside in folders_below(root, _DEEPEST):
        files = [path for path in inside if path.suffix.lower() == ".json" and path.name not in _OURS]
        found += [path for path in files if path.is_file()] if len(files) <= _MOST else []
    return found


def _split(root: Path, path: Path) -> str:
    """The split of annotations by their name, or their folder's; '' if neither says it."""
    return split_of(path.stem) or (split_of(path.parent.name) if path.parent != root else None) or ""


def _pictures(root: Path) -> dict[str, list[Path]]:
    """Pictures below a folder by the names of their files."""
    pictures = defaultdict(list)
    for _, inside in folders_below(root):
        for path in inside:
            format = find_format(path)
            if format and not format.volumes:
                pictures[path.name].append(path)
    return pictures


def _found(root: Path, file: CocoFile, name: str, split: str, pictures: dict[str, list[Path]]) -> Path | None:
    """The picture that annotations mean by a name: with its folders, in the split, beside them, in this order."""
    candidates = pictures.get(Path(name).name, [])
    for fits in (
        lambda path: path.as_posix().endswith(f"/{name}"),
        lambda path: split in [split_of(part) for part in path.relative_to(root).parent.parts],
        lambda path: path.parent == file.path.parent,
    ):
        candidates = [path for path in candidates if fits(path)] or candidates
    if len(candidates) > 1:
        found = listed([path.relative_to(root).as_posix() for path in candidates], 3)
        raise FileError(file.path, f"one image named '{name}'", found, "name them with their folders")
    return candidates[0] if candidates else None


def _labels(files: list[CocoFile]) -> LabelSpace:
    """Classes: the categories that occur."""
    names: dict[int, str] = {}
    for file in files:
        for number, name in file.categories.items():
            if names.setdefault(number, name) != name:
                found, fix = f"'{name}', and '{names[number]}' elsewhere", "export them with the same categories"
                raise FileError(file.path, f"the same name of category {number} in all files", found, fix)
    used = {
        int(annotation["category_id"]) + file.first
        for file in files
        for image in file.images.values()
        for annotation in image.annotations
    }
    if not used:
        raise FileError(files[0].path, "annotations of objects", "none", "mark the objects")
    ids = (0, *sorted(used))
    own = [names[number] for number in ids[1:]]
    if len(set(own)) < len(own) or BACKGROUND in own:
        twice = next((name for name in own if own.count(name) > 1), BACKGROUND)
        raise FileError(files[0].path, "a name of its own for each category", f"'{twice}' twice", "rename them")
    return LabelSpace((BACKGROUND, *own), ids, default_palette(len(ids)))

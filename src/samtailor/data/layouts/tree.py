"""Images and labels in folders of any of the usual names, or side by side: what belongs together, the names say."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.formats import accompanies, find_format, find_label_format
from samtailor.data.formats.dicom.signature import refuse_structures
from samtailor.data.layouts.contents import composed, entries, folders_below, passed_over, visible_files
from samtailor.data.layouts.found import UNKNOWN, Found, stem_of, told_files
from samtailor.data.layouts.names import (
    Role,
    is_drawn,
    may_be_drawn,
    numbered_image,
    numbered_label,
    rest_of_folder,
    role_of_folder,
    split_of,
    undrawn,
    without_image_affix,
    without_label_affix,
)
from samtailor.data.layouts.split_lists import FOLDERS, read_lists
from samtailor.errors import FileError, Finding, counted, listed

_DEEPEST = 5
_KINDS_TOLD = 4  # of files that cannot be read
_NUMBERED = re.compile("_[0-9]{4}")
_TRAIN_IDS = "_labeltrainids"

EXPECTED = (
    "images and their labels: in folders such as images and masks (or imgs, JPEGImages; labels, gt, annotations, "
    "SegmentationClass), or side by side as x.png and x_mask.png"
)
_FIX = (
    'name the folders so, or the files; or write a dataset.json with the classes and, in "dataset", the files: '
    '{"case": {"images": ["a.png"], "label": "b.png"}, ...}'
)
_ONE_FOLDER = 'leave one folder of labels there, or name the files in dataset.json ("dataset")'


@dataclass(frozen=True)
class _File:
    """An image or a label.

    Attributes:
        path: The file; a folder that is a series of slices.
        stem: Its name without suffix.
        group: Split and rest of the folders' names: only files of one group belong together.
        role: What it is.
        volume: Whether it is of a volume.
    """

    path: Path
    stem: str
    group: tuple[str, ...]
    role: Role
    volume: bool


@dataclass(frozen=True)
class _Pair:
    """The images of a case, one or several channels of a volume, and its label.

    Attributes:
        images: In the order of their names.
        label: Of the same group.
        name: What their names have in common; '' if that is only in the folders' names.
    """

    images: tuple[_File, ...]
    label: _File
    name: str

    @property
    def group(self) -> tuple[str, ...]:
        """Split and rest of the folders' names."""
        return self.label.group

    @property
    def files(self) -> tuple[_File, ...]:
        """Images and label."""
        return *self.images, self.label


_Key = Callable[[str], str | None]


def find(root: Path) -> Found | None:
    """The pairs of a folder; None if no label in it belongs to an image.

    Raises:
        FileError: If what belongs together cannot be told.
    """
    there = list(_files(root))
    files, pairs = _paired_best(there)
    if not pairs:
        return None
    images = [image for pair in pairs for image in pair.images]
    if len({image.volume for image in images}) > 1:
        one, other = (next(image for image in images if image.volume is kind) for kind in (True, False))
        found = f"{one.path.name} and {other.path.name}"
        raise FileError(root, "pictures or volumes", found, "keep them in folders of their own")
    by_name = dict(sorted(zip(_case_names(root, pairs), pairs, strict=True)))
    cases = tuple(
        CaseFiles(name, tuple(image.path for image in pair.images), pair.label.path) for name, pair in by_name.items()
    )
    parts = defaultdict(list)
    for name, pair in by_name.items():
        parts[pair.group[0]].append(name)
    splits = {split: tuple(part) for split, part in parts.items()}
    remarks = (*_alone(root, files, pairs), *_passed_over(root, there, pairs))
    if splits.pop("", ()):
        by_lists, wrong = read_lists(root, list(by_name))
        splits = by_lists or splits
        remarks = (*remarks, *wrong)
    told = {
        "images": told_files(root, [image.path for image in images]),
        "labels": f"{told_files(root, [pair.label.path for pair in pairs])}: {_told_pair(pairs[0])}",
    }
    return Found(cases, told, splits, remarks, channels=_channels(pairs[0]))


def images(root: Path, folders: Collection[Path]) -> list[Path]:
    """Images below a folder, sorted: those of some folders, and of others that are called as folders of images are."""
    files = (file.path for file in _files(root) if file.role == "image")
    return sorted(f for f in files if f.parent in folders or _role_of(f.parent.relative_to(root).parts) == "image")


def unlabelled(root: Path) -> list[Path]:
    """Images of a folder that no label belongs to, sorted; all of them where there are no labels.

    Raises:
        FileError: If what belongs together cannot be told.
    """
    files, pairs = _paired_best(list(_files(root)))
    taken = {file.path for pair in pairs for file in pair.files}
    return sorted(file.path for file in files if file.role == "image" and file.path not in taken)


def _files(root: Path) -> Iterator[_File]:
    """Images and labels below a folder."""
    for folder, inside in folders_below(root):
        paths = [path for path in inside if find_label_format(path) and not accompanies(path)]
        parts = folder.relative_to(root).parts
        role = _role_of(parts)
        split = next((split for part in reversed(parts) if (split := split_of(part))), None)
        group = (split or "", *filter(None, map(rest_of_folder, parts)))
        yield from _in_folder(paths, group, role)


def _role_of(parts: Sequence[str]) -> Role | None:
    """What a folder holds by its name, or by that of one that it lies in."""
    return next((role for part in reversed(parts) if (role := role_of_folder(part))), None)


def _in_folder(paths: Sequence[Path], group: tuple[str, ...], role: Role | None) -> Iterator[_File]:
    """Files of one folder. Where it is none of labels, files are that whose names say so."""
    stems = {path: stem_of(path) for path in paths}
    there = set(stems.values())
    has_ids = any(stem.lower().endswith("_labelids") for stem in there)
    for path, stem in stems.items():
        format = find_label_format(path)
        own = role
        if role in ("label", None) and (is_drawn(stem) or (has_ids and stem.lower().endswith(_TRAIN_IDS))):
            own = "other" if role or without_label_affix(undrawn(stem)) else "image"
        elif role in ("image", None):
            base = without_label_affix(stem)
            # scan_01/image.nii.gz and scan_01/label.nii.gz: the folder is called after what the images are.
            is_known = bool({base, numbered_label(stem)} & there)
            is_label = base is not None and (role is None or is_known or (base == "" and len(there) > 1))
            found = find_format(path)
            own = "label" if is_label or found is None or not found.can_be_image(path) else "image"
        assert format is not None
        assert own is not None
        yield _File(path, composed(stem), group, own, format.volumes)


def _paired_best(there: Sequence[_File]) -> tuple[list[_File], list[_Pair]]:
    """Images and labels, and which belong together. Of an image that has a mask, outlines beside it count nothing."""
    files = [file for file in there if file.role != "other"]
    outlines = [file for file in files if not find_format(file.path)]
    drawn = [file for file in files if find_format(file.path)]
    masks = _paired_anyhow(drawn)
    masked = {image.path for pair in masks for image in pair.images}
    unmasked = [file for file in drawn if file.role == "image" and file.path not in masked]
    outlined = _paired_anyhow([*unmasked, *outlines]) if outlines else []
    used = [pair.label for pair in outlined] if masks else outlines
    return [*drawn, *used], [*masks, *outlined]


def _paired_anyhow(files: Sequence[_File]) -> list[_Pair]:
    """Labels with their images; folders may be called anything as long as the files in them are called alike."""
    return _paired(files) or _paired([replace(file, group=file.group[:1]) for file in files])


def _paired(files: Sequence[_File]) -> list[_Pair]:
    """Labels with their images.

    Files of equal names belong together; of the rest those with equal names but for words that make them an image or a
    label, and for numbers behind these; of the rest those of which all images, or all labels, have the same ending.
    """
    left: dict[Role, list[_File]] = {"image": [], "label": [], "other": []}
    for file in files:
        left[file.role].append(file)
    images, labels = left["image"], left["label"]
    pairs: list[_Pair] = []
    ways: list[tuple[_Key, _Key]] = [
        (_whole, _whole),
        (_whole, numbered_label),
        (numbered_image, _whole),
        (numbered_image, numbered_label),
        (_whole, without_label_affix),
        (without_image_affix, _whole),
        (without_image_affix, without_label_affix),
    ]
    for image_key, label_key in ways:
        pairs += _matched(images, labels, image_key, label_key)
        taken = {file.path for pair in pairs for file in pair.files}
        images = [file for file in images if file.path not in taken]
        labels = [file for file in labels if file.path not in taken]
    return pairs + (
        _with_endings(images, labels) or _with_label_ending(images, labels) or _in_own_folders(images, labels)
    )


def _whole(stem: str) -> str | None:
    return stem


def _matched(images: Sequence[_File], labels: Sequence[_File], image_key: _Key, label_key: _Key) -> list[_Pair]:
    """Pairs of the same group and key; refused where a key has two files."""
    by_key = [_by_key(files, key) for files, key in ((images, image_key), (labels, label_key))]
    pairs: list[_Pair] = []
    for key, found in by_key[1].items():
        if partners := by_key[0].get(key):
            for some, what in ((found, "label"), (partners, "image")):
                if len(some) > 1:
                    folder = Path(os.path.commonpath([file.path.parent for file in some[:2]]))
                    names = " and ".join(file.path.relative_to(folder).as_posix() for file in some[:2])
                    are_masks = what == "label" and all(find_format(file.path) for file in some)
                    fix = "merge them" if are_masks else "rename or remove one of them"
                    if what == "label" and len({file.path.parent for file in some}) > 1:
                        fix = f"merge them if each has a class of its own; else {_ONE_FOLDER}"
                    raise FileError(folder, f"one {what} of '{key[-1]}'", names, fix)
            pairs.append(_Pair((partners[0],), found[0], key[-1]))
    return pairs


def _by_key(files: Sequence[_File], key: _Key) -> dict[tuple[str, ...], list[_File]]:
    found = defaultdict(list)
    for file in files:
        if (value := key(file.stem)) is not None:
            found[*file.group, value].append(file)
    return found


def _with_endings(images: Sequence[_File], labels: Sequence[_File]) -> list[_Pair]:
    """Labels whose images are called as they are and have more behind: several images are the channels of a volume.

    The endings must be the same of all labels.
    """
    candidates: dict[tuple[str, ...], list[_File]] = defaultdict(list)
    for image in images:
        for at in range(1, len(image.stem)):
            if image.stem[at] in "_-. ":
                candidates[*image.group, image.stem[:at]].append(image)
    pairs: list[_Pair] = []
    endings: list[tuple[str, ...]] = []
    for label in labels:
        for base in filter(None, (label.stem, without_label_affix(label.stem))):
            if some := sorted(candidates.get((*label.group, base), ()), key=lambda image: image.stem):
                pairs.append(_Pair(tuple(some), label, base))
                endings.append(tuple(image.stem[len(base) :] for image in some))
                break
    if len(set(endings)) > 1 and all(pair.label.volume for pair in pairs):
        usual, other = max(endings, key=endings.count), min(endings, key=endings.count)
        expected = f"images of '{pairs[endings.index(other)].name}' that end with {', '.join(usual)} as others do"
        fix = "add the channels that are missing, or take away those that others lack"
        raise FileError(pairs[endings.index(other)].label.path, expected, ", ".join(other), fix)
    if len(set(endings)) > 1 or (pairs and len(endings[0]) > 1 and not pairs[0].label.volume):
        return []
    return pairs


def _with_label_ending(images: Sequence[_File], labels: Sequence[_File]) -> list[_Pair]:
    """Labels that are called as their images are and have the same more behind."""
    by_stem = {(*image.group, image.stem): image for image in images}
    pairs: list[_Pair] = []
    endings = set()
    for label in labels:
        for at in range(1, len(label.stem)):
            if label.stem[at] in "_-. " and (image := by_stem.get((*label.group, label.stem[:at]))):
                pairs.append(_Pair((image,), label, image.stem))
                endings.add(label.stem[at:])
                break
    distinct = len({pair.images[0].path for pair in pairs}) == len(pairs)
    return pairs if len(endings) == 1 and distinct else []


def _in_own_folders(images: Sequence[_File], labels: Sequence[_File]) -> list[_Pair]:
    """Labels whose names say nothing but that they are labels, with the images beside them: a folder for each case.

    Its images, the channels of a volume or one picture, must be called alike in all of them.
    """
    beside: dict[tuple[str, ...], list[_File]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.stem):
        beside[image.group].append(image)
    counts = Counter(label.group for label in labels)
    pairs = [
        _Pair(tuple(beside[label.group]), label, "")
        for label in labels
        if counts[label.group] == 1 and without_label_affix(label.stem) == "" and label.group in beside
    ]
    alike = len({tuple(image.stem for image in pair.images) for pair in pairs}) == 1
    return pairs if alike and (pairs[0].label.volume or len(pairs[0].images) == 1) else []


def _told_pair(pair: _Pair) -> str:
    """Which image a label goes with."""
    return f"{pair.label.path.name} goes with {listed([image.path.name for image in pair.images], 4)}"


def _channels(pair: _Pair) -> tuple[str, ...]:
    """Names of the channels of volumes: what of the files' names tells them apart."""
    if len(pair.images) == 1:
        return ("CT",) if pair.images[0].stem.upper() == "CT" else UNKNOWN
    names = [image.stem[len(pair.name) :].strip("_-. ") for image in pair.images]
    numbered = all(_NUMBERED.fullmatch(image.stem[-5:]) for image in pair.images)
    return tuple(f"channel {number}" for number in range(len(names))) if numbered else tuple(names)


def _case_names(root: Path, pairs: Sequence[_Pair]) -> list[str]:
    """A name of its own for each pair, with folder or split before it where its files' names are not enough."""
    names: list[str] = []
    for depth in range(_DEEPEST):
        names = []
        for pair in pairs:
            split, *folders = pair.group
            more = folders[len(folders) - depth :] if depth < len(folders) + 1 else [split, *folders]
            names.append("-".join(filter(None, (*more, pair.name))))
        if all(names) and len(set(names)) == len(names):
            return names
    twice = next(name for name in names if names.count(name) > 1)
    raise FileError(root, f"one case named '{twice}'", "several", "rename the files")


def _alone(root: Path, files: Sequence[_File], pairs: Sequence[_Pair]) -> tuple[Finding, ...]:
    """What is left out: images without a label, labels without an image."""
    taken = {file.path for pair in pairs for file in pair.files}
    remarks = list(_second_labels(root, [file for file in files if file.path not in taken], pairs))
    for role, other, fix in (
        ("image", "label", "label them, or let them be: they are left out"),
        ("label", "image", "add the images, or let them be: they are left out"),
    ):
        if alone := [file.path for file in files if file.role == role and file.path not in taken]:
            found = f"{len(alone)} without: {listed([path.relative_to(root).as_posix() for path in alone], 3)}"
            remarks.append(Finding("warning", str(root), f"{_article(other)} for each {role}", found, fix))
    return tuple(remarks)


def _second_labels(root: Path, left: Sequence[_File], pairs: Sequence[_Pair]) -> Iterator[Finding]:
    """Labels of images that have another one in a folder beside, such as masks of what a camera sees: which are meant?

    Single ones may be anything; most images must have two.
    """
    labelled = {(_around(pair.label.path), image.stem): pair for pair in pairs for image in pair.images}
    doubled: dict[Path, list[tuple[_File, _Pair]]] = defaultdict(list)
    for label in left:
        stems = (label.stem, without_label_affix(label.stem)) if label.role == "label" else ()
        for stem in filter(None, stems):
            pair = labelled.get((_around(label.path), stem))
            if pair and pair.label.path.parent != label.path.parent and not may_be_drawn(label.path.parent.name):
                doubled[label.path.parent].append((label, pair))
                break
    for found in doubled.values():
        if len(found) > len(pairs) / 2:
            (label, pair), *_ = found
            names = " and ".join(file.path.relative_to(root).as_posix() for file in (pair.label, label))
            yield Finding("error", str(root), f"one label of '{pair.images[0].path.name}'", names, _ONE_FOLDER)
            return


def _around(label: Path) -> Path:
    """The folder around that of a label."""
    return label.parent.parent


def _passed_over(root: Path, files: Sequence[_File], pairs: Sequence[_Pair]) -> Iterator[Finding]:
    """What folders of images or labels hold that cannot be read."""
    known = {file.path for file in files}
    kinds = sorted({file.path.suffix for pair in pairs for file in pair.files})
    for folder, inside in folders_below(root):
        parts = folder.relative_to(root).parts
        if _role_of(parts) in ("image", "label") and parts[0] not in FOLDERS:
            yield from passed_over(folder, known.union(filter(os.path.isdir, inside)), kinds)


def _article(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"


def refused(root: Path) -> FileError:
    """The error of a folder in which no images and labels are found that belong together.

    Raises:
        FileError: If there are labels of a kind that is not read.
    """
    files = list(_files(root))
    if not files:
        return FileError(root, EXPECTED, entries(root), _FIX)
    for file in files:
        refuse_structures(file.path)
        if more := _beside_slices(file.path):
            fix = "move these, or the slices, into a folder of their own"
            return FileError(
                file.path, "slices of one series and no more in such a folder", f"also {listed(more, 3)}", fix
            )
    count = {role: sum(file.role == role for file in files) for role in ("image", "label")}
    known = {file.path for file in files}
    others = Counter(
        path.suffix.lower()
        for _, inside in folders_below(root)
        for path in inside
        if path not in known and not os.path.isdir(path) and path.suffix
    )
    unread = [f"{number} {suffix}" for suffix, number in others.most_common(_KINDS_TOLD)]
    told = f"; beside them {', '.join(unread)}" if unread else ""
    found = f"{counted(count['image'], 'image')} and {counted(count['label'], 'label')}"
    if count["image"] and count["label"]:
        return FileError(root, EXPECTED, f"{found}, none of the same name{told}", _FIX)
    stems = defaultdict(list)
    for file in files:
        stems[file.stem].append(file.path.relative_to(root).as_posix())
    if all(len(alike) == 2 for alike in stems.values()):
        found += f"; of {' and '.join(next(iter(stems.values())))} no name says which is the label"
    return FileError(root, EXPECTED, f"{found}{told}", _FIX)


def _beside_slices(folder: Path) -> list[str]:
    """Names of what could be labels in a folder that is an image itself, where nobody looks for them."""
    format = find_format(folder) if os.path.isdir(folder) else None
    if format is None:
        return []
    slices = set(format.parts(folder))
    others = [path for path in visible_files(folder) if path not in slices]
    for path in others:
        refuse_structures(path)
    return [path.name for path in others if (kind := find_label_format(path)) and kind.volumes]

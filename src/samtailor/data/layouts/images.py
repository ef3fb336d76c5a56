"""The image folder: `images/`, `masks/` (files of the same stem) and `dataset.json`.

dataset.json holds `classes` (background first) and optionally `palette` ((R, G, B) of each class), `ids` (in the masks;
0, 1, 2, ... by default), `threshold` (the gray level above which pixels are of the second of two classes),
`ignore_index` and `splits` (train, val, test: lists of stems); of masks that are vector files, `label_column` (which
says the class; 'class' by default) and `label_layer`; of images of many bands, `bands` (their names, in order) and
`use_bands` (the names, or numbers from 1, of those that are used).
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from samtailor.data.formats import LABEL_FORMATS, image_suffixes
from samtailor.data.layouts import split_file
from samtailor.data.layouts.contents import (
    Contents,
    by_stem,
    entries,
    label_space,
    passed_over,
    read_split,
    visible_entries,
)
from samtailor.data.layouts.finding import find
from samtailor.data.layouts.layout import Layout, Splits
from samtailor.data.layouts.names import role_of_folder
from samtailor.data.layouts.split_lists import read_lists
from samtailor.errors import FileError
from samtailor.files import read_json
from samtailor.labels import LabelSpace, default_palette

_MOST_BANDS = 65_535  # of a TIFF
_FIX = 'write {"classes": ["background", ...]} and, if wanted, palette, ids, ignore_index, splits'


def read_contents(root: Path) -> Contents:
    """Classes and cases of the folder."""
    path = root / "dataset.json"
    content = read_json(path, dict, _FIX)
    labels = labels_of(path, content)
    images, masks = by_stem(root / "images"), by_stem(root / "masks", labels=True)
    kinds = image_suffixes(only_pictures=True)
    if not images:
        expected = f"pictures ({', '.join(kinds)})"
        raise FileError(root / "images", expected, entries(root / "images"), "put the images there")
    used = {*images.values(), *masks.values()}
    of_masks = (*kinds, *(suffix for format in LABEL_FORMATS for suffix in format.suffixes))
    folders = (("images", kinds), ("masks", of_masks))
    remarks = tuple(chain.from_iterable(passed_over(root / folder, used, names) for folder, names in folders))
    contents = Contents.from_pictures(labels, images, masks, remarks, content.get("name"))
    return with_lists(root, content, with_bands(path, content, contents))


def with_lists(root: Path, content: dict[str, Any], contents: Contents) -> Contents:
    """The contents with the splits that lists in the folder name, if dataset.json names none."""
    if "splits" in content:
        return contents
    splits, remarks = read_lists(root, [case.name for case in contents.cases])
    return replace(contents.showing(splits), remarks=(*contents.remarks, *remarks))


def with_bands(path: Path, content: dict[str, Any], contents: Contents) -> Contents:
    """The contents with the bands that dataset.json names and chooses."""
    names, numbers = _bands_of(path, content)
    chosen = [names[number - 1] if names else f"band {number}" for number in numbers] if numbers else names
    return replace(
        contents, channels=tuple(chosen or contents.channels), bands=numbers, bands_there=len(names) if names else None
    )


def recognises(root: Path) -> bool:
    """Whether the folder has images and a dataset.json, and labels of their names in `masks`, or none anywhere."""
    folder = root / "images"
    if not folder.is_dir() or not os.path.lexists(root / "dataset.json"):
        return False
    others = [path for path in visible_entries(root) if os.path.isdir(path) and role_of_folder(path.name) == "label"]
    if not (root / "masks").is_dir() and others:
        return False
    images, masks = by_stem(folder), by_stem(root / "masks", labels=True)
    if not images:
        return not any(os.path.isdir(path) for path in visible_entries(folder))
    return bool(images.keys() & masks.keys()) or (not masks and find(root) is None)


def read_splits(root: Path, contents: Contents) -> Splits:
    """Case names of each split that dataset.json names, or else lists, or the first fold of nnU-Net's split file."""
    return splits_of(root) or split_file.completed(root, contents.splits)


def splits_of(root: Path) -> Splits:
    """Case names of each split that dataset.json names; empty if it names none."""
    path = root / "dataset.json"
    splits = read_json(path, dict, _FIX).get("splits", {})
    if not isinstance(splits, dict) or not splits.keys() <= {"train", "val", "test"}:
        fix = 'write "splits": {"train": [...], "val": [...], "test": [...]}'
        raise FileError(path, "splits train, val and test", f"{splits!r:.80}", fix)
    return {name: read_split(path, names, name) for name, names in splits.items()}


def labels_of(path: Path, content: dict[str, Any]) -> LabelSpace:
    """Label space of an image folder's dataset.json."""
    names = content.get("classes")
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise FileError(path, "classes: at least two names, the background first", f"{names!r:.80}", _FIX)
    ids = content.get("ids", list(range(len(names))))
    if not isinstance(ids, list) or len(ids) != len(names) or not all(map(_is_id, ids)):
        raise FileError(path, f"ids: {len(names)} integers up to 65535, one per class", f"{ids!r:.80}", _FIX)
    palette = content.get("palette", [list(colour) for colour in default_palette(len(names))])
    if not isinstance(palette, list) or len(palette) != len(names) or not all(map(_is_colour, palette)):
        raise FileError(path, f"palette: {len(names)} times [R, G, B] in 0..255", f"{palette!r:.80}", _FIX)
    ignore = content.get("ignore_index")
    if not (ignore is None or _is_id(ignore)) or ignore in ids:
        raise FileError(path, "ignore_index: an integer up to 65535 that is no class's id", f"{ignore!r:.80}", _FIX)
    colours = tuple((r, g, b) for r, g, b in palette)
    if len(set(colours)) < len(colours):
        raise FileError(path, "palette: a colour of its own for each class", "a colour twice", "make them distinct")
    column, layer = _text(path, content, "label_column"), _text(path, content, "label_layer")
    threshold = _threshold(path, content, len(names))
    return label_space(path, tuple(names), tuple(ids), colours, ignore, column, layer, threshold)


def _threshold(path: Path, content: dict[str, Any], classes: int) -> int | None:
    """The gray level above which pixels of masks are of the second of two classes, which dataset.json may give."""
    value = content.get("threshold")
    if value is not None and not (_is_id(value) and classes == 2):
        fix = "leave it out: levels are ids then"
        raise FileError(path, "threshold: a gray level, of masks with two classes", f"{value!r:.80}", fix)
    return None if value is None else int(value)


def _text(path: Path, content: dict[str, Any], key: str) -> str | None:
    """A name, of something in vector labels, that dataset.json may give."""
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise FileError(path, f"{key}: a name, of what is in the vector labels", f"{value!r:.80}", "write its name")
    return value


def _bands_of(path: Path, content: dict[str, Any]) -> tuple[list[str] | None, tuple[int, ...] | None]:
    """Names of the bands of all images, and the numbers, from 1, of those that are used, where there are any."""
    names = content.get("bands")
    named = isinstance(names, list) and bool(names) and all(isinstance(name, str) and name.strip() for name in names)
    if names is not None and not (named and len(set(names)) == len(names)):
        fix = 'write them like ["blue", "green", "red", "nir"]'
        raise FileError(path, "bands: a name of its own for each band of the images, in order", f"{names!r:.80}", fix)
    used = content.get("use_bands")
    if used is None:
        return names, None
    known = list(names or [])
    numbers = [known.index(band) + 1 if band in known else band for band in used] if isinstance(used, list) else []
    most = len(known) or _MOST_BANDS
    if not numbers or len(set(map(str, numbers))) < len(numbers):
        numbers = [None]
    if not all(type(number) is int and 1 <= number <= most for number in numbers):
        expected = f"names of bands, or their numbers from 1{f' to {most}' if known else ''}, each once"
        fix = 'write "use_bands": ["nir", "red", "green"], of the names in "bands", or [4, 3, 2]'
        raise FileError(path, f"use_bands: {expected}", f"{used!r:.80}", fix)
    return names, tuple(numbers)


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 65535  # what a gray PNG holds


def _is_colour(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(c) is int and 0 <= c <= 255 for c in value)


LAYOUT = Layout("images", recognises, read_contents, read_splits)

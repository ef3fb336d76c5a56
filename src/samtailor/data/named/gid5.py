"""GID-5: Gaofen-2 land cover of five classes, whole scenes of 6800 x 7200 pixels or tiles of 224 (GID-MTL5).

Scenes: `Large-scale Classification_5classes/image_RGB/GF2_PMS1__L1A0000564539-MSS1.tif` and
`label_5classes/GF2_PMS1__L1A0000564539-MSS1_label.tif`, whose colours are the classes. `image_NirRGB` (four bands, near
infrared first) is not read. Tiles: an image folder and a mask folder whose files are named by category and number
(`builtup_0001.png`), flat or in a folder per category; the publisher's page does not say how the folders are called, so
the usual names are taken.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.formats import read_header
from samtailor.data.layouts.contents import Contents, by_stem
from samtailor.data.named.named_dataset import NamedDataset, split_in_order, split_of_names
from samtailor.errors import FileError, Finding
from samtailor.labels import LabelSpace

_SCENES = "Large-scale Classification_5classes"
_IMAGES, _OTHER_BANDS, _LABELS = "image_RGB", "image_NirRGB", "label_5classes"
_TILE = re.compile(r"(built-?up|farmland|forest|meadow|water)_?\d+", re.IGNORECASE)
_LEAST_CATEGORIES = 2  # whoever maps one of them may call tiles so, too
_TILE_IMAGES = ("images", "image", "img", "imgs")
_TILE_LABELS = ("labels", "label", "masks", "mask", "gt", "annotations")


def looks_like(root: Path) -> bool:
    """Whether the folder holds the scenes, or one of their folders, or tiles."""
    if _base(root) != root or _has_scenes(root):
        return True
    if (root / "dataset.json").exists():
        return False
    categories = {_category(name) for name in _tiles(root, _TILE_IMAGES)}
    return len(categories) >= _LEAST_CATEGORIES and not _others(root)


def read_contents(root: Path) -> Contents:
    """Scenes, or tiles where there are no folders of scenes."""
    base = _base(root)
    if _has_scenes(base):
        images, labels = by_stem(base / _IMAGES), by_stem(base / _LABELS, "_label")
        hint = f" (red, green and blue; {_OTHER_BANDS} starts with near infrared and is not read)"
        folders = {base / _IMAGES: images, base / _LABELS: labels}
        GID5.require(root, folders, hint if (base / _OTHER_BANDS).is_dir() else "")
    else:
        images, labels = _tiles(root, _TILE_IMAGES), _tiles(root, _TILE_LABELS)
        if not images or not labels:
            expected = f"tiles (images/builtup_0001.png, labels/builtup_0001.png, ...) or scenes ({GID5.folder})"
            raise GID5.incomplete(root, expected, base)
    remarks = tuple(finding for image in images.values() for finding in _other_bands(image))
    return Contents.from_pictures(GID5.labels, images, labels, remarks)


def read_splits(root: Path, cases: tuple[CaseFiles, ...]) -> Mapping[str, tuple[str, ...]]:
    """Scenes by the order of their hashes; tiles of each category by number, so that neighbours stay together."""
    names = [case.name for case in cases]
    if not all(_TILE.fullmatch(name) for name in names):
        return split_of_names(names)
    categories = defaultdict(list)
    for name in sorted(names, key=lambda name: (len(name), name)):
        categories[_category(name)].append(name)
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for members in categories.values():
        for split, part in split_in_order(members).items():
            splits[split] += part
    return {split: tuple(sorted(part)) for split, part in splits.items() if part}


def _category(tile: str) -> str:
    """A tile's name without its number."""
    return tile.rstrip("0123456789")


def _base(root: Path) -> Path:
    """The folder that holds image_RGB and label_5classes."""
    return root / _SCENES if (root / _SCENES).is_dir() else root


def _has_scenes(base: Path) -> bool:
    return any((base / folder).is_dir() for folder in (_IMAGES, _OTHER_BANDS, _LABELS))


def _tiles(root: Path, folders: tuple[str, ...]) -> dict[str, Path]:
    """Tiles in the first of the folders that has any, by name."""
    for folder in (root / name for name in folders):
        places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
        files = {name: file for place in places for name, file in by_stem(place).items() if _TILE.fullmatch(name)}
        if files:
            return dict(sorted(files.items()))
    return {}


def _others(root: Path) -> bool:
    """Whether pictures are called otherwise than tiles are, in a folder of their images."""
    folder = next(folder for folder in (root / name for name in _TILE_IMAGES) if folder.is_dir())
    return any(not _TILE.fullmatch(name) for name in by_stem(folder))


def _other_bands(path: Path) -> Iterator[Finding]:
    """The error of an image of more than three bands, of which nobody could say which are taken."""
    with suppress(FileError):  # the check of the case says so
        if (bands := read_header(path).bands) > 3:
            fix = f"take the file of {_IMAGES}; where near infrared comes first, drop it"
            yield Finding("error", str(path), "three bands: red, green, blue", f"{bands} bands", fix)


GID5 = NamedDataset(
    name="gid5",
    title="GID-5",
    aliases=("gid",),
    cases=rf"{_TILE.pattern}|GF2_PMS.*",
    labels=LabelSpace(
        names=("background", "built-up", "farmland", "forest", "meadow", "water"),
        ids=(0, 1, 2, 3, 4, 5),
        palette=((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 255, 255), (255, 255, 0), (0, 0, 255)),
    ),
    protocol="remote-sensing",
    published="https://x-ytong.github.io/project/GID.html (Tong et al. 2020, https://doi.org/10.1016/j.rse.2019.111322)"
    "; tiles: https://github.com/cheer00/GID-MTL",
    terms="the publishers', for research; no redistribution; cite the paper",
    folder="Large-scale Classification_5classes/image_RGB/GF2_PMS1__L1A0000564539-MSS1.tif, "
    "label_5classes/GF2_PMS1__L1A0000564539-MSS1_label.tif, ...",
    split="ours, fixed (none is published): scenes in the order of the SHA-256 of their names, tiles of each category "
    "by number, so that neighbours stay together; 70 % train, 10 % val, 20 % test",
    field=224,  # the tiles of GID-MTL5 are cut so from the scenes, and the report fits to those
    looks_like=looks_like,
    read_contents=read_contents,
    read_splits=read_splits,
)

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
from collections.abc import Mapping
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.finding import Finding
from samtailor.data.formats import read_header
from samtailor.data.layouts.contents import Contents
from samtailor.data.layouts.pictures import by_stem, picture_facts
from samtailor.data.named.named_dataset import NamedDataset, incomplete, split_in_order, split_of_names
from samtailor.errors import FileError
from samtailor.labels import LabelSpace

_TITLE = "GID-5"
_PUBLISHED = (
    "https://x-ytong.github.io/project/GID.html (Tong et al. 2020, https://doi.org/10.1016/j.rse.2019.111322); "
    "tiles: https://github.com/cheer00/GID-MTL"
)
_FOLDER = (
    "Large-scale Classification_5classes/image_RGB/GF2_PMS1__L1A0000564539-MSS1.tif, "
    "label_5classes/GF2_PMS1__L1A0000564539-MSS1_label.tif, ..."
)
_SCENES = "Large-scale Classification_5classes"
_IMAGES, _OTHER_BANDS, _LABELS = "image_RGB", "image_NirRGB", "label_5classes"
_TILE = re.compile(r"(built-?up|farmland|forest|meadow|water)_?\d+", re.IGNORECASE)
_TILE_IMAGES = ("images", "image", "img", "imgs")
_TILE_LABELS = ("labels", "label", "masks", "mask", "gt", "annotations")


def looks_like(root: Path) -> bool:
    """Whether the folder holds the scenes, or one of their folders, or tiles."""
    base = _base(root)
    if base != root or any((base / folder).is_dir() for folder in (_IMAGES, _OTHER_BANDS, _LABELS)):
        return True
    return not (root / "dataset.json").exists() and bool(_tiles(root, _TILE_IMAGES))


def read_contents(root: Path) -> Contents:
    """Scenes, or tiles where there are no folders of scenes.

    Raises:
        FileError: If images or all labels are missing.
    """
    base = _base(root)
    if any((base / folder).is_dir() for folder in (_IMAGES, _OTHER_BANDS, _LABELS)):
        images, labels = by_stem(base / _IMAGES), by_stem(base / _LABELS, "_label")
        if not images or not labels:
            raise _missing_scenes(root, base, _IMAGES if not images else _LABELS)
    else:
        images, labels = _tiles(root, _TILE_IMAGES), _tiles(root, _TILE_LABELS)
        if not images or not labels:
            expected = f"tiles (images/builtup_0001.png, labels/builtup_0001.png, ...) or scenes ({_FOLDER})"
            raise incomplete(root, _TITLE, expected, base, _PUBLISHED)
    cases = tuple(CaseFiles(name, (file,), labels.get(name)) for name, file in images.items())
    orphans = tuple(file for name, file in labels.items() if name not in images)
    facts = picture_facts(cases)
    remarks = tuple(finding for case in cases if (finding := _other_bands(case.images[0])))
    return Contents(GID5.labels, cases, facts.channels, facts.bits, orphans, remarks, facts.largest)


def read_splits(root: Path, cases: tuple[CaseFiles, ...]) -> Mapping[str, tuple[str, ...]]:
    """Scenes by the order of their hashes; tiles of each category by number, so that neighbours stay together."""
    names = [case.name for case in cases]
    if not all(_TILE.fullmatch(name) for name in names):
        return split_of_names(names)
    categories = defaultdict(list)
    for name in sorted(names, key=lambda name: (len(name), name)):
        categories[name.rstrip("0123456789")].append(name)
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for members in categories.values():
        for split, part in split_in_order(members).items():
            splits[split] += part
    return {split: tuple(sorted(part)) for split, part in splits.items() if part}


def _base(root: Path) -> Path:
    """The folder that holds image_RGB and label_5classes."""
    return root / _SCENES if (root / _SCENES).is_dir() else root


def _missing_scenes(root: Path, base: Path, missing: str) -> FileError:
    expected = f"{_FOLDER} with files in {missing}"
    if missing == _IMAGES and (base / _OTHER_BANDS).is_dir():
        expected += f" (red, green and blue; {_OTHER_BANDS} starts with near infrared and is not read)"
    return incomplete(root, _TITLE, expected, base / missing, _PUBLISHED)


def _tiles(root: Path, folders: tuple[str, ...]) -> dict[str, Path]:
    """Tiles in the first of the folders that has any, by name."""
    for folder in (root / name for name in folders):
        places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
        files = {name: file for place in places for name, file in by_stem(place).items() if _TILE.fullmatch(name)}
        if files:
            return dict(sorted(files.items()))
    return {}


def _other_bands(path: Path) -> Finding | None:
    """The error of an image of more than three bands, of which nobody could say which are taken."""
    try:
        bands = read_header(path).bands
    except FileError:
        return None  # the check of the case says so
    if bands <= 3:
        return None
    fix = f"take the file of {_IMAGES}; where near infrared comes first, drop it"
    return Finding("error", str(path), "three bands: red, green, blue", f"{bands} bands", fix)


GID5 = NamedDataset(
    name="gid5",
    title=_TITLE,
    aliases=("gid",),
    labels=LabelSpace(
        names=("background", "built-up", "farmland", "forest", "meadow", "water"),
        ids=(0, 1, 2, 3, 4, 5),
        palette=((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 255, 255), (255, 255, 0), (0, 0, 255)),
    ),
    protocol="remote-sensing",
    published=_PUBLISHED,
    terms="the publishers', for research; no redistribution; cite the paper",
    folder=_FOLDER,
    split="ours, fixed (none is published): scenes in the order of the SHA-256 of their names, tiles of each category "
    "by number, so that neighbours stay together; 70 % train, 10 % val, 20 % test",
    field=224,  # the tiles of GID-MTL5 are cut so from the scenes, and the report fits to those
    looks_like=looks_like,
    read_contents=read_contents,
    read_splits=read_splits,
)

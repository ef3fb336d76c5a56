"""Labels in COCO's JSON (https://cocodataset.org/#format-data): polygons and run lengths of many images in one file.

The label of one image is named like a file in that file: `instances.json/17.coco` is that of the image with the id 17.
Ids are those of the categories; where one has the id 0, which is the background's here, all are one higher.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from samtailor.data.formats.outlines import OutlineFormat, enclosed, in_pairs
from samtailor.errors import FileError
from samtailor.files import made_of, read_text
from samtailor.labels import LabelSpace

_LARGEST = 4 << 30  # bytes; COCO's own has 450 MB
_FIX = "export the annotations again, as COCO's instances with segmentations"
_EXPECTED = "COCO annotations with images, annotations and categories"
_KEYS = {"images", "annotations", "categories"}


@dataclass(frozen=True)
class CocoImage:
    """An image and what is marked on it.

    Attributes:
        name: File name, with folders or without.
        size: Rows and columns.
        annotations: As in the file, in its order.
    """

    name: str
    size: tuple[int, int]
    annotations: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class CocoFile:
    """A file of annotations.

    Attributes:
        path: The file.
        categories: Name of each class by its id in labels, from 1, in the order of the ids.
        first: What is added to the ids of categories.
        images: By their ids.
        keypoints: Whether its categories have points, such as joints, beside their outlines.
    """

    path: Path
    categories: Mapping[int, str]
    first: int
    images: Mapping[int, CocoImage]
    keypoints: bool


def is_coco(path: Path) -> bool:
    """Whether a JSON file is one of COCO's annotations, of objects and not of captions.

    Raises:
        FileError: If it speaks of annotations and is damaged.
    """
    text = read_text(path, _EXPECTED, _FIX, _LARGEST)
    return '"annotations"' in text and _content(path, *_state(path)).keys() >= _KEYS


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file does."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=8)
def _content(path: Path, size: int, modified: int) -> dict[str, Any]:
    with made_of(path, _EXPECTED, _FIX):
        content = json.loads(read_text(path, _EXPECTED, _FIX, _LARGEST))
    return content if isinstance(content, dict) else {}


def coco_file(path: Path) -> CocoFile:
    """The content of a file of annotations, read once as long as it does not change."""
    return _coco_file(path, *_state(path))


@lru_cache(maxsize=8)
def _coco_file(path: Path, size: int, modified: int) -> CocoFile:
    content = _content(path, size, modified)
    with made_of(path, _EXPECTED, _FIX):
        categories = {int(category["id"]): str(category["name"]) for category in content["categories"]}
        first = 1 if 0 in categories else 0
        marked: dict[int, list[Mapping[str, Any]]] = {}
        for annotation in content["annotations"]:
            if (number := int(annotation["category_id"])) not in categories:
                raise FileError(path, "annotations of the categories", f"one of category {number}", _FIX)
            marked.setdefault(int(annotation["image_id"]), []).append(annotation)
        images = {
            int(image["id"]): CocoImage(
                str(image["file_name"]).replace("\\", "/"),
                (int(image["height"]), int(image["width"])),
                marked.get(int(image["id"]), []),
            )
            for image in content["images"]
        }
        if alone := marked.keys() - images.keys():
            raise FileError(path, "an image for each annotation", f"none with the id {min(alone)}", _FIX)
        named = {number + first: name for number, name in sorted(categories.items())}
        keypoints = any(category.get("keypoints") for category in content["categories"])
        return CocoFile(path, named, first, images, keypoints)


class CocoFormat(OutlineFormat):
    """One image's annotations in a file of many."""

    suffixes: ClassVar = (".coco",)

    def recognises(self, path: Path) -> bool:
        """Whether the path names an image within a JSON file."""
        return path.parent.suffix.lower() == ".json" and path.suffix == ".coco" and path.stem.isdecimal()

    def parts(self, path: Path) -> list[Path]:
        """The file with all annotations."""
        return [path.parent]

    def state(self, path: Path) -> bytes:
        """The annotations of the one image."""
        file, image = _image(path)
        return json.dumps([file.first, image.size, list(image.annotations)], sort_keys=True).encode()

    def annotated_size(self, path: Path) -> tuple[int, int] | None:
        """Size of the image, as the file says it."""
        return _image(path)[1].size

    def objects(self, path: Path, labels: LabelSpace, size: tuple[int, int]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """The annotations, in the order of the file, with the ids of their categories."""
        file, image = _image(path)
        for annotation in image.annotations:
            with made_of(path, f"a segmentation of annotation {annotation.get('id')} on {image.name}", _FIX):
                mask = mask_of(annotation.get("segmentation"), size)
            yield int(annotation["category_id"]) + file.first, mask

    def read_names(self, path: Path) -> dict[int, str] | None:
        """Names of the categories; the background has none."""
        return None


def _image(path: Path) -> tuple[CocoFile, CocoImage]:
    try:
        file = coco_file(path.parent)
    except OSError as error:
        raise FileError(path.parent, "COCO annotations", "nothing", "restore the file") from error
    if int(path.stem) not in file.images:
        raise FileError(path.parent, f"an image with the id {path.stem}", "none", _FIX)
    return file, file.images[int(path.stem)]


def mask_of(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Where an object is, (H, W): the pixels whose centres lie in one of its polygons, or its run lengths.

    Args:
        segmentation: Polygons `[[x, y, x, y, ...], ...]`, or `{"size": [H, W], "counts": ...}` with run lengths as
            numbers or as COCO's text.
        size: Rows and columns of the image.

    Raises:
        ValueError: If it is neither, or of another size.
    """
    if isinstance(segmentation, dict):
        if tuple(segmentation["size"]) != size:
            raise ValueError(f"run lengths of {segmentation['size']} pixels, not {list(size)}")
        counts = segmentation["counts"]
        return _of_runs(_unpacked(counts) if isinstance(counts, str) else counts, size)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("no polygon, a box alone perhaps")
    mask = np.zeros(size, np.bool_)
    for points in segmentation:
        mask |= enclosed(in_pairs(points), size)
    return mask


def _of_runs(counts: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of run lengths, of pixels outside and inside in turn, column by column."""
    runs = np.array(counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise ValueError(f"run lengths of {runs.sum()} pixels, not {size[0] * size[1]}")
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(size[::-1]).T


def _unpacked(text: str) -> list[int]:
    """Run lengths of COCO's text (`rleFrString` of its API): groups of five bits, from the third on differences."""
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        group = ord(letter) - 48
        if not 0 <= group < 64:
            raise ValueError(f"{letter!r} among the run lengths")
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("run lengths that break off")
    return counts

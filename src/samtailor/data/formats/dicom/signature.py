"""What a file is by its first bytes: whether it is DICOM, and which kind of object; nothing else of it is read.

Deciding what a path is must be cheap, and possible without pydicom: who lacks the extra is told so when it is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from samtailor.errors import FileError

Kind = Literal["slice", "frames", "segments", "structures", "other"]
"""An image of one frame, or of several; a segmentation; a structure set; anything else, such as a report."""

_HEAD = 512  # preamble (128 bytes), prefix, and the first elements of the file meta information (PS3.10, 7.1)
_MAGIC = slice(128, 132)
_CLASS = re.compile(rb"\x02\x00\x02\x00UI(..)([0-9.]*)", re.DOTALL)  # Media Storage SOP Class UID, explicit VR

_STORAGE = "1.2.840.10008.5.1.4.1.1."
# By PS3.4, B.5. RT Dose, parametric maps and segmentations have pixels, but are no images of a scanner.
_OTHER = re.compile(r"(9|11|30|66|67|68|78|79|80|81|82|88|90|91|104|131|200|201|481\.[2-9]|481\.1[0-9]|4\.2)(\.|$)")
_SEGMENTS = ("66.4", "66.7")
_STRUCTURES = "481.3"
_FRAMES = re.compile(r"(2\.[12]|4\.[134]|128\.1|130|13\.1\.[1-5]|12\.[12]\.1|6\.2|3\.1|7\.[1-4]|20|77\.1\.6)$")

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
_OTHERS = (*_PICTURES, ".nii", ".gz", ".json", ".csv", ".txt", ".xml", ".pdf", ".html")
"""Suffixes of files that are not opened: folders of ten thousand pictures are looked at, too."""


def is_dicom(path: Path) -> bool:
    """Whether a path is a file that begins as DICOM files do."""
    return _head(path)[_MAGIC] == b"DICM"


def kind_of(path: Path) -> Kind | None:
    """Which kind of DICOM object a file is, by its storage class; None if it is no DICOM file."""
    head = _head(path)
    if head[_MAGIC] != b"DICM":
        return None
    found = _CLASS.search(head)
    return kind_of_class(found[2].decode() if found else "")


def kind_of_class(uid: str) -> Kind:
    """Which kind of object a storage class (SOP Class UID) is; private and empty ones count as slices."""
    short = uid.removeprefix(_STORAGE)
    if short == uid:
        return "other" if uid.startswith("1.2.840.10008.") else "slice"
    if short in _SEGMENTS:
        return "segments"
    if short == _STRUCTURES:
        return "structures"
    if _OTHER.match(short):
        return "other"
    return "frames" if _FRAMES.match(short) else "slice"


def refuse_structures(path: Path) -> None:
    """Refuse a structure set: its outlines lie anywhere between the voxels.

    Raises:
        FileError: If it is one.
    """
    if kind_of(path) == "structures":
        fix = "structure sets (RTSTRUCT) are not read: convert it, or give the labels as NIfTI"
        raise FileError(path, "a DICOM segmentation", "a structure set", fix)


def is_image(kind: Kind | None) -> bool:
    """Whether an object of a kind is an image of a scanner."""
    return kind in ("slice", "frames")


def is_image_folder(folder: Path) -> bool:
    """Whether a folder holds slices, or one image of several frames and no other; it is read until that is known."""
    frames = 0
    for kind in map(kind_of, _files(folder)):
        if kind == "slice":
            return True
        frames += kind == "frames"
    return frames == 1


def image_files(folder: Path) -> list[Path]:
    """Files of a folder that are DICOM images, are called so, or have lost their content; sorted."""

    def belongs(path: Path) -> bool:
        if (kind := kind_of(path)) is None:
            return path.suffix.lower() == ".dcm" or not os.path.exists(path) or not os.path.getsize(path)
        return is_image(kind)

    return sorted(filter(belongs, _files(folder)))


def _files(folder: Path) -> Iterator[Path]:
    """Visible files of a folder, links to nothing too, whose names do not rule DICOM out; none if it cannot be read."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        path = folder / name
        if name.startswith(".") or name.lower().endswith(_OTHERS):
            continue
        if os.path.isfile(path) or not os.path.exists(path):
            yield path


def _head(path: Path) -> bytes:
    """The first bytes of a file; none of what is no regular file or cannot be read."""
    try:
        if not os.path.isfile(path):
            return b""
        with open(path, "rb", buffering=0) as file:
            return file.read(_HEAD)
    except (OSError, ValueError):
        return b""

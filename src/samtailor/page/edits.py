"""What has been changed and not saved: on disk before a change is answered, and read again at the next start.

Edits lie in `.samtailor/edits` of the data set. What is hidden is no part of a data set for any layout, so that they
are never taken for images or labels; and where the data set goes, they go.

A file holds a line of JSON (shape, names of the classes), then records: the whole label, and each change after it. A
record is a box, the lengths and checksums of its content, and its voxels, packed by zlib. The whole label is
written under a temporary name and renamed; a change is appended, so that a click on a volume writes some hundred
bytes. What a kill cuts off in the middle is the last change, which nobody was told is done: it is left out.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samtailor.errors import FileError
from samtailor.files import atomic, regular
from samtailor.page.box import Box, shape_of, size_of

FOLDER = ".samtailor"
"""What the page keeps in a data set."""
EDITS = "edits"
"""Where in it the edits are."""

_HEAD = struct.Struct("<8I")  # the box, bytes, checksum
_FORMAT = 1
_LONG = 8 << 20
"""Bytes of changes from which on the whole label is written anew."""
_QUICK = 1  # of zlib's levels: a label of 512 x 512 x 130 takes 50 ms


def can_be_kept(root: Path) -> bool:
    """Whether edits can be kept in a data set: in what is there of their folder, which may be somebody else's."""
    place = root / FOLDER / EDITS
    there = next(folder for folder in (place, *place.parents) if os.path.exists(folder))  # as far as one can look
    return os.access(there, os.W_OK | os.X_OK)


class Edits:
    """The unsaved label of one case."""

    def __init__(self, folder: Path, key: str, classes: Sequence[str], shape: tuple[int, ...]) -> None:
        """Keep a label of a shape (S, H, W); `key` tells the case apart from others."""
        self.key = key
        self.file = file_of(folder, key)
        self._classes, self._shape = list(classes), shape
        self._changes = 0

    @property
    def are_there(self) -> bool:
        """Whether something has been changed and not saved."""
        return self.file.is_file()

    def begin(self, label: NDArray[np.uint8]) -> None:
        """Keep a whole label, instead of what was kept."""
        head = {"format": _FORMAT, "shape": list(self._shape), "classes": self._classes}
        whole = tuple(slice(0, side) for side in self._shape)
        with atomic(self.file) as temporary:
            temporary.write_bytes(json.dumps(head).encode() + b"\n" + _record(whole, label))  # type: ignore[arg-type]
        self._changes = 0

    def add(self, box: Box, values: NDArray[np.uint8]) -> None:
        """Keep a change, of a label that is kept; if there is no room for all of it, none of it."""
        record = _record(box, values)
        with self.file.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                if (written := file.write(record)) != len(record):
                    raise OSError(errno.ENOSPC, f"{written} of {len(record)} bytes could be written", str(self.file))
            except OSError:
                file.truncate(size)
                raise
        self._changes += len(record)

    @property
    def are_long(self) -> bool:
        """Whether it is time to write the whole label instead of its changes."""
        return self._changes > _LONG

    def remove(self) -> None:
        """Keep nothing."""
        self.file.unlink(missing_ok=True)

    def read(self) -> NDArray[np.uint8] | None:
        """The label that was kept; None if there is none.

        Raises:
            FileError: If it is of another image, or of classes that are not there any more.
        """
        if not self.are_there:
            return None
        content = regular(self.file).read_bytes()
        classes, start = self._head(content)
        label = np.empty(self._shape, np.uint8)
        end, is_whole = start, False
        for box, values, reached in _records(content, start, self._shape):
            label[box], end = values, reached
            is_whole = is_whole or shape_of(box) == self._shape
        if not is_whole:
            raise FileError(self.file, "unsaved edits", "a damaged file", "delete it; the edits in it are lost")
        table = np.arange(256, dtype=np.uint8)
        table[: len(classes)] = [self._classes.index(name) for name in classes]
        label = table[label]
        if end < len(content) or classes != self._classes:
            self.begin(label)  # changes are appended to what can be read
        else:
            self._changes = len(content) - start
        return label

    def _head(self, content: bytes) -> tuple[list[str], int]:
        """Names of the classes of a file, and where its records begin."""
        line, _, _ = content.partition(b"\n")
        try:
            head = json.loads(line)
            shape, classes = head["shape"], head["classes"]
            known = head["format"] == _FORMAT and all(isinstance(name, str) for name in classes)
        except (ValueError, TypeError, KeyError):
            known = False
        if not known:
            raise FileError(self.file, "unsaved edits", "a damaged file", "delete it; the edits in it are lost")
        if shape != list(self._shape):
            found = f"those of {' x '.join(map(str, shape))}"
            expected = f"unsaved edits of an image of {' x '.join(map(str, self._shape))}"
            raise FileError(self.file, expected, found, "restore the image that they were made on, or delete the file")
        if lost := [name for name in classes if name not in self._classes]:
            fix = "start with the classes that they were made with, and save them; or delete the file"
            expected = f"unsaved edits of the classes {', '.join(self._classes)}"
            raise FileError(self.file, expected, f"some of {', '.join(lost)}", fix)
        return classes, len(line) + 1


def file_of(folder: Path, key: str) -> Path:
    """The file of the edits of a case in a folder."""
    return folder / f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}.edits"


def _record(box: Box, values: NDArray[np.uint8]) -> bytes:
    packed = zlib.compress(np.ascontiguousarray(values).tobytes(), _QUICK)
    edges = (*(side.start for side in box), *(side.stop for side in box))
    return _HEAD.pack(*edges, len(packed), zlib.crc32(packed)) + packed


def _records(content: bytes, start: int, shape: tuple[int, ...]) -> Iterator[tuple[Box, NDArray[np.uint8], int]]:
    """Boxes, their voxels, and where each record ends, up to the first that is not whole."""
    while start + _HEAD.size <= len(content):
        *edges, length, checksum = _HEAD.unpack_from(content, start)
        begin, start = start + _HEAD.size, start + _HEAD.size + length
        packed = content[begin:start]
        low, high = edges[:3], edges[3:]
        fits = all(a < b <= most for a, b, most in zip(low, high, shape, strict=True))
        if len(packed) != length or zlib.crc32(packed) != checksum or not fits:
            return
        z, y, x = map(slice, low, high)
        box = z, y, x
        values = zlib.decompressobj().decompress(packed, size_of(box))
        yield box, np.frombuffer(values, np.uint8).reshape(shape_of(box)), start

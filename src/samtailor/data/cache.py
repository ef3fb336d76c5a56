"""The slice cache: scaled slices on disk, memory-mapped, keyed by content and preprocessing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samtailor.chunks import counts_of
from samtailor.data.case import CaseFiles, Void
from samtailor.data.corruptions import Degradation
from samtailor.data.formats import label_format_of, read_case
from samtailor.data.formats.format import reading
from samtailor.data.preprocessing import Preprocessing
from samtailor.errors import FileError
from samtailor.files import cache_home, read_json, regular
from samtailor.labels import LabelSpace

_VERSION = 3  # of what reading a file gives
_STEPS_VERSION = 2  # of what steps are shown; in the key of entries that have some
_UNSEEN = {"image_size", "field", "seen", "neighbours"}
"""Settings of the preprocessing that do not change slices; all others are in the key, whoever adds them."""
_ATTEMPTS = 3


@dataclass(frozen=True)
class CachedCase:
    """A case as the network's input needs it, memory-mapped.

    Attributes:
        name: Name of the case.
        key: Hash of the files' content and the preprocessing; '' in memory.
        image: Prepared slices in [0, 1], shape (S, C, H, W).
        label: Class indices, shape (S, H, W); None without label file.
        spacing: Distance in mm of slices, rows, columns; None for pictures.
        counts: Pixels of each class in each slice, shape (S, K); zeros without label.
        void: Pixels of the image that hold nothing, if there are any.
    """

    name: str
    key: str
    image: NDArray[np.float16]
    label: NDArray[np.int16] | None
    spacing: tuple[float, float, float] | None
    counts: NDArray[np.int64]
    void: Void | None = None


def prepare_case(
    files: CaseFiles,
    labels: LabelSpace,
    preprocessing: Preprocessing,
    degradation: Degradation | None = None,
) -> CachedCase:
    """A case as the network's input needs it, in memory; corrupted before everything else, if it is to be."""
    case = read_case(files, labels, preprocessing.channel_choice)
    if degradation is not None:
        case = degradation(case)
    image = np.asarray(preprocessing.prepare(case))
    counts = np.zeros((len(image), len(labels)), dtype=np.int64)
    for index, plane in enumerate(() if case.label is None else case.label):
        counts[index] = counts_of(plane, len(labels))
    return CachedCase(files.name, "", image, case.label, case.geometry.spacing, counts, case.geometry.void)


def add_content(digest: hashlib.blake2b, files: CaseFiles) -> None:
    """Add the content of all files of a case to a hash."""
    for path in (*files.images, *([files.label] if files.label else [])):
        if (state := label_format_of(path).state(path)) is not None:
            digest.update(state)
            continue
        is_folder = os.path.isdir(path)
        for part in sorted(filter(Path.is_file, path.rglob("*"))) if is_folder else label_format_of(path).parts(path):
            with reading(part, "file"), part.open("rb") as file:
                digest.update(str(os.fstat(file.fileno()).st_size).encode())
                while block := file.read(1 << 20):
                    digest.update(block)


class SliceCache:
    """Builds each case once and verifies it at every load; what is broken is built again.

    Args:
        labels: Label space of the label files.
        preprocessing: What makes slices of file values; windows and the size of the network's input do not matter.
        directory: Where the cache lies; the folder 'slices' of `cache_home` if None.
        degradation: What corrupts the cases first, if they are not to be clean.
    """

    def __init__(
        self,
        labels: LabelSpace,
        preprocessing: Preprocessing,
        directory: Path | None = None,
        degradation: Degradation | None = None,
    ) -> None:
        self.labels = labels
        self.preprocessing = preprocessing
        self.directory = directory or cache_home() / "slices"
        self.degradation = degradation

    def load(self, files: CaseFiles) -> CachedCase:
        """The cached case, built first if it is missing or broken."""
        key = self._key(files)
        entry = self.directory / key
        for _ in range(_ATTEMPTS):  # another process may take a broken entry away while this one opens it
            if cached := _open(entry, files.name, key):
                return cached
            try:
                self._build(files, entry)
            except OSError as error:
                fix = "free some space, or set SAMTAILOR_HOME to a folder that can be written"
                raise FileError(self.directory, "a folder for the slice cache", str(error), fix) from error
        raise FileError(entry, "a sound cache entry", "a broken one after writing it", "check the disk")

    def _key(self, files: CaseFiles) -> str:
        """Hash of everything that determines the entry."""
        made_by = {name: value for name, value in self.preprocessing.to_json().items() if name not in _UNSEEN}
        settings: list[Any] = [_VERSION, made_by, self.labels.to_json(), len(files.images)]
        if self.preprocessing.steps:
            settings.append(_STEPS_VERSION)
        if self.degradation is not None:  # random numbers depend on the name
            settings.append([self.degradation.to_json(), files.name])
        digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=20)
        add_content(digest, files)
        return digest.hexdigest()

    def _build(self, files: CaseFiles, entry: Path) -> None:
        """Write the entry under a temporary name and move it to its place."""
        case = prepare_case(files, self.labels, self.preprocessing, self.degradation)
        arrays: dict[str, NDArray[Any]] = {"image": case.image, "counts": case.counts}
        if case.label is not None:
            arrays["label"] = case.label
        if case.void is not None:
            arrays["void"] = case.void.where
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=self.directory))
        try:
            why = None if case.void is None else case.void.why
            meta: dict[str, Any] = {"spacing": case.spacing, "void": why, "arrays": {}}
            for name, array in arrays.items():
                np.save(temporary / f"{name}.npy", array)
                meta["arrays"][name] = _signature(np.ascontiguousarray(array))
            (temporary / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
            _publish(temporary, entry, files.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, entry: Path, name: str) -> None:
    """Move a finished entry to its place, unless another process has put a sound one there meanwhile."""
    if entry.exists():
        if _open(entry, name, entry.name):
            return
        broken = Path(tempfile.mkdtemp(prefix=".broken-", dir=entry.parent))
        with suppress(FileNotFoundError):  # another process has taken it away
            os.replace(entry, broken / entry.name)
        shutil.rmtree(broken, ignore_errors=True)
    try:
        os.replace(temporary, entry)
    except OSError:
        if not entry.exists():  # otherwise another process was faster, and this one's entry is discarded
            raise


def _open(entry: Path, name: str, key: str) -> CachedCase | None:
    """The entry memory-mapped, or None if anything about it is missing or altered."""
    try:
        meta = read_json(entry / "meta.json", dict, "")
        arrays = {array: np.load(regular(entry / f"{array}.npy"), mmap_mode="r") for array in meta["arrays"]}
        if any(_signature(arrays[array]) != signature for array, signature in meta["arrays"].items()):
            return None
        spacing = tuple(meta["spacing"]) if meta["spacing"] else None
        void = Void(arrays["void"], meta["void"]) if "void" in arrays else None
        return CachedCase(name, key, arrays["image"], arrays.get("label"), spacing, arrays["counts"], void)
    except Exception:  # whatever is wrong with an entry, it is built again
        return None


def _signature(array: NDArray[Any]) -> list[Any]:
    """Type, shape and checksum of an array."""
    return [str(array.dtype), list(array.shape), zlib.crc32(array.reshape(-1).view(np.uint8).data)]

"""The contract of a file format: one file beside this one for each, registered in `FORMATS`."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from numpy.typing import NDArray

from samtailor.data.case import CaseFiles, Geometry
from samtailor.data.formats.label_content import LabelContent
from samtailor.data.scene import PatchReader
from samtailor.errors import FileError
from samtailor.labels import LabelSpace
from samtailor.memory import available_memory

G = TypeVar("G", bound=Geometry)

_MORE_MEMORY = "split the image, or use a machine with more memory"


@dataclass(frozen=True)
class Header:
    """What an image file says of itself, its pixels not read.

    Attributes:
        geometry: How the image lies in the file.
        channels: Number of channels that reading the file gives.
        bits: Bits of each number, at least 8.
        bands: Numbers per pixel in the file, counting those that reading drops, such as alpha.
    """

    geometry: Geometry
    channels: int
    bits: int
    bands: int


class LabelFormat(ABC):
    """How one kind of label file is recognised and read. Whatever cannot be read raises `FileError`.

    Attributes:
        suffixes: Suffixes of its files, in lower case, the longest first where one ends with another.
        volumes: Whether it is of volumes with spacing in mm, rather than of pictures.
    """

    suffixes: ClassVar[tuple[str, ...]]
    volumes: ClassVar[bool]

    def recognises(self, path: Path) -> bool:
        """Whether the path is a file of this format, or would be if there were one."""
        # Any path will do, also a name too long, at which `is_dir` raises.
        return self.stem_of(path) != path.name and not os.path.isdir(path)

    def stem_of(self, path: Path) -> str:
        """Name of the path without the format's suffix."""
        suffix = next((suffix for suffix in self.suffixes if path.name.lower().endswith(suffix)), "")
        return path.name[: len(path.name) - len(suffix)]

    def parts(self, path: Path) -> list[Path]:
        """Files that an image or label consists of: itself, what lies beside it, or what of a folder belongs to it."""
        return [path]

    def state(self, path: Path) -> bytes | None:
        """What determines a label that is a part of a file; None if its files' content does."""
        return None

    def can_be_image(self, path: Path) -> bool:
        """Whether a path that it recognises is an image, as far as the first bytes tell, and no label for instance."""
        return True

    def modality(self, path: Path) -> str | None:
        """What an image was taken by, in DICOM's words such as 'CT' or 'MR'; None if the file does not say."""
        return None

    def accompanies(self, path: Path) -> bool:
        """Whether a file is none of this format but belongs to one beside it; nobody need be told that it is there."""
        return False

    @abstractmethod
    def read_ids(self, path: Path, labels: LabelSpace, grid: Geometry | None = None) -> tuple[NDArray[Any], Geometry]:
        """Integer label ids as in the file, shape (S, H, W), and how they lie there; palette colours become ids.

        Where the label has no data, as the geometry says, ids are the ignore id, or without one the first class's.

        Args:
            path: Label file.
            labels: Label space.
            grid: How the image lies, for labels that have no pixels of their own and are drawn like that.
        """

    @abstractmethod
    def read_names(self, path: Path) -> dict[int, str] | None:
        """Class name of each id, as `Geometry.write_label` left them in the file; None if there are none."""

    def content(self, path: Path) -> LabelContent:
        """What a label holds, whichever classes there are.

        Raises:
            FileError: Also if that cannot be told without the classes.
        """
        fix = 'write the classes into dataset.json: {"classes": ["background", ...]}'
        raise FileError(path, "a label that says by itself which classes there are", "one that does not", fix)

    def label_doubts(self, path: Path, labels: LabelSpace, grid: Geometry) -> Iterator[tuple[str, str, str]]:
        """Oddities of a label that can be read nevertheless: what was expected, what was found, what to do."""
        yield from ()


class Format(LabelFormat):
    """How one kind of image is recognised and read; its `Geometry` writes results that lie on the grid of an image.

    Attributes:
        label_suffixes: Suffixes of the label files that are written, by the names of their kinds; the first is written
            where nobody asks for another.
        probabilities_suffix: Suffix of the files of probabilities that are written.
    """

    label_suffixes: ClassVar[Mapping[str, str]]
    probabilities_suffix: ClassVar[str]

    @property
    def label_suffix(self) -> str:
        """Suffix of the label files that are written where nobody asks for another kind."""
        return next(iter(self.label_suffixes.values()))

    def suffix_of(self, kind: str) -> str | None:
        """Suffix of the label files of a kind, 'auto' being the usual one; None if labels are not written in it."""
        return self.label_suffix if kind == "auto" else self.label_suffixes.get(kind)

    def case_files(self, path: Path) -> CaseFiles:
        """The case that a user means by one path: what else belongs to it, and its name."""
        return CaseFiles(self.stem_of(path), (path,))

    def written_beside(self, label: Path) -> tuple[Path, ...]:
        """Files that `Geometry.write_label` writes beside a label."""
        return ()

    @abstractmethod
    def read_header(self, path: Path) -> Header:
        """What a file says of itself, its pixels not read."""

    @abstractmethod
    def read_pixels(self, paths: tuple[Path, ...]) -> tuple[NDArray[Any], Geometry]:
        """Intensities of one image as in the file, shape (C, S, H, W), and how they lie there."""

    def doubts(self, path: Path) -> Iterator[tuple[str, str, str]]:
        """Oddities of a header that can be read nevertheless: what was expected, what was found, what to do."""
        yield from ()


def with_channels(path: Path, stem: str) -> CaseFiles:
    """The case of a path, whose further channels come along if it ends with the number of the first, `_0000`."""
    name = stem.removesuffix("_0000")
    if name == stem:
        return CaseFiles(name, (path,))
    further = (path.with_name(f"{name}_{channel:04d}{path.name[len(stem) :]}") for channel in count(1))
    return CaseFiles(name, (path, *takewhile(os.path.lexists, further)))


def on_one_grid(paths: Sequence[Path], read: Callable[[Path], tuple[NDArray[Any], G]]) -> tuple[list[NDArray[Any]], G]:
    """Each channel of a volume, read from a file of its own, and the grid that all share; refused if one does not."""
    first, geometry = read(paths[0])
    channels = [first]
    for path in paths[1:]:
        other, other_geometry = read(path)
        if difference := geometry.difference(other_geometry, "channel", "first channel"):
            raise FileError(path, *difference)
        channels.append(other)
    return channels, geometry


class SceneFormat(Format):
    """A format of images that can be read, and whose results can be written, without holding them as a whole.

    Their geometries are `SceneGeometry`.
    """

    @abstractmethod
    def reader(self, paths: tuple[Path, ...]) -> AbstractContextManager[PatchReader]:
        """A block in which parts of one image are read: together they are what `read_pixels` gives."""


@contextmanager
def reading(path: Path, kind: str, quoting: bool = True) -> Iterator[None]:
    """A block that reads a file of some kind with a library: whatever goes wrong there becomes a `FileError`.

    The file is opened once before the block, so that what is wrong with the path is not taken for damage. Parsers
    raise anything on damaged files (KeyError, struct.error, ZeroDivisionError, ...), so the block should hold little
    more than the call of the library.

    Args:
        path: The file.
        kind: What it should be.
        quoting: Whether the error says what the library says, which may quote the file.
    """
    require_file(path, kind)
    try:
        yield
    except FileError:
        raise
    except MemoryError as error:
        raise FileError(path, f"a {kind} that fits into memory", "one that does not", _MORE_MEMORY) from error
    except Exception as error:
        fix = "the file is damaged or truncated, or of an unknown kind: copy or convert it again"
        found = type(error).__name__ + (f": {' '.join(str(error).split())}" if quoting else "")
        raise FileError(path, f"a readable {kind}", found, fix) from error


def require_file(path: Path, kind: str) -> None:
    """Refuse a path that is no file of this user's to read; pipes and devices are none."""
    fix = "check the path and its permissions"
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            with path.open("rb"):
                return
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
    except FileNotFoundError:
        found = "a link to nothing" if path.is_symlink() else "nothing"
        fix = "restore the file, or take the case out of the data set"
    except OSError as error:
        found = (error.strerror or str(error)).lower()
    except ValueError:
        found = "a path with a NUL character"
    raise FileError(path, f"a {kind}", found, fix)


def require_suffix(path: Path, suffixes: Collection[str]) -> None:
    """Refuse a file to be written whose suffix is none of those by which readers know what is in it."""
    if not path.name.lower().endswith(tuple(suffixes)):
        expected = f"a file name with {' or '.join(suffixes)}"
        raise FileError(path, expected, f"'{path.name}'", "name another one: the suffix says what is written")


def require_memory(path: Path, size: int) -> None:
    """Refuse to read what needs more bytes than are free, before they are allocated."""
    if size > (free := available_memory()):
        found = f"one that needs {size / 1e9:.1f} GB"
        raise FileError(path, f"an image that fits into the {free / 1e9:.1f} GB of free memory", found, _MORE_MEMORY)

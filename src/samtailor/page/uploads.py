"""Images that are dropped on the page, or sent by other programs: kept in a temporary folder, under names of ours."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samtailor.data.case import CaseFiles
from samtailor.data.formats import find_format, image_suffixes
from samtailor.errors import FileError
from samtailor.page.request_error import RequestError

_NAME = "image"
_LONGEST = 120


class Uploads:
    """A temporary folder, a folder in it for every image; of a name that somebody sends only the suffix is used."""

    def __init__(self) -> None:
        """Make the folder."""
        self.folder = Path(tempfile.mkdtemp(prefix="samtailor-app-"))
        self._number = itertools.count()

    def place(self, name: str) -> CaseFiles:
        """Where an image of some name goes; the name is its title.

        Raises:
            RequestError: If no image has such a suffix.
        """
        title = title_of(name)
        suffixes = sorted(image_suffixes(), key=len, reverse=True)
        suffix = next((suffix for suffix in suffixes if title.lower().endswith(suffix)), None)
        if suffix is None or suffix == ".vrt":  # it names other files
            known = ", ".join(sorted(set(suffixes) - {".vrt"}))
            raise RequestError(422, f"name: expected an image with one of {known}; found '{title}'")
        folder = self.folder / str(next(self._number))
        folder.mkdir(parents=True)
        return CaseFiles(title[: -len(suffix)] or title, (folder / f"{_NAME}{suffix}",))

    @contextmanager
    def passing(self, name: str) -> Iterator[CaseFiles]:
        """Where an image goes that is not kept beyond the block."""
        files = self.place(name)
        try:
            with self.called_as_sent(files):
                yield files
        finally:
            self.drop(files)

    @contextmanager
    def called_as_sent(self, files: CaseFiles) -> Iterator[None]:
        """A block whose errors call an image of this folder as its sender does."""
        image = files.images[0]
        try:
            yield
        except FileError as error:
            if error.file != str(image) or not image.is_relative_to(self.folder):
                raise
            name = f"{files.name}{image.name.removeprefix(_NAME)}"
            raise FileError(name, error.expected, error.found, error.fix) from error

    def drop(self, files: CaseFiles) -> None:
        """Delete an image, and what was written beside it."""
        shutil.rmtree(files.images[0].parent, ignore_errors=True)

    def close(self) -> None:
        """Delete all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)


def title_of(name: str) -> str:
    """The last part of a name that somebody sends, of letters that can be shown."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(letter for letter in last if unicodedata.category(letter)[0] != "C").strip()
    return shown[-_LONGEST:] or "image"


def written_suffix(files: CaseFiles, kind: str) -> str:
    """Suffix of the label file of an image, of a kind as `samtailor predict --format` has it.

    Raises:
        RequestError: If labels of such images are not written in it.
    """
    format = find_format(files.images[0])
    assert format is not None
    suffix = format.suffix_of(kind)
    if suffix is None:
        raise RequestError(
            400, f"format: expected auto, or one of {', '.join(format.label_suffixes)}; found '{kind:.40}'"
        )
    return suffix

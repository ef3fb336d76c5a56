"""Files that appear complete or not at all, text that is what it should be, and where the cache lies."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import itertools
import json
import os
import pickle
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

import yaml

from samtailor.errors import ConfigError, FileError, SamTailorError

_LARGEST_TEXT = 64 << 20
_LARGEST_YAML = 1 << 20  # its parser takes seconds for each megabyte
# What a scalar with a wrong tag raises (`!!bool x`, `!!int ""`, `!!timestamp x`) is not wrapped by the library.
_YAML_ERRORS = (yaml.YAMLError, ValueError, RecursionError, KeyError, IndexError, AttributeError, TypeError)


# What NumPy, torch, zipfile, pickle's safe subset and plain Python raise at damaged content.
_DAMAGE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(TypeError, ValueError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error),
)


_ENDING = 40
_number = itertools.count()


@contextmanager
def atomic(path: Path, beside: Sequence[str] = ()) -> Iterator[Path]:
    """A temporary name next to `path`, with its suffix, renamed to `path` when the block succeeds.

    Args:
        path: File to write.
        beside: What programs put behind the name of such a file for what they keep beside it: of the file that is
            replaced, that goes, too.
    """
    ending = path.name[-_ENDING:]  # with the whole name, a long one would be too long
    temporary = path.with_name(f".{os.getpid()}-{next(_number)}-{ending}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        os.replace(temporary, path)
        for suffix in beside:
            if (kept := path.with_name(f"{path.name}{suffix}")).is_file():
                kept.unlink()
    finally:
        temporary.unlink(missing_ok=True)


def as_unicode(name: str) -> str:
    """A name of a file whose bytes that are no UTF-8, which Linux allows, are written as codes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def reserve(file: IO[bytes], size: int, place: Path) -> None:
    """Make a file that large, on disk and not only by name.

    Where a memory map is written and the disk is full, the process is killed without a word; this asks before.

    Raises:
        FileError: If there is no room for it.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        elif shutil.disk_usage(os.path.dirname(place) or ".").free < size:  # macOS has no such call
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        found = error.strerror or str(error)
        fix = "free some space, or name another place"
        raise FileError(place, f"room for {size:,} bytes", found, fix) from error


def regular(path: Path) -> Path:
    """The path, unless it leads to something else than a file: who opens a pipe waits for ever.

    Raises:
        OSError: If it leads to a folder, a pipe or a device.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return path


def sha256(path: Path) -> str:
    """Checksum of a file, in hex."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, modified: int) -> str:
    """Checksum, remembered for as long as the file does not change."""
    with regular(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, complete or not at all; bytes of file names that are no UTF-8 are written as codes."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Write plain values as JSON, complete or not at all.

    Raises:
        ValueError: If a number is not finite: JSON has none such.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False))


def read_text(path: Path, expected: str, fix: str, most: int = _LARGEST_TEXT) -> str:
    """Content of a UTF-8 text file, whatever the locale and with or without a byte-order mark.

    All text that users or runs have left somewhere is read here.

    Args:
        path: The file.
        expected: What it should be, for the error.
        fix: Advice if it is missing.
        most: Bytes that it may have.

    Raises:
        FileError: If it is missing, no regular file, not readable, too large, or not UTF-8.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileError(path, expected, "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file", fix)
        if status.st_size > most:
            fits = f"{expected} of at most {most >> 20} MB"
            raise FileError(path, fits, f"{status.st_size >> 20} MB", "this is another file: give the right one")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {error.object[error.start]:#04x} at position {error.start}, which is not UTF-8"
        raise FileError(path, expected, found, "save it as UTF-8, if it is text") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileError(path, expected, "nothing", fix) from error
    except (OSError, ValueError) as error:  # ValueError: a path that holds a NUL
        found = getattr(error, "strerror", None) or str(error)
        raise FileError(path, expected, f"what cannot be read ({found})", "make it readable") from error


def read_json(path: Path, expected: type[dict[str, Any]] | type[list[Any]], fix: str) -> Any:
    """Content of a JSON file with such an outermost value, else a FileError; `fix` is advice if it is missing."""
    kind = f"a JSON file with {'an object {...}' if expected is dict else 'a list [...]'}"
    text = read_text(path, kind, fix)
    try:
        content = json.loads(text, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:  # ValueError: syntax, and numbers of more than 4300 digits
        found = "an empty file" if not text.strip() else _first_line(error)
        raise FileError(path, kind, found, f"fix the syntax, or {fix}") from error
    if not isinstance(content, expected):
        raise FileError(path, kind, type(content).__name__, fix)
    return content


def read_yaml(path: Path, fix: str) -> dict[str, Any]:
    """Content of a YAML file of plain values by name, else a FileError; `fix` is advice if it is missing."""
    kind = "a YAML file with values by name"
    text = read_text(path, kind, fix, _LARGEST_YAML)
    try:
        content = yaml.safe_load(text)
    except _YAML_ERRORS as error:
        raise FileError(path, kind, _first_line(error), f"fix the syntax, or {fix}") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise FileError(path, kind, f"{content!r:.80}" if text.strip() else "an empty file", fix)
    return content


def read_csv(path: Path, columns: Collection[str], fix: str) -> list[dict[str, str]]:
    """Rows of a CSV file with at least these columns, else a FileError; `fix` is advice if it is missing."""
    kind = f"a CSV file with the columns {', '.join(columns)}"
    reader = csv.DictReader(io.StringIO(read_text(path, kind, fix), newline=""), restkey="", restval=None)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise FileError(path, kind, str(error), fix) from error
    if not set(columns) <= set(reader.fieldnames or ()):
        raise FileError(path, kind, f"{', '.join(reader.fieldnames or ()):.80}" or "an empty file", fix)
    for line, row in enumerate(rows, start=2):
        if "" in row or None in row.values():
            raise FileError(path, kind, f"a row of another length in line {line}", fix)
    return rows


@contextmanager
def made_of(file: Path | str, expected: str, fix: str) -> Iterator[None]:
    """While the content of a file is made into something, whatever is wrong with it is one FileError.

    For files that are plain data to a library or to us, and may hold anything: what they make a constructor or a
    parser raise says what is wrong with the file, not with the program.
    """
    try:
        yield
    except FileError:
        raise
    except KeyError as error:
        raise FileError(file, expected, f"no {_first_line(error)}", fix) from error
    except (SamTailorError, *_DAMAGE) as error:
        raise FileError(file, expected, _first_line(error), fix) from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refused if it names something twice: the first one would be dropped without a word."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r} twice in one object")
    return content


def _first_line(error: Exception) -> str:
    """What a parser says, short enough for a line."""
    return " ".join(str(error).split())[:160] or type(error).__name__


def cache_home() -> Path:
    """Folder for everything that can be made again: the variable SAMTAILOR_HOME, or ~/.cache/samtailor."""
    if home := os.environ.get("SAMTAILOR_HOME"):
        return Path(home).expanduser()
    try:
        return Path.home() / ".cache" / "samtailor"
    except RuntimeError as error:
        raise ConfigError("expected a home folder for the cache, found none; set SAMTAILOR_HOME") from error

"""Files that appear complete or not at all, JSON that is what it should be, and where the cache lies."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from samtailor.errors import FileError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name next to `path`, with its suffix, renamed to `path` when the block succeeds."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, complete or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write plain values as JSON, complete or not at all.

    Raises:
        ValueError: If a number is not finite: JSON has none such.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False))


def read_json(path: Path, expected: type[dict[str, Any]] | type[list[Any]], fix: str) -> Any:
    """Content of a JSON file with such an outermost value, else a FileError; `fix` is advice if it is missing."""
    kind = "an object {...}" if expected is dict else "a list [...]"
    if not path.is_file():
        raise FileError(path, f"a JSON file with {kind}", "nothing", fix)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FileError(path, f"a JSON file with {kind}", str(error), "fix the syntax") from error
    if not isinstance(content, expected):
        raise FileError(path, f"a JSON file with {kind}", type(content).__name__, fix)
    return content


def cache_home() -> Path:
    """Folder for everything that can be made again: the variable SAMTAILOR_HOME, or ~/.cache/samtailor."""
    return Path(os.environ.get("SAMTAILOR_HOME") or Path.home() / ".cache" / "samtailor")

"""Folders that appear complete or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from samtailor.errors import ConfigError, listed
from samtailor.files import read_text
from samtailor.outputs import require_new, require_place

CARD_NAME = "README.md"
"""The model card; a folder that holds one of ours was written by us."""

CARD_MARK = "\n- samtailor\n"
"""The tag of every card of ours."""


def require_folder(folder: Path, run: str | Path, overwrite: bool, what: str) -> None:
    """Refuse a folder that a run cannot be shared in, before any work; with `overwrite` an earlier `what` may be there.

    Raises:
        ConfigError: Naming what is there.
    """
    require_place(folder, [run])
    if not overwrite:
        require_new(folder, f"name another one, or replace an earlier {what} with --overwrite")


@contextmanager
def whole_folder(folder: Path, names: Set[str]) -> Iterator[Path]:
    """A temporary folder next to `folder`, renamed to `folder` when the block succeeds.

    It may be new, empty, or an earlier one of files of these names, which is replaced; all else is a ConfigError.
    """
    folder = folder.resolve()
    _require_ours(folder, names)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{os.getpid()}-{folder.name}")
    temporary.mkdir()
    try:
        yield temporary
        _replace(folder, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _require_ours(folder: Path, names: Set[str]) -> None:
    """Refuse to replace anything but an earlier share."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder}: expected a folder to write to, found a file; name another one")
    found = {path.name for path in folder.iterdir()}
    card = folder / CARD_NAME
    is_ours = found <= names and card.is_file() and CARD_MARK in read_text(card, "a model card", "name another folder")
    if found and not is_ours:
        raise ConfigError(
            f"{folder}: expected a new or empty folder, or an earlier share, found "
            f"{listed(sorted(found - names or found), 3)}; name another one, or empty it"
        )


def _replace(folder: Path, complete: Path) -> None:
    """Put a complete folder in the place of an earlier one."""
    if not folder.exists():
        os.replace(complete, folder)
        return
    earlier = folder.with_name(f"{complete.name}-earlier")
    os.replace(folder, earlier)
    try:
        os.replace(complete, folder)
    except OSError:
        os.replace(earlier, folder)
        raise
    shutil.rmtree(earlier, ignore_errors=True)

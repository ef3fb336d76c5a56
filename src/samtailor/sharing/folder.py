"""Folders that appear complete or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from samtailor.errors import ConfigError, listed
from samtailor.files import read_text
from samtailor.outputs import TEMPORARY, require_new, require_place

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
    """A temporary folder, whose files become those of `folder` when the block succeeds.

    That may be new, empty, or an earlier one of files of these names, which are replaced; all else is a ConfigError. A
    folder that is there stays: it may be the one that somebody is in, or a disk of its own.
    """
    folder = folder.resolve()
    _require_ours(folder, names)
    is_there = folder.exists()
    hidden = f"{TEMPORARY}{os.getpid()}"
    temporary = folder / hidden if is_there else folder.with_name(f"{hidden}-{folder.name}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if is_there:
            _replace_files(folder, temporary, names)
        else:
            os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _require_ours(folder: Path, names: Set[str]) -> None:
    """Refuse to replace anything but an earlier share."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder}: expected a folder to write to, found a file; name another one")
    found = {path.name for path in folder.iterdir() if not path.name.startswith(TEMPORARY)}
    card = folder / CARD_NAME
    is_ours = found <= names and card.is_file() and CARD_MARK in read_text(card, "a model card", "name another folder")
    if found and not is_ours:
        raise ConfigError(
            f"{folder}: expected a new or empty folder, or an earlier share, found "
            f"{listed(sorted(found - names or found), 3)}; name another one, or empty it"
        )


def _replace_files(folder: Path, complete: Path, names: Set[str]) -> None:
    """Put the files of a complete folder inside `folder` into it, in the place of those of the names; the card last."""
    old = [name for name in sorted(names) if (folder / name).exists()]
    new = sorted((path.name for path in complete.iterdir()), key=lambda name: (name == CARD_NAME, name))
    earlier = complete / "earlier"
    earlier.mkdir()
    try:
        _move(old, folder, earlier)
        _move(new, complete, folder)
    except BaseException:
        _move([name for name in new if not (complete / name).exists()], folder, complete)
        _move([path.name for path in earlier.iterdir()], earlier, folder)
        raise


def _move(names: Iterable[str], source: Path, target: Path) -> None:
    for name in names:
        os.replace(source / name, target / name)

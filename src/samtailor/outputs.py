"""Where results may go: asked before any work, so that nothing is lost and nothing half-done is left behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from samtailor.errors import ConfigError, listed
from samtailor.runs import CrossValidation, Run

_DATA = frozenset({"imagesTr", "labelsTr", "imagesTs", "labelsTs", "images", "masks"})
"""Folders that data sets are read from."""


def require_place(
    out: str | Path,
    inputs: Collection[str | Path] = (),
    data: str | Path | None = None,
    is_run: bool = False,
    name: str = "out",
) -> None:
    """Refuse a folder that cannot be written to, or where results would mix with what is read.

    Nothing is left behind, nor are missing folders: they are made, and taken away again.

    Args:
        out: Folder of the results.
        inputs: Files and folders that are read; none of them may be `out`.
        data: Data set that is read; `out` may not lie in it.
        is_run: Whether `out` becomes a run, or may be one already.
        name: Name of the setting, for the message.

    Raises:
        ConfigError: Naming what is there.
    """
    out = Path(out)
    if obstacle := _obstacle(out):
        raise ConfigError(f"{name}: expected a folder to write to, found {obstacle}: {out}; name another folder")
    if inside := _mixed_with(Path(os.path.realpath(out)), inputs, data, is_run):
        expected = "a folder apart from what is read"
        raise ConfigError(f"{name}: expected {expected}, found {inside}: {out}; name another folder")


TEMPORARY = ".samtailor-"
"""What temporary folders in a folder of the user begin with; one that a killed process has left stands in no way."""


def require_new(folder: Path, advice: str = "name another one") -> None:
    """Refuse a folder that holds something."""
    if folder.exists() and any(not path.name.startswith(TEMPORARY) for path in folder.iterdir()):
        raise ConfigError(f"out: expected a new or empty directory, found files in {folder}; {advice}")


def require_free(files: Iterable[Path], overwrite: bool, advice: str = "", name: str = "out") -> None:
    """Refuse to replace files, unless the user wants it; `advice` is another way out, beside --overwrite."""
    if there := [] if overwrite else [file for file in files if os.path.lexists(file)]:
        names = listed([str(file) for file in there], 3)
        ways = ["name another folder", *([advice] if advice else []), "or replace them with --overwrite"]
        raise ConfigError(f"{name}: expected no earlier results there, found {names}; {', '.join(ways)}")


def _obstacle(out: Path) -> str | None:
    """Why nothing can be written into a folder; None if something can."""
    made: list[Path] = []
    try:
        if os.path.lexists(out) and not out.exists():
            os.stat(out)  # raises what the link leads to
        for folder in reversed([out, *out.parents]):
            if not folder.exists():
                with suppress(FileExistsError):  # another process was faster
                    folder.mkdir()
                    made.append(folder)
            elif not folder.is_dir():
                return f"the file {folder}"
        with tempfile.TemporaryFile(dir=out):
            return None
    except FileNotFoundError as error:
        return "a link to nothing" if out.is_symlink() else _reason(error)
    except OSError as error:
        return _reason(error)
    except ValueError:
        return "a name that no file can have"
    finally:
        for folder in reversed(made):
            with suppress(OSError):  # another process has put something there
                folder.rmdir()


def _reason(error: OSError) -> str:
    """What the system says, as a part of a sentence."""
    return f"none that can be made or written ({error.strerror})"


def _mixed_with(out: Path, inputs: Collection[str | Path], data: str | Path | None, is_run: bool) -> str | None:
    """What a folder would mix results with, in words; None if nothing."""
    if out in [Path(os.path.realpath(path)) for path in inputs]:
        return "what is read itself"
    if data is not None and out.is_relative_to(os.path.realpath(data)):
        return "a folder of the data set that is read"
    for folder in (out, *out.parents):
        inner = out.relative_to(folder).parts[:1]
        is_data = (folder / "imagesTr").is_dir() or ((folder / "images").is_dir() and (folder / "masks").is_dir())
        if is_data and (not inner or inner[0] in _DATA):
            return "a data set"
        if Run(folder).holds(out) and not (is_run and out == folder):
            return "a run"
    if CrossValidation(out).is_there and not is_run:
        return "a cross-validation"
    return None

"""Whatever is wrong with a path or a file is said in one clear error, whatever a library makes of it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from samtailor.data.formats import find_format, read_image
from samtailor.data.formats.format import reading, require_memory
from samtailor.errors import FileError


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def dangling(path: Path) -> Path:
    path.symlink_to("nowhere")
    return path


PATHS: dict[str, Callable[[Path], Path]] = {
    "nothing": lambda path: path,
    "a link to nothing": dangling,
    "a folder": folder,
    "a pipe or a device": pipe,
    "too many levels of symbolic links": loop,
    "file name too long": lambda path: path.with_name("x" * 300 + path.name),
    "a path with a NUL character": lambda path: path.with_name(f"\0{path.name}"),
    "not a directory": lambda path: Path(__file__) / path.name,
}


@pytest.mark.parametrize("found", PATHS)
@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.nii.gz"])
def test_a_path_that_is_no_file_is_not_called_damaged(tmp_path: Path, name: str, found: str) -> None:
    path = PATHS[found](tmp_path / name)
    if found == "a folder":
        assert find_format(path) is None
    with pytest.raises(FileError) as error:
        read_image(path)
    assert error.value.file == str(path)
    assert error.value.found == found


@pytest.mark.parametrize("raised", [OSError("?"), KeyError("?"), struct.error("?"), ZeroDivisionError(), SyntaxError()])
def test_whatever_a_library_raises_names_the_file(tmp_path: Path, raised: Exception) -> None:
    (tmp_path / "x").write_bytes(b"?")
    with (
        pytest.raises(FileError, match=f"x: expected a readable kind, found {type(raised).__name__}"),
        reading(tmp_path / "x", "kind"),
    ):
        raise raised


def test_what_does_not_fit_into_memory_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"?")
    with pytest.raises(FileError, match=r"fits into the .* GB of free memory, found one that needs 1000000\.0 GB"):
        require_memory(tmp_path / "x", 10**15)
    require_memory(tmp_path / "x", 10)
    with pytest.raises(FileError, match="fits into memory"), reading(tmp_path / "x", "kind"):
        raise MemoryError


def test_an_error_that_is_clear_already_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"?")
    clear = FileError("y", "a", "b", "c")
    with pytest.raises(FileError) as error, reading(tmp_path / "x", "kind"):
        raise clear
    assert error.value is clear

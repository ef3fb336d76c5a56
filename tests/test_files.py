"""Text that users and runs have left is read by one function, and refused by one error."""

from __future__ import annotations

import os
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from samtailor.errors import FileError, SamTailorError
from samtailor.files import atomic, read_csv, read_json, read_text, read_yaml, regular, reserve, sha256, write_text
from samtailor.models.checkpoints import read_state
from samtailor.models.segmenter_model import read_weights
from samtailor.reporting.view import View


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_text_is_utf8_with_or_without_a_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"classes": ["Hintergrund", "Gefäß"]}', encoding=encoding)
    assert read_json(path, dict, "") == {"classes": ["Hintergrund", "Gefäß"]}
    assert read_yaml(path, "") == {"classes": ["Hintergrund", "Gefäß"]}


def test_no_text_is_read_by_the_locale() -> None:
    """Outside files.py nobody reads text of a user or a run by another function."""
    source = Path(__file__).parents[1] / "src/samtailor"
    others = re.compile(r"\.read_text\(\)|\.read_text\(encoding|json\.load\(|yaml\.safe_load\(")
    found = {path.name for path in source.rglob("*.py") if others.search(path.read_text(encoding="utf-8"))}
    assert found - {"files.py"} == {
        "memory.py",  # the kernel's files
        "measure.py",  # what the process itself has just written
        "hub.py",  # a commit's name
        "embeddings.py",  # a checksum: what is no number is computed again
        "run.py",  # text that was made a line before
    }


DAMAGED_JSON: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "an empty file"),
    "cut": (b'{"a": [1, 2', "line 1"),
    "binary": (bytes(range(128, 256)), "position 0, which is not UTF-8"),
    "utf-16": ('{"a": 1}'.encode("utf-16"), "0xff at position 0"),
    "latin-1": ('{"a": "Gefäß"}'.encode("latin-1"), "0xe4"),
    "deep": (b"[" * 200_000, "recursion"),
    "digits": (b'{"a": ' + b"9" * 5000 + b"}", "limit"),
    "twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' twice"),
    "other": (b"[1]", "list"),
    "number": (b"3", "int"),
}


@pytest.mark.parametrize("kind", DAMAGED_JSON)
def test_damaged_json_is_refused(tmp_path: Path, kind: str) -> None:
    content, found = DAMAGED_JSON[kind]
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(FileError, match=re.escape(found)) as error:
        read_json(path, dict, "write one")
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        *("", "a: [1", "- 1", "3: 4", "a: !!python/object/apply:os.system [ls]", "a: !!bool x", 'a: !!int ""'),
        *("a: !!timestamp x", "a: 2024-13-45", "{a: " * 5000, "a: " + "9" * 5000, "\0", "a\tb"),
    ],
)
def test_damaged_yaml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(FileError, match="YAML file with values by name"):
        read_yaml(path, "")


@pytest.mark.parametrize("text", ["", "a\n1\n", "a,b\n1,2,3\n", "a,b\n1\n", 'a,b\n1,"' + "x" * 200_000 + '"\n'])
def test_damaged_csv_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(FileError, match="CSV file with the columns a, b"):
        read_csv(path, ("a", "b"), "")


def test_csv_of_other_systems_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfa,b\r\n1,\r\n")
    assert read_csv(tmp_path / "x.csv", ("a",), "") == [{"a": "1", "b": ""}]


def _loop(path: Path) -> None:
    path.symlink_to(path)


NOT_THERE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "nothing"),
    "folder": (Path.mkdir, "a folder"),
    "pipe": (os.mkfifo, "no regular file"),
    "loop": (_loop, "cannot be read"),
    "huge": (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 65 << 20), "65 MB"),
}


@pytest.mark.parametrize("kind", NOT_THERE)
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    make, found = NOT_THERE[kind]
    make(tmp_path / "x")
    with pytest.raises(FileError, match=f"found .*{found}"):
        read_text(tmp_path / "x", "a list", "give one")


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "file/below"])
def test_paths_that_can_be_none_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="a list"):
        read_text(tmp_path / name, "a list", "give one")


@contextmanager
def full_disk(left: int) -> Iterator[None]:
    """No file can become larger in the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_before_a_map_is_written(tmp_path: Path) -> None:
    with (tmp_path / "map").open("wb") as file:
        with full_disk(1000), pytest.raises(FileError, match=r"map: expected room for 2,000 bytes, found .*free some"):
            reserve(file, 2000, tmp_path / "map")
        reserve(file, 2000, tmp_path / "map")
    assert (tmp_path / "map").stat().st_blocks > 0


def test_where_nothing_can_be_reserved_the_free_space_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    free = shutil.disk_usage(tmp_path).free
    with (tmp_path / "map").open("wb") as file:
        reserve(file, 2000, tmp_path / "map")
        with pytest.raises(FileError, match=r"map: expected room for .*No space left"):
            reserve(file, 10 * free, tmp_path / "map")


def test_every_map_that_is_written_has_its_room_reserved() -> None:
    source = Path(__file__).parents[1] / "src/samtailor"
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert ("memmap(" in text) <= ("reserve(" in text), path


def test_nothing_is_half_written(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "before")
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        write_text(tmp_path / "text", "x" * 1000)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"text": "before"}


def test_a_name_as_long_as_names_can_be_is_written(tmp_path: Path) -> None:
    for name in ("x" * 248 + ".nii.gz", "ø" * 127):
        with atomic(tmp_path / name) as scratch:
            assert scratch.name.endswith(name[-7:])
            scratch.touch()
        assert (tmp_path / name).is_file()


def test_a_name_that_is_no_utf8_is_written_as_codes(tmp_path: Path) -> None:
    write_text(tmp_path / "text", os.fsdecode(b"\xff"))
    assert (tmp_path / "text").read_bytes() == b"\\udcff"


def test_nobody_waits_for_a_pipe(tmp_path: Path) -> None:
    """Every binary file of a run, and of the caches, may have become anything."""
    pipe = tmp_path / "weights.safetensors"
    os.mkfifo(pipe)
    for read in (read_weights, read_state, sha256, View.load):
        with pytest.raises((SamTailorError, OSError), match="no regular file"):
            read(pipe)
    with pytest.raises(OSError, match="no regular file"):
        regular(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    assert regular(tmp_path / "link").exists()
    assert regular(tmp_path / "nothing") == tmp_path / "nothing"  # whoever opens it says so

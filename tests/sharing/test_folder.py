"""A written folder is whole or not there, and nothing of the user's is replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from samtailor.errors import ConfigError
from samtailor.sharing.folder import CARD_MARK, CARD_NAME, require_folder, whole_folder

NAMES = frozenset({CARD_NAME, "a", "b"})


def write(folder: Path, *names: str) -> None:
    with whole_folder(folder, NAMES) as scratch:
        (scratch / CARD_NAME).write_text(CARD_MARK)
        for name in names:
            (scratch / name).write_text(name)


def listed(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_new_and_an_empty_folder_are_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty", "deep/er"):
        write(tmp_path / name, "a")
        assert listed(tmp_path / name) == {CARD_NAME, "a"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_earlier_share_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "share", "a")
    write(tmp_path / "share", "b")
    assert listed(tmp_path / "share") == {CARD_NAME, "b"}
    assert listed(tmp_path) == {"share"}


def test_a_folder_that_is_there_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may be in it, or it may be a disk of its own, which cannot be renamed."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    before = folder.stat().st_ino
    for name in ("a", "b"):
        write(Path("."), name)
        assert listed(Path(".")) == {CARD_NAME, name}
    assert folder.stat().st_ino == before
    assert listed(tmp_path) == {"here"}


def test_what_a_killed_process_has_left_and_what_has_come_meanwhile_stay(tmp_path: Path) -> None:
    (tmp_path / "share" / ".samtailor-1").mkdir(parents=True)
    require_folder(tmp_path / "share", tmp_path / "run", overwrite=False, what="share")
    write(tmp_path / "share", "a")
    with whole_folder(tmp_path / "share", NAMES) as scratch:
        (scratch / CARD_NAME).write_text(CARD_MARK)
        (tmp_path / "share" / "notes.txt").write_text("mine")
    assert listed(tmp_path / "share") == {CARD_NAME, ".samtailor-1", "notes.txt"}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_fails_half_way_leaves_an_earlier_share(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "share", "a")
    replace = os.replace

    def failing(source: Path, target: Path) -> None:
        if target == tmp_path / "share" / "b":
            assert (tmp_path / "share" / "a").is_file()
            assert not (tmp_path / "share" / CARD_NAME).is_file()  # the mark of what is whole
            raise error("the disk is gone")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(error, match="the disk is gone"):
        write(tmp_path / "share", "a", "b")
    assert listed(tmp_path / "share") == {CARD_NAME, "a"}
    assert (tmp_path / "share" / "a").read_text() == "a"
    assert listed(tmp_path) == {"share"}


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "share", "a")
    for name in ("share", "new"):
        with pytest.raises(FileNotFoundError), whole_folder(tmp_path / name, NAMES) as scratch:
            (scratch / "none" / "b").write_text("half")
    assert listed(tmp_path) == {"share"}
    assert listed(tmp_path / "share") == {CARD_NAME, "a"}


@pytest.mark.parametrize("names", [("a",), ("a", "notes.txt"), (CARD_NAME,)])
def test_the_users_files_are_not_replaced(names: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"expected a new or empty folder, or an earlier share, found .*{names[-1]}"):
        write(folder, "a")
    assert listed(tmp_path) == {"folder"}
    assert {path.read_text() for path in folder.iterdir()} == {"mine"}


def test_an_earlier_share_with_a_file_of_the_user_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "share", "a")
    (tmp_path / "share" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"found notes\.txt; name another one"):
        write(tmp_path / "share", "b")
    assert listed(tmp_path / "share") == {CARD_NAME, "a", "notes.txt"}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="expected a folder to write to, found a file"):
        write(tmp_path / "file", "a")

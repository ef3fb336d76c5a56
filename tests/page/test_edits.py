"""Edits are on disk when a call returns, and whole whenever the program dies."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from samtailor.errors import FileError
from samtailor.page import edits as edits_module
from samtailor.page.box import Box
from samtailor.page.edits import FOLDER, Edits, can_be_kept

CLASSES = ("background", "liver", "spleen")
SHAPE = (4, 6, 5)


def edits(folder: Path, classes: tuple[str, ...] = CLASSES, shape: tuple[int, int, int] = SHAPE) -> Edits:
    return Edits(folder, "images/a.png", classes, shape)


def noise(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, len(CLASSES), shape).astype(np.uint8)


BOX: Box = (slice(1, 3), slice(0, 2), slice(2, 5))


def changed(folder: Path) -> NDArray[np.uint8]:
    """A label that was begun and changed twice, as it was kept."""
    label, kept = noise(), edits(folder)
    kept.begin(label)
    for seed in (1, 2):
        values = noise((2, 2, 3), seed)
        kept.add(BOX, values)
        label[BOX] = values
    return label


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    assert edits(tmp_path).read() is None
    label = changed(tmp_path)
    assert np.array_equal(edits(tmp_path).read(), label)  # type: ignore[arg-type]
    edits(tmp_path).remove()
    assert edits(tmp_path).read() is None
    assert not list(tmp_path.iterdir())
    edits(tmp_path).remove()  # nothing is there to be removed


def test_cases_do_not_share_their_edits(tmp_path: Path) -> None:
    changed(tmp_path)
    assert Edits(tmp_path, "images/b.png", CLASSES, SHAPE).read() is None


def test_a_change_that_was_cut_off_is_left_out_and_the_next_ones_count(tmp_path: Path) -> None:
    label = changed(tmp_path)
    file = edits(tmp_path).file
    whole = file.read_bytes()
    edits(tmp_path).add(BOX, noise((2, 2, 3), 3))
    for cut in range(len(whole), file.stat().st_size):
        file.write_bytes((whole + file.read_bytes()[len(whole) :])[:cut])
        kept = edits(tmp_path)
        assert np.array_equal(kept.read(), label)  # type: ignore[arg-type]
        later = noise((2, 2, 3), 4)
        kept.add(BOX, later)
        expected = label.copy()
        expected[BOX] = later
        assert np.array_equal(edits(tmp_path).read(), expected)  # type: ignore[arg-type]
        file.write_bytes(whole)
        edits(tmp_path).add(BOX, noise((2, 2, 3), 3))


def test_a_change_without_room_is_not_kept_and_the_next_ones_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = changed(tmp_path)
    kept = edits(tmp_path)
    before = kept.file.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        with pytest.raises(OSError, match=r"File too large|bytes could be written"):
            kept.add(BOX, noise((2, 2, 3), 3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert kept.file.read_bytes() == before
    later = noise((2, 2, 3), 4)
    kept.add(BOX, later)
    label[BOX] = later
    assert np.array_equal(edits(tmp_path).read(), label)  # type: ignore[arg-type]


def test_damaged_voxels_are_not_taken(tmp_path: Path) -> None:
    label, file = changed(tmp_path), edits(tmp_path).file
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # of the last change
    file.write_bytes(content)
    found = edits(tmp_path).read()
    assert found is not None
    assert not np.array_equal(found, label)
    assert np.array_equal(found[BOX], noise((2, 2, 3), 1))


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"[]\n", b"\xff\n", b'{"format": 2, "shape": [4, 6, 5]}\n'])
def test_a_file_of_something_else_is_told(content: bytes, tmp_path: Path) -> None:
    changed(tmp_path)
    edits(tmp_path).file.write_bytes(content)
    with pytest.raises(FileError, match="found a damaged file; delete it"):
        edits(tmp_path).read()


def test_a_file_without_the_whole_label_is_told(tmp_path: Path) -> None:
    changed(tmp_path)
    file = edits(tmp_path).file
    file.write_bytes(file.read_bytes().split(b"\n")[0] + b"\n")
    with pytest.raises(FileError, match="found a damaged file"):
        edits(tmp_path).read()


def test_edits_of_another_image_are_not_taken(tmp_path: Path) -> None:
    changed(tmp_path)
    with pytest.raises(FileError, match="image of 4 x 6 x 6, found those of 4 x 6 x 5"):
        edits(tmp_path, shape=(4, 6, 6)).read()


def test_classes_are_known_by_their_names(tmp_path: Path) -> None:
    label = changed(tmp_path)
    found = edits(tmp_path, ("background", "kidney", "spleen", "liver")).read()
    assert found is not None
    assert np.array_equal(found, np.array([0, 3, 2], np.uint8)[label])
    again = edits(tmp_path, ("background", "kidney", "spleen", "liver")).read()
    assert np.array_equal(again, found)  # type: ignore[arg-type]
    with pytest.raises(FileError, match="some of liver; start with the classes"):
        edits(tmp_path, ("background", "spleen", "kidney")).read()


def test_pixels_that_count_nowhere_are_kept(tmp_path: Path) -> None:
    label = noise()
    label[0] = 255
    edits(tmp_path).begin(label)
    assert np.array_equal(edits(tmp_path).read(), label)  # type: ignore[arg-type]


def test_many_changes_are_written_as_one_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edits_module, "_LONG", 300)
    kept = edits(tmp_path)
    kept.begin(noise())
    assert not kept.are_long
    while not kept.are_long:
        kept.add(BOX, noise((2, 2, 3)))
    again = edits(tmp_path)
    again.read()
    assert again.are_long  # also of what was there before
    again.begin(noise())
    assert not again.are_long


KILLED = """
import sys
from pathlib import Path
import numpy as np
from samtailor.page.edits import FOLDER, Edits, can_be_kept
edits = Edits(Path(sys.argv[1]), "a", ("background", "x"), (8, 64, 64))
edits.begin(np.zeros((8, 64, 64), np.uint8))
print(0, flush=True)
for number in range(1, 100000):
    box = slice(number % 8, number % 8 + 1), slice(0, 64), slice(0, 64)
    edits.add(box, np.full((1, 64, 64), number % 200, np.uint8))
    print(number, flush=True)
    if number % 50 == 0:
        label = edits.read()
        edits.begin(label)
"""


def test_what_was_told_to_be_done_survives_a_kill(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) > 120:
            break
    os.kill(process.pid, signal.SIGKILL)
    last = max(map(int, (line + "\n" + process.stdout.read()).split()))
    process.wait()
    label = Edits(tmp_path, "a", ("background", "x"), (8, 64, 64)).read()
    assert label is not None
    for number in range(last - 7, last + 1):
        assert int(label[number % 8, 0, 0]) in (number % 200, (number + 8) % 200)  # the next may be on disk as well


def test_what_is_somebody_elses_cannot_keep_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anything, so that permissions are played here."""
    closed: set[Path] = set()
    monkeypatch.setattr(os, "access", lambda path, mode: path not in closed)
    assert can_be_kept(tmp_path)
    (tmp_path / FOLDER / "edits").mkdir(parents=True)
    assert can_be_kept(tmp_path)
    closed.add(tmp_path / FOLDER / "edits")
    assert not can_be_kept(tmp_path)

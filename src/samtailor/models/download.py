"""Downloads over HTTP that go on where they broke off; a file gets its name when it is whole and checked, or never."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from filelock import FileLock

from samtailor.errors import WeightsError
from samtailor.models.checkpoints import sha256
from samtailor.progress import report
from samtailor.version import VERSION

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further try after a connection broke off; from the start again whenever new bytes came."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

FIX = "Try again (what has come is kept and continued), or name a file with --weights FILE"

_BLOCK = 1 << 18
_TRY_LATER = (408, 425, 429)  # besides all 5xx: the server is busy, the file is not refused


def download(
    url: str,
    target: Path,
    what: str,
    checksum: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Fetch a file, unless it is there.

    What has come is kept in `target` + ".part" and continued, in this call and in later ones, as long as the server
    still has the same file. Processes that fetch the same file wait for each other.

    Args:
        url: Address of the file.
        target: Where the file goes once it is whole and checked.
        what: Name of the file in messages and for reports of progress.
        checksum: Its sha256 in hex; None where nobody states one: its length is checked then.
        headers: Further headers of the request; `Authorization` is shown to no other host than that of `url`.

    Raises:
        WeightsError: If the server cannot be reached, refuses, breaks off too often or has another file, or the
            disk is full.
    """
    fetch = _Fetch(url, target, what, checksum, dict(headers or {}))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_file():  # another process may have been faster
                fetch.run()
    except OSError as error:  # of the disk; what the network raises is caught where it is used
        raise WeightsError(
            f"{what}: could not be written to {target.parent}: {error.strerror or error}. Free some space, or set "
            "SAMTAILOR_HOME to a folder that can be written"
        ) from error


class _BrokenOffError(Exception):
    """The connection ended early, or the server is busy: worth another try."""


class _NoAnswerError(_BrokenOffError):
    """There is no connection at all: worth another try only if there was one before."""


@dataclass(frozen=True)
class _Remote:
    """What tells one version of a file on a server from another.

    Attributes:
        url: Its address.
        validator: Its ETag, or else when it was modified; empty if the server says neither.
        size: Its length in bytes; 0 if the server does not say.
    """

    url: str
    validator: str
    size: int

    def may_be(self, other: _Remote) -> bool:
        """Whether nothing that both answers say differs."""
        return all(not a or not b or a == b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True))


@dataclass(frozen=True)
class _Fetch:
    """One download; arguments as those of `download`."""

    url: str
    target: Path
    what: str
    checksum: str | None
    headers: dict[str, str]

    @property
    def part(self) -> Path:
        """What has come so far."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def record(self) -> Path:
        """Of which version of the file it is a part, as JSON."""
        return self.target.with_name(f"{self.target.name}.part.json")

    def run(self) -> None:
        """Fetch until the file is whole, check it, and give it its name."""
        first = furthest = self._length()
        pauses = iter(PAUSES)
        while True:
            try:
                self._continue()
                break
            except _BrokenOffError as error:
                if self._length() > furthest:  # else a server that cannot continue would be asked for ever
                    furthest, pauses = self._length(), iter(PAUSES)
                hopeless = isinstance(error, _NoAnswerError) and furthest == first
                pause = None if hopeless else next(pauses, None)
                if pause is None:
                    raise self._failure(str(error)) from error
                time.sleep(pause)
        if self.checksum is not None and (found := sha256(self.part)) != self.checksum:
            self.part.unlink()
            raise WeightsError(
                f"{self.what}: expected sha256 {self.checksum} from {self.url}, found {found}; it is deleted. Try "
                "again; if it stays so, its publisher has changed the file: name one that you trust with --weights FILE"
            )
        os.replace(self.part, self.target)
        self.record.unlink(missing_ok=True)

    def _continue(self) -> None:
        """Fetch what is missing of the part, or all of it where the server cannot continue or has another file."""
        there, known = self._kept()
        if known is not None and there == known.size > 0:
            return
        with self._ask(there, known) as response:
            if response.status == 206:
                span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
                size = int(span[2]) if span and span[2] != "*" else 0
                remote = _remote(self.url, response, size)
                if span is None or int(span[1]) != there or known is None or not remote.may_be(known):
                    self.part.unlink()
                    raise _BrokenOffError("the server continued another file than the one it began")
            else:
                there, remote = 0, _remote(self.url, response, response.length or 0)
                if not remote.size and not response.chunked and self.checksum is None:
                    raise self._failure("the server does not say its length, so nobody could tell whether it is whole")
            if (free := shutil.disk_usage(self.part.parent).free) < remote.size - there:
                raise OSError(None, f"{free / 1e6:.0f} MB are free, {(remote.size - there) / 1e6:.0f} MB are needed")
            self._tell(there, remote.size)
            with self.part.open("ab" if there else "wb") as stream:
                if not there:  # only now that nothing of another version is left in the part
                    self.record.write_text(json.dumps(asdict(remote)))
                while block := _read(response):
                    stream.write(block)
                    there += len(block)
                    self._tell(there, remote.size)
                stream.flush()
                os.fsync(stream.fileno())  # whole also after the power fails
        if there < remote.size:
            raise _BrokenOffError(f"the connection broke off after {there} of {remote.size} bytes")

    def _kept(self) -> tuple[int, _Remote | None]:
        """Bytes that can be continued, and of which version they are."""
        try:
            known = _Remote(**json.loads(self.record.read_text()))
        except (OSError, ValueError, TypeError):  # there is none, or its writing was interrupted
            return 0, None
        there = self._length()
        if known.url != self.url or not (known.validator or known.size) or there > known.size > 0:
            return 0, None
        return there, known

    def _ask(self, there: int, known: _Remote | None) -> HTTPResponse:
        """The server's answer, from the byte `there` on if it can."""
        agent = {"User-Agent": f"samtailor/{VERSION}", "Accept-Encoding": "identity"}
        request = Request(self.url, headers={**agent, **self.headers})
        if there and known is not None:
            request.add_header("Range", f"bytes={there}-")
            if known.validator and not known.validator.startswith("W/"):  # weak ones are not allowed there, RFC 9110
                request.add_header("If-Range", known.validator)
        try:
            response: HTTPResponse = build_opener(_Redirects()).open(request, timeout=TIMEOUT)
        except HTTPError as error:
            error.close()
            answer = f"the server answers {error.code} {error.reason}"
            if error.code == 416:  # nothing behind what is there: it was of another version
                self.part.unlink(missing_ok=True)
                raise _BrokenOffError("the file on the server has become shorter") from error
            if error.code >= 500 or error.code in _TRY_LATER:
                raise _BrokenOffError(answer) from error
            raise self._failure(answer) from error
        except (URLError, HTTPException, OSError) as error:
            raise _NoAnswerError(f"no connection ({getattr(error, 'reason', error)!s})") from error
        return response

    def _length(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _tell(self, done: int, total: int) -> None:
        report(self.what, done, total, "bytes")

    def _failure(self, reason: str) -> WeightsError:
        return WeightsError(f"{self.what}: could not be fetched from {self.url}: {reason}. {FIX}")


class _Redirects(HTTPRedirectHandler):
    """Follows the server to another address, without showing a token to another host."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request for the other address."""
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            request.remove_header("Authorization")
        return request


def _remote(url: str, response: HTTPResponse, size: int) -> _Remote:
    """The version of the file that a server answers with."""
    return _Remote(url, response.headers.get("ETag") or response.headers.get("Last-Modified") or "", size)


def _read(response: HTTPResponse) -> bytes:
    """The next bytes; none at the end, which may come early."""
    try:
        return response.read(_BLOCK)
    except (HTTPException, OSError) as error:
        raise _BrokenOffError(f"the connection broke off ({error!s})") from error

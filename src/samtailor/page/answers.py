"""How the server answers: JSON, numbers, files, and one sentence where something is wrong."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from samtailor.errors import ConfigError, DataError, SamTailorError
from samtailor.files import as_unicode
from samtailor.page.box import told_box
from samtailor.page.case_editor import Change
from samtailor.page.request_error import RequestError

LOG = logging.getLogger("samtailor")
STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PIECE = 1 << 20
Answer = Callable[[Request], Awaitable[Response]]


class Json(JSONResponse):
    """Plain values, in which names of files may hold bytes that are no UTF-8: all that is not ASCII comes as codes."""

    def render(self, content: Any) -> bytes:
        """Text of the values."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def written_by(write: Callable[[Path], None], suffix: str) -> bytes:
    """Content of a file that something writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"label{suffix}"
        write(path)
        return path.read_bytes()


def route(path: str, answer: Answer, method: str = "GET") -> Route:
    """An address; whatever goes wrong is told in a sentence."""

    @wraps(answer)
    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except RequestError as refusal:
            return told(refusal.status, refusal)
        except DataError as error:
            return told(422, error)
        except ConfigError as error:
            return told(409, error)
        except (SamTailorError, OSError, MemoryError) as error:
            return told(500, error)
        except ClientDisconnect:
            return told(400, "expected the whole body, found that the sender has gone")
        except Exception:
            LOG.exception("%s %s", request.method, request.url.path)
            return told(500, "an error of SamTailor's own; the terminal tells more")

    return Route(path, answered, methods=[method])


async def no_such_address(_: Request, error: Exception) -> Response:
    """What an address, or a method of it, that is none answers."""
    assert isinstance(error, HTTPException)
    return told(error.status_code, error.detail)


def told(status: int, error: Exception | str) -> Response:
    """What is wrong, in one line."""
    return Json({"error": " ".join(str(error).split()) or type(error).__name__}, status)


def revision_seen(request: Request) -> str | None:
    """The revision of the label that a request is about; None if it is about any."""
    seen = request.headers.get("If-Match", "*")
    return None if seen == "*" else seen.strip('"')


def revised(revision: str) -> dict[str, str]:
    """Headers that tell the revision of a label."""
    return {"ETag": f'"{revision}"'}


def changed(change: Change | None, revision: str, note: str = "") -> Response:
    """What has changed in a label, for the page to draw, and its revision."""
    headers = revised(revision) | {"X-Box": told_box(change[0]) if change else "none"}
    if note:
        headers["X-Note"] = quote(note)
    body = np.ascontiguousarray(change[1]).tobytes() if change else b""
    return Response(body, headers=headers, media_type="application/octet-stream")


def streamed(array: NDArray[Any], **headers: str) -> Response:
    """Numbers of an array, piece by piece: ten browsers do not need ten copies."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data

    async def pieces() -> AsyncIterator[memoryview]:
        for start in range(0, len(content), _PIECE):
            yield content[start : start + _PIECE]

    headers["Content-Length"] = str(len(content))
    return StreamingResponse(pieces(), headers=headers, media_type="application/octet-stream")


def attached(content: bytes, name: str) -> Response:
    """A file to be kept under a name."""
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(as_unicode(name), safe='')}"}
    return Response(content, headers=headers, media_type="application/octet-stream")


def static_file(name: str) -> Response:
    """A file of the page, by a name that is one of those there are."""
    if name not in {file.name for file in STATIC.iterdir() if file.suffix in _TYPES}:
        raise RequestError(404, "expected an address of the page, found another")
    path = STATIC / name
    return Response(path.read_bytes(), media_type=_TYPES[path.suffix])

"""What comes with a request, of no more bytes than it may have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.requests import Request

from samtailor.page.request_error import RequestError

_LARGEST_JSON = 1 << 20
_PIECE = 1 << 20


async def exact_body(request: Request, size: int) -> bytes:
    """The body of a request, which must have so many bytes; what is said to have others is not read.

    Raises:
        RequestError: If it has others.
    """
    if (told := request.headers.get("content-length")) is not None and told != str(size):
        raise RequestError(400, f"expected a body of {size:,} bytes, found {told[:20]}")
    body = await _body(request, size, 400)
    if len(body) != size:
        raise RequestError(400, f"expected a body of {size:,} bytes, found {len(body):,}")
    return body


async def json_body(request: Request) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        RequestError: If its body is none.
    """
    body = await _body(request, _LARGEST_JSON, 413)
    try:
        content = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"expected a JSON object, found what is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise RequestError(400, f"expected a JSON object, found {type(content).__name__}")
    return content


async def save_body(request: Request, path: Path, most: int) -> None:
    """Write the body of a request to a file, piece by piece.

    Raises:
        RequestError: If it has more bytes than that, or none.
    """
    if (told := request.headers.get("content-length", "0")).isdecimal() and int(told) > most:
        raise too_large(most)
    size, waiting = 0, bytearray()
    with path.open("wb") as file:
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise too_large(most)
            waiting += piece
            if len(waiting) >= _PIECE:
                await to_thread.run_sync(file.write, bytes(waiting))
                waiting.clear()
        await to_thread.run_sync(file.write, bytes(waiting))
    if not size:
        raise RequestError(400, "expected an image in the body, found an empty one; send the file's bytes")


def too_large(most: int) -> RequestError:
    """The refusal of a body that has more bytes than it may have."""
    return RequestError(
        413, f"expected at most {most:,} bytes, found more; start samtailor app with a larger --max_upload"
    )


async def _body(request: Request, most: int, status: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise RequestError(status, f"expected a body of at most {most:,} bytes, found more")
    return bytes(body)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")

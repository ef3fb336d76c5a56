"""What comes with a request, of no more bytes than it may have."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request

from samtailor.app.request_error import RequestError

_LARGEST_JSON = 1 << 20
_PIECE = 1 << 20
Box = tuple[slice, slice, slice]
"""Slices, rows and columns of a label."""


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
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise RequestError(status, f"expected a body of at most {most:,} bytes, found more")
    except ClientDisconnect as error:
        raise RequestError(400, "expected the whole body, found that the sender has gone") from error
    return bytes(body)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def whole_number(text: Any, name: str) -> int:
    """A whole number of an address or a JSON object.

    Raises:
        RequestError: If it is none.
    """
    if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    if type(text) is int:
        return text
    raise RequestError(400, f"{name}: expected a whole number, found {text!r:.40}")


def box_of(text: str | None, shape: tuple[int, ...]) -> Box:
    """The box 'z0,y0,x0,z1,y1,x1', half open, within a label of a shape (S, H, W).

    Raises:
        RequestError: If it is none, is empty, or reaches out of the label.
    """
    edges = [whole_number(part.strip(), "box") for part in (text or "").split(",")]
    if len(edges) != 6:
        raise RequestError(400, f"box: expected z0,y0,x0,z1,y1,x1, found '{text or '':.60}'")
    low, high = edges[:3], edges[3:]
    if not all(0 <= first < last <= most for first, last, most in zip(low, high, shape, strict=True)):
        raise RequestError(400, f"box: expected one within {' x '.join(map(str, shape))}, found '{text or '':.60}'")
    z, y, x = map(slice, low, high)
    return z, y, x


def shape_of(box: Box) -> tuple[int, int, int]:
    """Slices, rows and columns that a box has."""
    z, y, x = (side.stop - side.start for side in box)
    return z, y, x


def size_of(box: Box) -> int:
    """Voxels of a box."""
    return math.prod(shape_of(box))


def told_box(box: Box) -> str:
    """A box as 'z0,y0,x0,z1,y1,x1'."""
    return ",".join(str(edge) for edge in (*(side.start for side in box), *(side.stop for side in box)))

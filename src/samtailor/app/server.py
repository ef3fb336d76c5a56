"""The server of the page: what each address answers. Heavy work has threads of its own; the loop only waits."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
from anyio import CapacityLimiter, to_thread
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from samtailor.app.bodies import box_of, exact_body, json_body, shape_of, size_of, told_box, whole_number
from samtailor.app.case_editor import Change
from samtailor.app.fitting import Fitting
from samtailor.app.predictions import NOT_COUNTED
from samtailor.app.project import Project
from samtailor.app.prompting import note_of
from samtailor.app.request_error import RequestError
from samtailor.data.formats import format_of
from samtailor.errors import ConfigError, DataError, SamTailorError
from samtailor.inference.prompt import Prompt

LOG = logging.getLogger("samtailor")
STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PIECE = 1 << 20
_READERS = 8
"""Requests that read or write files at a time."""
T = TypeVar("T")
Answer = Callable[[Request], Awaitable[Response]]


class Server:
    """Answers the page, and other programs, for a project."""

    def __init__(self, project: Project, fitting: Fitting, max_upload: int) -> None:
        """Answer for a project and what fits it; images that are sent have at most so many bytes."""
        self.project, self.fitting = project, fitting
        self.max_upload = max_upload
        self._networks = CapacityLimiter(1)  # they take all cores: one at a time is as fast, and waits for no thread
        self._files = CapacityLimiter(_READERS)

    def application(self) -> Starlette:
        """The application (ASGI), unguarded."""
        case = "/api/cases/{id}"
        routes = [
            _route("/", self.page),
            _route("/api/project", self.describe),
            _route(f"{case}/thumbnail", self.thumbnail),
            _route(f"{case}/open", self.open, "POST"),
            _route(f"{case}/image", self.image),
            _route(f"{case}/label", self.label),
            _route(f"{case}/label", self.paint, "PATCH"),
            _route(f"{case}/prompt", self.prompt, "POST"),
            _route(f"{case}/interpolate", self.interpolate, "POST"),
            _route(f"{case}/revert", self.revert, "POST"),
            _route(f"{case}/save", self.save, "POST"),
            _route(f"{case}/download", self.download),
            _route(f"{case}/predict", self.predict, "POST"),
            _route("/api/fit", self.fit),
            _route("/api/fit", self.start_fit, "POST"),
            _route("/api/fit", self.stop_fit, "DELETE"),
            _route("/static/{name}", self.static),
            _route("/{name}", self.static),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Stop what runs, and delete what was kept for the time being."""
        self.fitting.close()
        self.project.close()

    async def page(self, _: Request) -> Response:
        """The page itself."""
        return _static_file("index.html")

    async def static(self, request: Request) -> Response:
        """A file of the page."""
        return _static_file(request.path_params["name"])

    async def describe(self, _: Request) -> Response:
        """What the page works on."""
        return JSONResponse(await self._in_thread(self._described))

    def _described(self) -> dict[str, Any]:
        return self.project.describe() | {"fit": self.fitting.describe(), "max_upload": self.max_upload}

    async def thumbnail(self, request: Request) -> Response:
        """A small picture of a case."""
        return Response(await self._in_thread(self.project.thumbnail, _id(request)), media_type="image/png")

    async def open(self, request: Request) -> Response:
        """Open a case."""
        return JSONResponse(await self._in_thread(self.project.open, _id(request)))

    async def image(self, request: Request) -> Response:
        """Numbers of a case's image."""

        def pixels(number: int) -> NDArray[Any]:
            with self.project.editing(number) as editor:
                return editor.shown.pixels

        found = await self._in_thread(pixels, _id(request))
        return _streamed(found.astype(found.dtype.newbyteorder("<"), copy=False))

    async def label(self, request: Request) -> Response:
        """A label of a case."""
        of = request.query_params.get("of", "edit")
        return _streamed(await self._in_thread(self.project.label, _id(request), of))

    async def paint(self, request: Request) -> Response:
        """Set a box of the working label."""
        number = _id(request)
        self._require_case(number)

        def shape() -> tuple[int, int, int]:
            with self.project.editing(number) as editor:
                return editor.shape

        box = box_of(request.query_params.get("box"), await self._in_thread(shape))
        body = await exact_body(request, size_of(box))
        values = np.frombuffer(body, np.uint8).reshape(shape_of(box))
        if wrong := np.setdiff1d(values, [*range(len(self.project.labels)), NOT_COUNTED]).tolist():
            raise RequestError(400, f"expected class indices up to {len(self.project.labels) - 1}, found {wrong[:5]}")

        def paint() -> None:
            with self.project.editing(number) as editor:
                editor.paint(box, values)

        await self._in_thread(paint)
        return JSONResponse({})

    async def prompt(self, request: Request) -> Response:
        """Correct the working label by points and a box."""
        number, content = _id(request), await json_body(request)
        self._require_case(number)
        prompt = self._prompt_of(content)
        change, corrector = await self._by_networks(self.project.prompt, number, prompt)
        return _changed(change, note_of(corrector))

    async def interpolate(self, request: Request) -> Response:
        """Draw a class between two slices."""
        number, content = _id(request), await json_body(request)
        class_id = self._class_of(content)
        first, last = (whole_number(content.get(name), name) for name in ("first", "last"))

        def interpolate() -> Change | None:
            with self.project.editing(number) as editor:
                return editor.interpolate(class_id, first, last)

        return _changed(await self._in_thread(interpolate))

    async def revert(self, request: Request) -> Response:
        """Replace the working label."""
        number, to = _id(request), request.query_params.get("to", "")
        if to not in ("truth", "prediction", "empty"):
            raise RequestError(400, f"to: expected truth, prediction or empty; found '{to:.40}'")

        def revert() -> None:
            with self.project.editing(number) as editor:
                editor.revert(to)  # type: ignore[arg-type]

        await self._in_thread(revert)
        return JSONResponse({})

    async def save(self, request: Request) -> Response:
        """Write the working label into the data set."""
        number = _id(request)

        def save() -> dict[str, Any]:
            path, backup = self.project.save(number)
            return {"path": path, "backup": backup, "row": self.project.row(self.project.case(number))}

        return JSONResponse(await self._in_thread(save))

    async def download(self, request: Request) -> Response:
        """The working label as a file."""
        number = _id(request)
        files = self.project.case(number).files
        suffix = format_of(files.images[0]).label_suffix

        def written() -> bytes:
            return written_by(partial(self.project.write, number), suffix)

        return _attached(await self._in_thread(written), f"{files.name}{suffix}")

    async def predict(self, request: Request) -> Response:
        """Segment a case."""
        number = _id(request)
        self._require_case(number)

        def predict() -> dict[str, Any]:
            seconds = self.project.predict(number)
            return {"seconds": seconds, "row": self.project.row(self.project.case(number))}

        return JSONResponse(await self._by_networks(predict))

    async def fit(self, _: Request) -> Response:
        """Where the fit is."""
        return JSONResponse(self.fitting.describe())

    async def start_fit(self, request: Request) -> Response:
        """Fit on what is labelled."""
        time = (await json_body(request)).get("time")
        if not isinstance(time, str):
            raise RequestError(400, f"time: expected a time such as 10m, found {time!r:.40}")
        await self._in_thread(self.fitting.start, time)
        return JSONResponse(self.fitting.describe())

    async def stop_fit(self, _: Request) -> Response:
        """Stop the fit."""
        await self._in_thread(self.fitting.stop)
        return JSONResponse(self.fitting.describe())

    def _require_case(self, number: int) -> None:
        """Refuse a case that is not there before anything waits for the networks."""
        self.project.case(number)

    def _class_of(self, content: dict[str, Any]) -> int:
        found = whole_number(content.get("class"), "class")
        if not 0 <= found < len(self.project.labels):
            raise RequestError(400, f"class: expected an index up to {len(self.project.labels) - 1}, found {found}")
        return found

    def _prompt_of(self, content: dict[str, Any]) -> Prompt:
        """The prompt that a JSON object describes."""
        name = self.project.labels.names[self._class_of(content)]
        index = whole_number(content.get("slice", 0), "slice")
        points, beside = (_points(content.get(key), key) for key in ("points", "not_points"))
        box = content.get("box")
        if box is not None:
            left, top, right, bottom = _numbers(box, 4, "box")
            box = left, top, right, bottom
        return Prompt(name, index, points, beside, box)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """What work gives that reads or writes files."""
        return await to_thread.run_sync(partial(work, *arguments), limiter=self._files)

    async def _by_networks(self, work: Callable[..., T], *arguments: Any) -> T:
        """What work gives that computes."""
        return await to_thread.run_sync(partial(work, *arguments), limiter=self._networks)


def written_by(write: Callable[[Path], None], suffix: str) -> bytes:
    """Content of a file that something writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"label{suffix}"
        write(path)
        return path.read_bytes()


def _route(path: str, answer: Answer, method: str = "GET") -> Route:
    """An address; whatever goes wrong is told in a sentence."""

    @wraps(answer)
    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except RequestError as refusal:
            return _told(refusal.status, refusal)
        except DataError as error:
            return _told(422, error)
        except ConfigError as error:
            return _told(409, error)
        except (SamTailorError, OSError, MemoryError) as error:
            return _told(500, error)
        except ClientDisconnect:
            return _told(400, "expected the whole body, found that the sender has gone")
        except Exception:
            LOG.exception("%s %s", request.method, request.url.path)
            return _told(500, "an error of SamTailor's own; the terminal tells more")

    return Route(path, answered, methods=[method])


def _told(status: int, error: Exception | str) -> Response:
    return JSONResponse({"error": " ".join(str(error).split()) or type(error).__name__}, status)


def _id(request: Request) -> int:
    try:
        return whole_number(request.path_params["id"], "case")
    except RequestError as refusal:
        raise RequestError(404, str(refusal)) from refusal


def _points(content: Any, key: str) -> tuple[tuple[float, float], ...]:
    """Columns and rows of a list of points."""
    if content is None:
        return ()
    if not isinstance(content, list):
        raise RequestError(400, f"{key}: expected a list of [x, y], found {content!r:.40}")
    points = [_numbers(point, 2, key) for point in content]
    return tuple((x, y) for x, y in points)


def _numbers(content: Any, count: int, key: str) -> list[float]:
    is_list = isinstance(content, list) and len(content) == count
    if not is_list or not all(type(number) in (int, float) for number in content):
        raise RequestError(400, f"{key}: expected {count} numbers, found {content!r:.40}")
    return [float(number) for number in content]


def _changed(change: Change | None, note: str = "") -> Response:
    """What has changed in a label, for the page to draw."""
    headers = {"X-Box": told_box(change[0]) if change else "none"}
    if note:
        headers["X-Note"] = quote(note)
    body = np.ascontiguousarray(change[1]).tobytes() if change else b""
    return Response(body, headers=headers, media_type="application/octet-stream")


def _streamed(array: NDArray[Any]) -> Response:
    """Numbers of an array, piece by piece: ten browsers do not need ten copies."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data

    async def pieces() -> AsyncIterator[memoryview]:
        for start in range(0, len(content), _PIECE):
            yield content[start : start + _PIECE]

    headers = {"Content-Length": str(len(content))}
    return StreamingResponse(pieces(), headers=headers, media_type="application/octet-stream")


def _attached(content: bytes, name: str) -> Response:
    """A file to be kept under a name."""
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
    return Response(content, headers=headers, media_type="application/octet-stream")


def _static_file(name: str) -> Response:
    """A file of the page, by a name that is one of those there are."""
    if name not in _static_names(STATIC.iterdir()):
        raise RequestError(404, "expected an address of the page, found another")
    path = STATIC / name
    return Response(path.read_bytes(), media_type=_TYPES[path.suffix])


def _static_names(files: Iterable[Path]) -> set[str]:
    return {file.name for file in files if file.suffix in _TYPES}

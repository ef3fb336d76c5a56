"""What the addresses of a case answer: its image and label, and what changes them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from samtailor.data.formats import format_of
from samtailor.page.answers import Json, attached, changed, revised, revision_seen, route, streamed, written_by
from samtailor.page.bodies import exact_body, json_body
from samtailor.page.box import box_of, shape_of, size_of
from samtailor.page.case_editor import Change, revision_of
from samtailor.page.described import described_case, described_row
from samtailor.page.predictions import NOT_COUNTED
from samtailor.page.project import Project
from samtailor.page.prompting import note_of
from samtailor.page.request_error import RequestError
from samtailor.page.threads import Threads
from samtailor.page.words import class_of, prompt_of, whole_number


class CaseAnswers:
    """Answers what is asked of single cases."""

    def __init__(self, project: Project, threads: Threads) -> None:
        """Answer for the cases of a project."""
        self._project, self._threads = project, threads

    def routes(self) -> list[Route]:
        """The addresses."""
        case = "/api/cases/{id}"
        return [
            route(f"{case}/thumbnail", self.thumbnail),
            route(f"{case}/open", self.open, "POST"),
            route(f"{case}/image", self.image),
            route(f"{case}/label", self.label),
            route(f"{case}/label", self.paint, "PATCH"),
            route(f"{case}/prompt", self.prompt, "POST"),
            route(f"{case}/interpolate", self.interpolate, "POST"),
            route(f"{case}/revert", self.revert, "POST"),
            route(f"{case}/save", self.save, "POST"),
            route(f"{case}/download", self.download),
            route(f"{case}/predict", self.predict, "POST"),
        ]

    async def thumbnail(self, request: Request) -> Response:
        """A small picture of a case."""
        return Response(await self._threads.with_files(self._project.thumbnail, _id(request)), media_type="image/png")

    async def open(self, request: Request) -> Response:
        """Open a case."""
        return Json(await self._threads.with_files(described_case, self._project, _id(request)))

    async def image(self, request: Request) -> Response:
        """Numbers of a case's image."""

        def pixels(number: int) -> NDArray[Any]:
            with self._project.editing(number) as editor:
                return editor.shown.pixels

        found = await self._threads.with_files(pixels, _id(request))
        return streamed(found.astype(found.dtype.newbyteorder("<"), copy=False))

    async def label(self, request: Request) -> Response:
        """A label of a case."""
        number, of = _id(request), request.query_params.get("of", "edit")
        label = await self._threads.with_files(self._project.label, number, of)
        return streamed(label, **(revised(revision_of(label, self._project.case(number).key)) if of == "edit" else {}))

    async def paint(self, request: Request) -> Response:
        """Set a box of the working label."""
        number = _id(request)
        self._project.case(number)

        def shape() -> tuple[int, int, int]:
            with self._project.editing(number) as editor:
                return editor.shape

        box = box_of(request.query_params.get("box"), await self._threads.with_files(shape))
        body = await exact_body(request, size_of(box))
        values = np.frombuffer(body, np.uint8).reshape(shape_of(box))
        if wrong := np.setdiff1d(values, [*range(len(self._project.labels)), NOT_COUNTED]).tolist():
            raise RequestError(400, f"expected class indices up to {len(self._project.labels) - 1}, found {wrong[:5]}")

        def paint() -> str:
            with self._project.editing(number) as editor:
                return editor.paint_once(box, values, revision_seen(request))

        return Json({}, headers=revised(await self._threads.with_files(paint)))

    async def prompt(self, request: Request) -> Response:
        """Correct the working label by points and a box."""
        number, content = _id(request), await json_body(request)
        self._project.case(number)
        prompt = prompt_of(content, self._project.labels)
        change, corrector, revision = await self._threads.with_networks(
            self._project.prompt, number, prompt, revision_seen(request)
        )
        answer = changed(change, revision, note_of(corrector))
        # While the user looks at it; a click that nothing drawn answers would wait for that.
        answer.background = BackgroundTask(self._threads.with_networks, self._project.prepare, number, prompt.slice)
        return answer

    async def interpolate(self, request: Request) -> Response:
        """Draw a class between two slices."""
        number, content = _id(request), await json_body(request)
        class_id = class_of(content, self._project.labels)
        first, last = (whole_number(content.get(name), name) for name in ("first", "last"))

        def interpolate() -> tuple[Change | None, str]:
            with self._project.editing(number) as editor, editor.since(revision_seen(request)):
                return editor.interpolate(class_id, first, last), editor.revision

        return changed(*await self._threads.with_files(interpolate))

    async def revert(self, request: Request) -> Response:
        """Replace the working label."""
        number, to = _id(request), request.query_params.get("to", "")
        if to not in ("truth", "prediction", "empty"):
            raise RequestError(400, f"to: expected truth, prediction or empty; found '{to:.40}'")

        def revert() -> str:
            with self._project.editing(number) as editor, editor.since(revision_seen(request)):
                editor.revert(to)  # type: ignore[arg-type]
                return editor.revision

        revision = await self._threads.with_files(revert)
        return Json({"row": described_row(self._project, number)}, headers=revised(revision))

    async def save(self, request: Request) -> Response:
        """Write the working label into the data set."""
        number = _id(request)

        def save() -> dict[str, Any]:
            path, backup = self._project.save(number, revision_seen(request))
            return {"path": path, "backup": backup, "row": described_row(self._project, number)}

        return Json(await self._threads.with_files(save))

    async def download(self, request: Request) -> Response:
        """The working label as a file."""
        number = _id(request)
        files = self._project.case(number).files
        suffix = format_of(files.images[0]).label_suffix

        def written() -> bytes:
            return written_by(partial(self._project.write, number), suffix)

        return attached(await self._threads.with_files(written), f"{files.name}{suffix}")

    async def predict(self, request: Request) -> Response:
        """Segment a case."""
        number = _id(request)
        self._project.case(number)

        def predict() -> dict[str, Any]:
            seconds = self._project.predict(number)
            return {"seconds": seconds, "row": described_row(self._project, number)}

        return Json(await self._threads.with_networks(predict))


def _id(request: Request) -> int:
    try:
        return whole_number(request.path_params["id"], "case")
    except RequestError as refusal:
        raise RequestError(404, str(refusal)) from refusal

"""The server of the page: what each address answers, but for those of single cases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from samtailor.page.answers import Json, attached, no_such_address, route, static_file, written_by
from samtailor.page.bodies import json_body, save_body
from samtailor.page.case_answers import CaseAnswers
from samtailor.page.described import described_project, described_row
from samtailor.page.fitting import FitAgain
from samtailor.page.predicting import Predicting
from samtailor.page.project import Project
from samtailor.page.request_error import RequestError
from samtailor.page.threads import Threads
from samtailor.page.uploads import written_suffix


class Server:
    """Answers the page, and other programs, for a project."""

    def __init__(self, project: Project, fitting: FitAgain, max_upload: int) -> None:
        """Answer for a project and what fits it; images that are sent have at most so many bytes."""
        self.project, self.fitting, self.predicting = project, fitting, Predicting(project)
        self.max_upload = max_upload
        self.threads = Threads()

    def application(self) -> Starlette:
        """The application (ASGI), unguarded."""
        routes = [
            route("/", self.page),
            route("/api/project", self.describe),
            *CaseAnswers(self.project, self.threads).routes(),
            route("/api/predict", self.predicting_now),
            route("/api/predict", self.predict_all, "POST"),
            route("/api/predict", self.stop_predicting, "DELETE"),
            route("/api/upload", self.upload, "POST"),
            route("/predict", self.predict_file, "POST"),
            route("/api/fit", self.fit),
            route("/api/fit", self.start_fit, "POST"),
            route("/api/fit", self.stop_fit, "DELETE"),
            route("/static/{name}", self.static),
            route("/{name}", self.static),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={HTTPException: no_such_address})

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Stop what runs, and delete what was kept for the time being."""
        self.predicting.stop()
        self.fitting.close()
        self.project.close()

    async def page(self, _: Request) -> Response:
        """The page itself."""
        return static_file("index.html")

    async def static(self, request: Request) -> Response:
        """A file of the page."""
        return static_file(request.path_params["name"])

    async def describe(self, _: Request) -> Response:
        """What the page works on."""
        return Json(await self.threads.with_files(self._described))

    def _described(self) -> dict[str, Any]:
        return described_project(self.project) | {"fit": self.fitting.describe(), "max_upload": self.max_upload}

    async def predicting_now(self, _: Request) -> Response:
        """How far the prediction of all cases is."""
        return Json(self.predicting.describe())

    async def predict_all(self, _: Request) -> Response:
        """Predict all cases that are not."""
        await self.threads.with_files(self.predicting.start)
        return Json(self.predicting.describe())

    async def stop_predicting(self, _: Request) -> Response:
        """Stop the prediction of all cases."""
        self.predicting.stop()
        return Json(self.predicting.describe())

    async def upload(self, request: Request) -> Response:
        """List an image that was dropped on the page."""
        uploads = self.project.uploads
        files = uploads.place(_name(request))
        with ExitStack() as unless_listed:
            unless_listed.callback(uploads.drop, files)
            await save_body(request, files.images[0], self.max_upload)
            case = await self.threads.with_files(self.project.add_upload, files)
            unless_listed.pop_all()
        return Json({"row": described_row(self.project, case.id)})

    async def predict_file(self, request: Request) -> Response:
        """The label of an image that is sent, for other programs."""
        self.project.require_segmenter()
        kind = request.query_params.get("format", "auto")
        with self.project.uploads.passing(_name(request)) as files:
            suffix = written_suffix(files, kind)  # refused before it is sent
            await save_body(request, files.images[0], self.max_upload)
            content = await self.threads.with_networks(written_by, partial(self.project.predict_file, files), suffix)
        return attached(content, f"{files.name}{suffix}")

    async def fit(self, _: Request) -> Response:
        """Where the fit is."""
        return Json(self.fitting.describe())

    async def start_fit(self, request: Request) -> Response:
        """Fit on what is labelled."""
        time = (await json_body(request)).get("time")
        if not isinstance(time, str):
            raise RequestError(400, f"time: expected a time such as 10m, found {time!r:.40}")
        await self.threads.with_files(self.fitting.start, time)
        return Json(self.fitting.describe())

    async def stop_fit(self, _: Request) -> Response:
        """Stop the fit."""
        await self.threads.with_files(self.fitting.stop)
        return Json(self.fitting.describe())


def _name(request: Request) -> str:
    """What an image is called that is sent."""
    return request.query_params.get("name", "")

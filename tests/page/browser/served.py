"""The server of the page in a thread, with a small real segmenter; fits run in a process, as always."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from threading import Thread
from time import sleep
from types import TracebackType
from typing import Self

import uvicorn

from samtailor.page.beginning import begun
from samtailor.page.fitting import FitAgain
from samtailor.page.guard import Guard
from samtailor.page.server import Server
from tests.page.program import program

TOKEN = "a token of tests"
MOST = 1 << 20


class PageServer:
    """The page of a run and a data set, while it is entered."""

    def __init__(self, run: Path | None, data: Path, weights: Path, base: str = "tiny-sam") -> None:
        """Serve a run and its data; the network is that of the tests, with its weights."""
        project, _ = begun(run, data, None if run else base, None, data.parent / "runs", "cpu", weights)
        self.fitting = FitAgain(project, data.parent / "runs", base, weights, program(weights))
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        app = Server(project, self.fitting, MOST).application()
        config = uvicorn.Config(Guard(app, TOKEN, self.port), log_level="warning", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self.socket]}, daemon=True)

    @property
    def address(self) -> str:
        """Where the page is, with the token."""
        return f"http://127.0.0.1:{self.port}/?token={TOKEN.replace(' ', '%20')}"

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with closing(self.socket):
            self._server.should_exit = True
            self._thread.join()

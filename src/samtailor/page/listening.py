"""Listening at an address until somebody presses Ctrl-C."""

from __future__ import annotations

import errno
import logging
import secrets
import socket
import warnings
import webbrowser
from contextlib import suppress
from threading import Timer
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from samtailor.errors import ConfigError, DataWarning
from samtailor.page.guard import Guard
from samtailor.page.request_error import RequestError
from samtailor.progress import Unit, shown_by

LOG = logging.getLogger("samtailor")
_BACKLOG = 128
_OVERHEAD = 1 << 20
"""Bytes that a request may have beside an image."""
_PATIENCE = 3
"""Seconds that answers may take to end after Ctrl-C."""


class Listener:
    """A port that is taken, and where the page is then served: who cannot listen is told so before anything is loaded.

    Attributes:
        address: The page's address, with the token.
    """

    def __init__(self, host: str, port: int) -> None:
        """Take a port; 0 takes any that is free.

        Raises:
            ConfigError: If nothing can listen there.
        """
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(place)
            self._socket.listen(_BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                found = f"{port}, where another program listens; take --port 0, any that is free"
                raise ConfigError(f"port: expected a free port, found {found}") from error
            found = f"{host}:{port} ({error.strerror or error})"
            raise ConfigError(f"host: expected an address of this machine, found {found}; leave it out") from error
        self._host = host
        self._token = secrets.token_urlsafe(24)
        self._port: int = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._port}/?token={self._token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def serve(self, app: ASGIApp, max_upload: int, open_page: bool = False) -> None:
        """Serve an application to those who know the token, until Ctrl-C."""
        guarded = Guard(app, self._token, self._port, self._host, max_upload + _OVERHEAD)
        config = uvicorn.Config(
            guarded,
            log_level="critical",
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=_PATIENCE,
        )
        LOG.info("The page is at %s\nCtrl-C ends it.", self.address)
        if open_page:
            Timer(0.5, webbrowser.open, [self.address]).start()
        server = uvicorn.Server(config)

        def end_work(what: str, done: float, total: int, unit: Unit) -> None:
            """End what still computes after Ctrl-C, where it reports: the volume may be a large one."""
            if server.should_exit:
                raise RequestError(503, "the page has ended")

        # Bars and warnings about data would stand on a terminal that nobody looks at.
        with warnings.catch_warnings(), shown_by(end_work), suppress(KeyboardInterrupt):
            warnings.simplefilter("ignore", DataWarning)
            server.run(sockets=[self._socket])

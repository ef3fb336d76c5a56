"""A page as a browser has it: its server, guarded, and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.testclient import TestClient

from samtailor.models.zoo import BASES
from samtailor.page.beginning import begun
from samtailor.page.guard import Guard
from samtailor.page.server import Server
from tests.page.program import program

TOKEN = "a-token-that-nobody-guesses"
PORT = 8765
ADDRESS = f"http://127.0.0.1:{PORT}"
MOST = 1 << 20


@dataclass
class Page:
    """A page that is served.

    Attributes:
        client: Asks with the token.
        server: What answers.
    """

    client: TestClient
    server: Server

    def project(self) -> dict[str, Any]:
        """What the page shows first."""
        return self.json("GET", "/api/project")

    def row(self, name: str) -> dict[str, Any]:
        """The line of a case."""
        return next(row for row in self.project()["cases"] if row["name"] == name)

    def json(self, method: str, address: str, status: int = 200, **more: Any) -> dict[str, Any]:
        """What an address answers, with a status."""
        answer = self.client.request(method, address, **more)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, method: str, address: str, status: int, **more: Any) -> str:
        """The sentence that an address refuses a request with."""
        return str(self.json(method, address, status, **more)["error"])

    def open(self, number: int) -> dict[str, Any]:
        """Open a case."""
        return self.json("POST", f"/api/cases/{number}/open")

    def label(self, number: int, of: str = "edit") -> NDArray[np.uint8]:
        """A label of a case."""
        answer = self.client.get(f"/api/cases/{number}/label", params={"of": of})
        assert answer.status_code == 200, answer.text
        return np.frombuffer(answer.content, np.uint8).reshape(self.open(number)["shape"])

    def paint(self, number: int, box: tuple[int, ...], value: int = 1) -> None:
        """Set a box of the working label to one class."""
        low, high = np.array(box[:3]), np.array(box[3:])
        body = bytes([value]) * int((high - low).prod())
        self.json("PATCH", f"/api/cases/{number}/label", params={"box": told(box)}, content=body)

    def prompt(self, number: int, **prompt: Any) -> tuple[tuple[int, ...] | None, NDArray[np.uint8], str]:
        """The box that a prompt changes, what stands there now, and the note."""
        answer = self.client.post(f"/api/cases/{number}/prompt", json=prompt)
        assert answer.status_code == 200, answer.text
        return changed(answer)


def told(box: tuple[int, ...]) -> str:
    return ",".join(map(str, box))


def changed(answer: Any) -> tuple[tuple[int, ...] | None, NDArray[np.uint8], str]:
    """The box that an answer says has changed, what stands there now, and the note."""
    values = np.frombuffer(answer.content, np.uint8)
    if answer.headers["x-box"] == "none":
        assert not values.size
        return None, values, answer.headers.get("x-note", "")
    box = tuple(map(int, answer.headers["x-box"].split(",")))
    shape = np.subtract(box[3:], box[:3])
    return box, values.reshape(shape), answer.headers.get("x-note", "")


@contextmanager
def opened(
    run: Path | None = None,
    data: Path | None = None,
    base: str | None = None,
    classes: tuple[str, ...] | None = None,
    out: Path | None = None,
    max_upload: int = MOST,
) -> Iterator[Page]:
    """A page of a project, whose fits know the base of the tests."""
    project, fitting = begun(run, data, base, classes, out, "cpu", None)
    fitting._program = program(str(BASES["tiny-sam"].weights))
    server = Server(project, fitting, max_upload)
    guarded = Guard(server.application(), TOKEN, PORT)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(guarded, base_url=ADDRESS, headers=headers, follow_redirects=False) as client:
        yield Page(client, server)

"""A small hub on this machine: repositories that are made, written and read as huggingface_hub does it."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hf_of_the_test"


class Hub(ThreadingHTTPServer):
    """Keeps the files of each repository, and the messages of its commits."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.messages: list[str] = []

    @property
    def address(self) -> str:
        """What HF_ENDPOINT would be."""
        return f"http://127.0.0.1:{self.server_port}"

    def commit_hash(self, repo: str) -> str:
        """Hash of the content of a repository."""
        return hashlib.sha1(repr(sorted(self.repositories[repo].items())).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts[1:] == ["validate-yaml"]:
            return self._answer({"warnings": [], "errors": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer({"error": "Invalid username or password."}, 401)
        match parts[1:]:
            case ["repos", "create"]:
                self._create(json.loads(body))
            case ["models", owner, name, "preupload", "main"]:
                files = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in json.loads(body)["files"]
                ]
                self._answer({"files": files})
            case ["models", owner, name, "commit", "main"]:
                self._commit(f"{owner}/{name}", [json.loads(line) for line in body.splitlines()])

    def do_GET(self) -> None:
        parts = urlsplit(self.path).path.strip("/").split("/")
        if parts[0] == "api":
            repo, rest = "/".join(parts[2:4]), parts[4:]
        else:
            repo, rest = "/".join(parts[:2]), parts[2:]
        files = self.server.repositories.get(repo)
        if files is None:
            return self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        match rest:
            case [] | ["revision", "main"]:
                self._answer({"id": repo, "sha": self.server.commit_hash(repo), "siblings": []})
            case ["tree", _]:
                entries = [(path, len(content), _oid(content)) for path, content in files.items()]
                self._answer([{"type": "file", "path": p, "size": size, "oid": oid} for p, size, oid in entries])
            case ["resolve", _, *path]:
                content = files["/".join(path)]
                self._send(content, 200, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": self.server.commit_hash(repo)})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _create(self, content: dict[str, Any]) -> None:
        repo = f"{content['organization']}/{content['name']}"
        if content.get("visibility") == "private" or content.get("private"):
            self.server.private.add(repo)
        status = 409 if repo in self.server.repositories else 200
        self.server.repositories.setdefault(repo, {})
        self._answer({"url": f"{self.server.address}/{repo}"}, status)

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    self.server.messages.append(value["summary"])
                case "file":
                    self.server.repositories[repo][value["path"]] = base64.b64decode(value["content"])
                case "deletedFile":
                    del self.server.repositories[repo][value["path"]]
        oid = self.server.commit_hash(repo)
        self._answer({"commitUrl": f"{self.server.address}/{repo}/commit/{oid}", "commitOid": oid})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(content).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _oid(content: bytes) -> str:
    """Name that git gives to a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serve() -> Iterator[Hub]:
    """A hub while the block runs."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()

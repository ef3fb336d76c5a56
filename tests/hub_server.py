"""Servers on this machine: one of plain files, which misbehaves as told, and one that imitates a model hub."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import struct
import sys
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

_LARGE = (".safetensors", ".bin", ".pt", ".pth")  # kept outside git by the hub, under their sha256


@dataclass(frozen=True)
class Asked:
    """What a client asked for."""

    method: str
    path: str
    range: str | None
    authorization: str | None
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What a server has at an address."""

    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


class FileServer(ThreadingHTTPServer):
    """Serves `files`; a context manager that serves while the block runs.

    Attributes:
        files: Content of each path, '/name'.
        redirects: Address to which a path is redirected.
        asked: Every request.
        breaks_after: Bytes after which the next answers break off, one entry for each.
        resets: Whether it breaks off by resetting the connection instead of closing it.
        ranges: Whether it can continue a file.
        etags: Whether it tells one version of a file from another.
        lengths: Whether it says how long a file is.
        status: Answered to everything, unless 200.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[Asked] = []
        self.breaks_after: list[int] = []
        self.resets = False
        self.ranges = True
        self.etags = True
        self.lengths = True
        self.status = 200

    @property
    def url(self) -> str:
        """Address of the server, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_port}"

    def ranges_asked(self) -> list[str | None]:
        """Range of each request for content."""
        return [asked.range for asked in self.asked if asked.method == "GET"]

    def answer(self, asked: Asked) -> Answer:
        """What is served for a request."""
        if asked.path in self.redirects:
            return Answer(status=302, headers={"Location": self.redirects[asked.path]})
        if asked.path not in self.files:
            return Answer(status=404)
        content = self.files[asked.path]
        return Answer(content, {"ETag": f'"{hashlib.md5(content).hexdigest()}"'} if self.etags else {})

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a connection that is gone: breaking off is what these servers are for."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class HubServer(FileServer):
    """A model hub whose repositories have one branch, main, and one commit.

    As on the real hub, large files are redirected to another host, which takes no token.

    Attributes:
        repositories: Files of each repository, 'owner/name'.
        gated: Repositories that need `token`.
        private: Those that were made so.
        messages: Of the commits.
        token: The one that opens gated repositories, and that writing needs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.private: set[str] = set()
        self.messages: list[str] = []
        self.token = "hf_of_the_test"

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Make huggingface_hub talk to this hub; it reads HF_ENDPOINT only when it is imported."""
        template = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "ENDPOINT", self.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.delenv("HF_TOKEN", raising=False)

    def commit(self, repo: str) -> str:
        """Hash of the content of a repository."""
        return hashlib.sha1(repr(sorted(self.repositories[repo].items())).encode()).hexdigest()

    def answer(self, asked: Asked) -> Answer:
        """What the hub answers to a request."""
        if blob := re.fullmatch(r"/blobs/(\w{64})", asked.path):
            return self._blob(blob[1], asked)
        if asked.method == "POST":
            return self._write(asked)
        found = re.fullmatch(r"(?:/api/models)?/([^/]+/[^/]+)(?:/(resolve|revision|tree)/([^/]+)/?(.*))?", asked.path)
        if found is None or found[1] not in self.repositories:
            return _refused(404, "RepoNotFound")
        repo, verb, revision, file = found[1], found[2] or "revision", found[3] or "main", found[4] or ""
        if repo in self.gated and asked.authorization != f"Bearer {self.token}":
            return _refused(403 if asked.authorization else 401, "GatedRepo")
        if revision not in ("main", self.commit(repo)):
            return _refused(404, "RevisionNotFound")
        files = self.repositories[repo]
        match verb:
            case "revision":
                siblings = [{"rfilename": name} for name in files]
                about = {"id": repo, "modelId": repo, "sha": self.commit(repo), "private": repo in self.private}
                return _json({**about, "siblings": siblings})
            case "tree":
                return _json([_entry(name, content) for name, content in files.items()])
        return self._resolve(repo, file)

    def _resolve(self, repo: str, file: str) -> Answer:
        commit = {"X-Repo-Commit": self.commit(repo)}
        content = self.repositories[repo].get(file)
        if content is None:
            return _refused(404, "EntryNotFound", commit)
        if not file.endswith(_LARGE):
            return Answer(content, {**commit, "ETag": f'"{_git_hash(content)}"'})
        sha256 = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
        elsewhere = f"http://localhost:{self.server_port}/blobs/{sha256}"
        return Answer(headers={**commit, **linked, "Location": elsewhere}, status=302)

    def _blob(self, sha256: str, asked: Asked) -> Answer:
        if asked.authorization:
            return Answer(status=400)  # the address itself is the permission, two are one too many
        content = self.blob_of(sha256)
        return Answer(status=404) if content is None else Answer(content, {"ETag": f'"{sha256[:32]}"'})

    def blob_of(self, sha256: str) -> bytes | None:
        """The content with that checksum."""
        contents = (content for files in self.repositories.values() for content in files.values())
        return next((content for content in contents if hashlib.sha256(content).hexdigest() == sha256), None)

    def _write(self, asked: Asked) -> Answer:
        """Make a repository, or change its files."""
        if asked.path == "/api/validate-yaml":
            return _json({"warnings": [], "errors": []})
        if asked.authorization != f"Bearer {self.token}":
            return Answer(b'{"error": "Invalid username or password."}', {"Content-Type": "application/json"}, 401)
        lines = [json.loads(line) for line in asked.body.splitlines()]
        if asked.path == "/api/repos/create":
            return self._create(lines[0])
        repo, verb = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", asked.path).groups()  # type: ignore[union-attr]
        if verb == "commit":
            return self._commit(repo, lines)
        kinds = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in lines[0]["files"]]
        return _json({"files": kinds})

    def _create(self, content: dict[str, Any]) -> Answer:
        repo = f"{content['organization']}/{content['name']}"
        is_new = repo not in self.repositories
        if is_new and (content.get("visibility") == "private" or content.get("private")):
            self.private.add(repo)
        status = 200 if is_new else 409
        self.repositories.setdefault(repo, {})
        return replace(_json({"url": f"{self.url}/{repo}"}), status=status)

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> Answer:
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    self.messages.append(value["summary"])
                case "file":
                    self.repositories[repo][value["path"]] = base64.b64decode(value["content"])
                case "deletedFile":
                    del self.repositories[repo][value["path"]]
        commit = self.commit(repo)
        return _json({"commitUrl": f"{self.url}/{repo}/commit/{commit}", "commitOid": commit})


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = (self.headers.get("Range"), self.headers.get("Authorization"))
        asked = Asked(self.command, path, *headers, self._body())
        self.server.asked.append(asked)
        if self.server.status != 200:
            self._send(Answer(status=self.server.status))
            return
        answer = self.server.answer(asked)
        first = int(asked.range.removeprefix("bytes=").split("-")[0]) if asked.range and self.server.ranges else 0
        if answer.status != 200 or self.headers.get("If-Range", answer.headers.get("ETag")) != answer.headers.get(
            "ETag"
        ):
            first = 0
        size = len(answer.content)
        if first >= size > 0:
            self._send(Answer(status=416, headers={"Content-Range": f"bytes */{size}"}))
        elif first:
            span = {"Content-Range": f"bytes {first}-{size - 1}/{size}"}
            self._send(Answer(answer.content[first:], {**answer.headers, **span}, 206))
        else:
            self._send(answer)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        length = {"Content-Length": str(len(answer.content))} if self.server.lengths else {}
        for name, value in {**answer.headers, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD" or not answer.content:
            return
        if not self.server.breaks_after:
            self.wfile.write(answer.content)
            return
        self.wfile.write(answer.content[: self.server.breaks_after.pop(0)])
        if self.server.resets:  # a socket that does not linger is reset when it is closed
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _refused(status: int, code: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status=status, headers={"X-Error-Code": code, **(headers or {})})


def _json(content: object) -> Answer:
    return Answer(json.dumps(content).encode(), {"Content-Type": "application/json"})


def _entry(name: str, content: bytes) -> dict[str, object]:
    """A file as the hub lists it."""
    entry: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": _git_hash(content)}
    if name.endswith(_LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry


def _git_hash(content: bytes) -> str:
    """Name that git gives to a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

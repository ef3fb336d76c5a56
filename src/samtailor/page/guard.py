"""Who may ask the page's server: those that know its token, by its own name, from its own page.

A server on 127.0.0.1 can be reached by every user of the machine, and by every web page that its user opens. Against
the first there is a token, which is in the address that is printed and then in a cookie; against the second the cookie
goes along with their links at most, which change nothing, what changes something must come from the own page, and the
name that the server is asked by must be its own, so that no other name can be made to lead here (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CHANGING = frozenset(["POST", "PUT", "PATCH", "DELETE"])
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Lets requests through to an application that come from its user; all answers carry what browsers need to know."""

    def __init__(self, app: ASGIApp, token: str, port: int, host: str = "127.0.0.1", most: int | None = None) -> None:
        """Guard an application.

        Args:
            app: The application.
            token: What its user knows.
            port: Where it listens, which is also part of the cookie's name: cookies do not know ports.
            host: Address or name that it listens at.
            most: Bytes that a request may have at most; None does not limit them here.
        """
        self._app = app
        self._token = token
        self._port = port
        self._host = host
        self._most = most
        self._cookie = f"samtailor-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._refusal(scope) or self._welcome(scope) or self._app
        await answer(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """Why a request is not let through; None if it is, or if it brings the token in its address."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_ours(host):
            return _refused(403, f"expected this server's own address, found the host '{host[:80]}'")
        if scope["method"] in _CHANGING and origin is not None and origin != f"http://{host}":
            return _refused(403, f"expected a request of this server's own page, found one of '{origin[:80]}'")
        if not any(self._is_token(found) for found in (*self._shown(headers), *_in_address(scope))):
            return _refused(401, "expected the token; open the address that samtailor app has printed")
        length = headers.get("content-length", "0")
        if self._most is not None and (not length.isdecimal() or int(length) > self._most):
            return _refused(413, f"expected at most {self._most:,} bytes, found {length[:20]}")
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header is a name of this server: an address cannot be made to lead elsewhere, a name can."""
        name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "80")
        if not name:  # no port: that of HTTP
            name, port = host, "80"
        if port != str(self._port):
            return False
        own = {self._host, "localhost"}
        return name in own or (_is_address(name) and (_is_local(name) or not _is_local(self._host)))

    def _shown(self, headers: Headers) -> Iterable[str]:
        """Tokens that a request shows in its cookie or its authorization."""
        kind, _, found = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            yield found.strip()
        cookies = cookie_parser(headers.get("cookie", ""))  # pair by pair: those of other programs may be anything
        if self._cookie in cookies:
            yield cookies[self._cookie]

    def _is_token(self, found: str) -> bool:
        return secrets.compare_digest(found.encode(), self._token.encode())

    def _welcome(self, scope: Scope) -> Response | None:
        """What takes the token out of the address and into the cookie, where a request brings it there."""
        if not _in_address(scope):
            return None
        answer = Response(status_code=303, headers={"Location": "/"})
        # Not strict: links on other sites to the printed address would lead nowhere.
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="lax", path="/")
        return answer


def _in_address(scope: Scope) -> list[str]:
    """Tokens in the address of a request for the page."""
    if scope["method"] != "GET" or scope["path"] != "/":
        return []
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [])


def _refused(status: int, error: str) -> Response:
    return JSONResponse({"error": error}, status)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_local(name: str) -> bool:
    """Whether a name of this machine is for itself only."""
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name.strip("[]")).is_loopback)

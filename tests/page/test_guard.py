"""Only who knows the token, asks the server by its own name, and from its own page, is answered."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from samtailor.page.guard import Guard

TOKEN, PORT = "secret", 8765
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"hello {request.method}")


def client(host: str = "127.0.0.1", asked: str | None = None, most: int | None = None) -> TestClient:
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app = Starlette(routes=[Route("/", hello, methods=methods), Route("/more", hello, methods=methods)])
    guarded = Guard(app, TOKEN, PORT, host, most)
    return TestClient(guarded, base_url=f"http://{asked or host}:{PORT}", follow_redirects=False)


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address() -> None:
    page = client()
    answer = page.get("/", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"samtailor-{PORT}={TOKEN};")
    for part in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert part.lower() in cookie.lower()
    assert page.get("/more").text == "hello GET"  # the client keeps the cookie
    assert page.get("/").text == "hello GET"


@pytest.mark.parametrize("other", ['prefs={"theme":"dark"}', "items[]=3", "name=a b", "é=1", "alone", "a=1"])
def test_cookies_of_other_programs_on_the_machine_lock_nobody_out(other: str) -> None:
    cookies = f"{other}; samtailor-{PORT}={TOKEN}".encode("latin-1")
    assert client().get("/", headers={b"Cookie": cookies}).status_code == 200  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"headers": {"Authorization": "Bearer other"}},
        {"headers": {"Authorization": f"Basic {TOKEN}"}},
        {"headers": {"Authorization": f"Bearer {TOKEN}x"}},
        {"headers": {"Authorization": "Bearer "}},
        {"headers": {"Cookie": f"samtailor-{PORT}=other"}},
        {"headers": {"Cookie": f"samtailor-{PORT + 1}={TOKEN}"}},
        {"headers": {"Cookie": f"samtailor-{PORT}"}},
        {"params": {"token": "other"}},
        {"params": {"token": ""}},
    ],
)
def test_without_the_token_nothing_is_answered(shown: dict[str, Any]) -> None:
    for address in ("/", "/more"):
        answer = client().get(address, **shown)
        assert answer.status_code == 401
        assert answer.json()["error"].startswith("expected the token")
        assert "set-cookie" not in answer.headers


def test_the_token_counts_in_the_address_of_the_page_alone() -> None:
    assert client().get("/more", params={"token": TOKEN}).status_code == 401
    assert client().post("/", params={"token": TOKEN}).status_code == 401


def test_programs_show_it_in_a_header() -> None:
    assert client().post("/more", headers=BEARER).text == "hello POST"
    cookie = {"Cookie": f"other=1; samtailor-{PORT}={TOKEN}"}
    assert client().post("/more", headers=cookie).text == "hello POST"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1:80", "127.0.0.1", "", "10.1.2.3:8765"]
)
def test_another_name_of_the_server_is_refused(host: str) -> None:
    """A page of another site could make its name lead here, and be of the same origin then."""
    answer = client().get("/more", headers={**BEARER, "Host": host})
    assert answer.status_code == 403
    assert "own address" in answer.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "127.0.0.2:8765"])
def test_the_names_of_this_machine_are_known(host: str) -> None:
    assert client().get("/more", headers={**BEARER, "Host": host}).status_code == 200


def test_who_listens_to_others_is_asked_by_addresses_and_by_the_name_given() -> None:
    page = client("0.0.0.0", "192.168.1.5")
    assert page.get("/more", headers=BEARER).status_code == 200
    assert page.get("/more", headers={**BEARER, "Host": "evil.example:8765"}).status_code == 403
    assert client("box.lan").get("/more", headers=BEARER).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8765"])
def test_what_changes_something_comes_from_the_own_page(method: str, origin: str) -> None:
    answer = client().request(method, "/more", headers={**BEARER, "Origin": origin})
    assert answer.status_code == 403
    assert "own page" in answer.json()["error"]
    own = {**BEARER, "Origin": f"http://127.0.0.1:{PORT}"}
    assert client().request(method, "/more", headers=own).status_code == 200


@pytest.mark.parametrize("address", ["/more", "/nowhere", "/?token=wrong"])
def test_every_answer_tells_browsers_what_is_allowed(address: str) -> None:
    headers = client().get(address, headers=BEARER if address != "/?token=wrong" else {}).headers
    policy = headers["content-security-policy"]
    for rule in ("default-src 'self'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_body_that_is_said_to_be_too_large_is_not_read() -> None:
    page = client(most=10)
    assert page.post("/more", headers=BEARER, content=b"x" * 10).status_code == 200
    answer = page.post("/more", headers=BEARER, content=b"x" * 11)
    assert answer.status_code == 413
    assert "at most 10 bytes" in answer.json()["error"]
    assert page.post("/more", headers={**BEARER, "Content-Length": "-1"}).status_code == 413


def test_web_sockets_are_closed() -> None:
    with pytest.raises(WebSocketDisconnect) as closed, client().websocket_connect("/more", headers=BEARER):
        pass
    assert closed.value.code == 1008

"""Who may talk to the app: names, headers, closed addresses, and what it says to an open network."""

from __future__ import annotations

import http.client
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from review_app.auth import _settings_of, find_role
from review_app.gate import LOCAL, Gate
from review_app.serve import allowed_hosts, open_warning
from schemas.errors import SettingsError
from schemas.settings import Settings
from tests.review_app.conftest import House

FRAMES = "frame-ancestors 'none'"


def gated(hosts: tuple[str, ...] | None) -> TestClient:
    async def page(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("page", headers={"Content-Security-Policy": "sandbox"})

    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    paths = ("/", "/healthz", "/_stcore/metrics", "/_stcore/metrics/")
    routes: list[Any] = [Route(path, page) for path in paths]
    return TestClient(Gate(Starlette(routes=[*routes, WebSocketRoute("/_stcore/stream", stream)]), hosts=hosts))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8501", "127.0.0.1:8501", "[::1]:8501", "dailies.lan."])
def test_its_own_names_are_answered(host: str) -> None:
    client = gated((*LOCAL, "dailies.lan"))
    answer = client.get("/", headers={"host": host})
    assert (answer.status_code, answer.text) == (200, "page")
    assert answer.headers["content-security-policy"] == f"sandbox; {FRAMES}"
    assert answer.headers["x-frame-options"] == "DENY"
    with client.websocket_connect("/_stcore/stream", headers={"host": host}) as stream:
        assert stream.receive_text() == "hello"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:8501", "", "[::2]"])
def test_other_names_are_refused_page_and_websocket(host: str) -> None:
    client = gated(LOCAL)
    assert client.get("/", headers={"host": host}).status_code == 421
    assert client.get("/healthz", headers={"host": host}).status_code == 200
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream", headers={"host": host}):
        pass


def test_streamlits_own_figures_are_closed() -> None:
    client = gated(None)
    assert client.get("/", headers={"host": "dailies.studio.example"}).status_code == 200
    assert client.get("/_stcore/metrics").status_code == 404
    assert client.get("/_stcore/metrics/").status_code == 404


@pytest.mark.browser
def test_the_real_server_has_the_gate(house: House) -> None:
    def ask(path: str, host: str, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=20)
        connection.request("GET", path, headers={"Host": host, **headers})
        return connection.getresponse()

    own = f"127.0.0.1:{house.port}"
    upgrade = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }  # fmt: skip
    page = ask("/", own)
    assert (page.status, page.headers["Content-Security-Policy"]) == (200, FRAMES)
    assert ask("/", "evil.example").status == 421
    assert ask("/_stcore/stream", "evil.example", Origin="http://evil.example", **upgrade).status == 403
    assert ask("/_stcore/stream", own, Origin=house.url, **upgrade).status == 101
    assert ask("/_stcore/metrics", own).status == 404
    assert (ask("/healthz", "10.0.0.1").status, ask("/readyz", "10.0.0.1").status) == (200, 200)


def test_an_open_network_needs_sign_in_or_names() -> None:
    for address in ("0.0.0.0", "::", "192.168.1.5", "studio-7"):
        with pytest.raises(SettingsError, match="nobody signs in"):
            allowed_hosts(Settings(), address=address, sign_in=False)
        assert "nobody signs in" in open_warning(address=address, sign_in=False)
        assert open_warning(address=address, sign_in=True) == ""
    named = Settings(review_hosts=("dailies.lan",))
    assert allowed_hosts(named, address="0.0.0.0", sign_in=False) == ("dailies.lan", *LOCAL)
    assert allowed_hosts(named, address="::2", sign_in=False) == ("[::2]", "dailies.lan", *LOCAL)
    assert allowed_hosts(Settings(), address="0.0.0.0", sign_in=True) is None
    assert allowed_hosts(named, address="0.0.0.0", sign_in=True) == ("dailies.lan", *LOCAL)
    assert set(allowed_hosts(Settings(), address="127.0.0.2", sign_in=False) or ()) == {"127.0.0.2", *LOCAL}
    assert open_warning(address="127.0.0.1", sign_in=False) == ""


@pytest.mark.parametrize(
    ("trusted", "roles"),
    [("false", ["reviewer", "reviewer", "viewer", "reviewer"]), ("true", ["admin", "lead", "viewer", "reviewer"])],
)
def test_a_typed_name_makes_no_lead(monkeypatch: pytest.MonkeyPatch, trusted: str, roles: list[str]) -> None:
    monkeypatch.setenv("DAILIES_ROLES", '{"Ada": "admin", "Lea": "lead", "Vic": "viewer"}')
    monkeypatch.setenv("DAILIES_ROLES_WITHOUT_SIGN_IN", trusted)
    _settings_of.cache_clear()
    try:
        assert [find_role(name) for name in ("Ada", "Lea", "Vic", "Noor")] == roles
    finally:
        _settings_of.cache_clear()

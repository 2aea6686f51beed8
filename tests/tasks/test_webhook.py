"""Against a real local receiver."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from pydantic import SecretStr

from tasks.webhook import notify

SECRET = "T0/B0/sesame"


class Receiver(BaseHTTPRequestHandler):
    heard: ClassVar[list[dict[str, object]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.heard.append(body)
        self.send_response(500 if "refuse" in self.path else 302 if "move" in self.path else 200)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Receiver.heard = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{SECRET}"
    server.shutdown()
    server.server_close()


def test_plain_json(address: str) -> None:
    assert notify(SecretStr(address), shape="json", event="night ended", facts={"night": 3, "made": 24}, text="24 made")
    assert Receiver.heard == [{"event": "night ended", "text": "24 made", "night": 3, "made": 24}]


def test_slack(address: str) -> None:
    assert notify(SecretStr(address), shape="slack", event="night ended", facts={"night": 3}, text="24 made")
    assert Receiver.heard == [{"text": "24 made"}]


@pytest.mark.parametrize("way", ["/refuse", "/move"])
def test_a_refusal_is_a_warning_without_the_address(address: str, way: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert not notify(SecretStr(address + way), shape="json", event="night ended", facts={}, text="")
    assert "HTTP " in caplog.text
    assert "sesame" not in "".join(
        f"{record.getMessage()}" for record in caplog.records if record.levelno >= logging.INFO
    )
    assert len(Receiver.heard) == 1, "a redirect must not be followed: the body is for one receiver"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/sesame", "ftp://x/sesame", "sesame", "http://[/sesame"])
def test_what_cannot_be_reached_is_a_warning_without_the_address(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert not notify(SecretStr(url), shape="json", event="night ended", facts={}, text="")
    assert "could not be told" in caplog.text
    assert "sesame" not in caplog.text


def test_nobody_to_tell() -> None:
    assert not notify(None, shape="json", event="night ended", facts={}, text="")

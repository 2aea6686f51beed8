"""A Prefect server that is away is waited for, and given up in words."""

from __future__ import annotations

import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import httpx
import pytest

from flows.server import ServerAway, retry_server
from tests.servers import free_port


class _Answers(BaseHTTPRequestHandler):
    statuses: ClassVar[list[int]] = [503, 200]

    def do_GET(self) -> None:
        self.send_response(self.statuses.pop(0))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def answer_twice(server: HTTPServer) -> None:
    server.handle_request()
    server.handle_request()


def test_a_server_that_comes_back_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    tries = []

    def ask() -> int:
        tries.append(1)
        if len(tries) == 2:  # it is back, and not ready at once
            server = HTTPServer(("127.0.0.1", port), _Answers)
            threading.Thread(target=answer_twice, args=(server,), daemon=True).start()
        return httpx.get(f"http://127.0.0.1:{port}/").raise_for_status().status_code

    with caplog.at_level(logging.WARNING):
        assert retry_server("asking", ask) == 200
    assert len(tries) == 3 and "does not answer" in caplog.text


def test_one_that_stays_away_is_given_up_in_words() -> None:
    port = free_port()
    with pytest.raises(ServerAway, match="asking for a shift: Prefect's server did not answer for"):
        retry_server("asking for a shift", lambda: httpx.get(f"http://127.0.0.1:{port}/"), patience=0.5)


def test_a_refusal_is_not_repeated() -> None:
    request = httpx.Request("GET", "http://x/")
    calls = []

    def refused() -> None:
        calls.append(1)
        raise httpx.HTTPStatusError("no", request=request, response=httpx.Response(404, request=request))

    with pytest.raises(httpx.HTTPStatusError):
        retry_server("asking", refused)
    assert calls == [1]

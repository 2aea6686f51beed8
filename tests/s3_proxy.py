"""Between a client and a real S3: passes everything on, until it is told to misbehave.

Signatures cover the `Host` header, which is passed on as it came, so the server behind checks them as ever. A wrong
secret is a signature with one digit changed: the refusal is the server's own.
"""

from __future__ import annotations

import http.client
import random
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["", "500", "503", "slow", "wrong secret", "broken", "full"]
"""500, 503, full: half of the requests are answered so before, half after the server has carried them out. slow: five
seconds a request. broken: half of the body, and then the connection is closed."""

SLOW = 5.0
"""Seconds."""
HOP = {"connection", "expect", "keep-alive", "transfer-encoding"}


class FaultProxy:
    """A context. `fault` may be set at any time; `url` is what clients are given."""

    def __init__(self, behind: str) -> None:
        self.behind = urlsplit(behind)
        self.fault: Fault = ""
        self.disturbed = 0
        """Requests that met a fault."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FaultProxy:
        threading.Thread(target=self._server.serve_forever, name="s3 proxy", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            fault = proxy.fault
            proxy.disturbed += bool(fault)
            if fault == "slow":
                time.sleep(SLOW)
            if fault == "wrong secret":
                flip = {"Signature=0": "Signature=1"}
                signed = headers.get("Authorization", "")
                headers["Authorization"] = re.sub(
                    r"Signature=(.)", lambda m: flip.get(m[0], "Signature=0"), signed, count=1
                )
            refused = fault in ("500", "503", "full")
            if refused and random.random() < 0.5:
                self._refuse(fault)
                return
            # 1. The server behind carries it out.
            try:
                behind = http.client.HTTPConnection(proxy.behind.hostname or "", proxy.behind.port, timeout=60)
                behind.request(self.command, self.path, body=body or None, headers=headers)
                answer = behind.getresponse()
                data = answer.read()
            except (OSError, http.client.HTTPException):  # it is away: so is this connection
                self.close_connection = True
                return
            finally:
                behind.close()
            # 2. Its answer, or none.
            if refused:
                self._refuse(fault)
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP | {"date", "server"}:
                    self.send_header(name, value)
            if answer.getheader("Content-Length") is None:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if fault == "broken":
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
                return
            self.wfile.write(data)

        def _refuse(self, fault: str) -> None:
            code = {"503": "SlowDown", "500": "InternalError", "full": "InternalError"}[fault]
            said = "no space left on device" if fault == "full" else "injected"
            data = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{said}</Message></Error>".encode()
            self.send_response(503 if fault == "503" else 500)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass_on

        def log_message(self, *_: object) -> None:
            pass

    return Handler

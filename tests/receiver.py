"""A real receiver of webhooks on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "T0/B0/sesame"


@dataclass
class Receiver:
    url: str
    heard: list[dict[str, object]] = field(default_factory=list)
    """Bodies, in order."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Answers 200; 500 under a path with `refuse` in it, a redirect under one with `move`."""
    receiver = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if "refuse" in self.path else 302 if "move" in self.path else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()

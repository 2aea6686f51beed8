"""Who may talk to the review app at all: names under which it answers, headers for every page, closed addresses.

Without sign-in nobody is asked who they are, so a page of another site must not reach the app through a name that
resolves to this machine (DNS rebinding). The app then answers only under the names of this machine and those of
`review_hosts`. With sign-in, the proxy decides which names there are, unless `review_hosts` names them.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = ("localhost", "127.0.0.1", "[::1]")
OPEN = ("/healthz", "/readyz", "/_stcore/health")
"""Probes address a machine by its number. They say nothing about what the studio makes."""
CLOSED = ("/_stcore/metrics",)
"""Streamlit's own figures name sessions and pages; `dailies metrics` serves ours, on a port of its own."""
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def host_name(host: str) -> str:
    """The name in a Host header, without its port, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")


class Gate:
    """ASGI middleware. `hosts`: names that are answered; None answers all."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] | None = LOCAL) -> None:
        self.app = app
        self.hosts = None if hosts is None else frozenset(host_name(host) for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        path = scope["path"].rstrip("/")
        if self.hosts is not None and path not in OPEN:
            host = host_name(Headers(scope=scope).get("host", ""))
            if host not in self.hosts:
                return await _refuse(scope, receive, send, "The review app does not answer under this name.", 421)
        if any(path.endswith(closed) for closed in CLOSED):
            return await _refuse(scope, receive, send, "Not Found", 404)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    if name == "Content-Security-Policy" and name in headers:
                        value = f"{headers[name]}; {value}"
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, send_with_headers)


async def _refuse(scope: Scope, receive: Receive, send: Send, why: str, status: int) -> None:
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        await send({"type": "websocket.close", "code": 1008, "reason": why})
    else:
        await PlainTextResponse(why, status_code=status, headers=HEADERS)(scope, receive, send)

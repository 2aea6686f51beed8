"""Streamlit's own scripts and styles, compressed: a third of 3 MB on a first visit.

Streamlit sends them as they are, because a server that compresses at every request is slow. They never change while the
server runs (their names carry their hash), so each is compressed once here and kept.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENDINGS = (".js", ".css", ".json", ".svg")
LEAST = 1024
"""Bytes; smaller ones fit a packet as they are."""
MOST_KEPT = 32 * 2**20
"""Bytes of all that is kept; Streamlit's are 5 MB, compressed."""


class CompressedScripts:
    """ASGI middleware for GET /static/…; every other request passes through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[str, tuple[Message, bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_meant(scope):
            return await self._app(scope, receive, send)
        path = scope["path"]
        if path not in self._kept:
            start, body = await self._fetch(scope)
            headers = MutableHeaders(scope=start)
            # what is not there is answered with the page itself, under any name
            is_page = headers.get("content-type", "").startswith("text/html")
            if start["status"] != 200 or is_page or len(body) < LEAST or "content-encoding" in headers:
                return await _answer(send, start, body)
            body = await run_in_threadpool(gzip.compress, body, 9)
            headers["Content-Encoding"], headers["Content-Length"] = "gzip", str(len(body))
            headers.add_vary_header("Accept-Encoding")
            if sum(len(kept) for _, kept in self._kept.values()) + len(body) > MOST_KEPT:
                return await _answer(send, start, body)
            self._kept[path] = start, body
        await _answer(send, *self._kept[path])

    async def _fetch(self, scope: Scope) -> tuple[Message, bytes]:
        """The whole answer, whether or not who asked for it is still there: Starlette stops in the middle of a file
        when it hears that he is gone, and a part must not be kept for all who come later."""
        start: dict[str, Any] = {}
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, _hear_nothing, keep)
        return start, b"".join(parts)


async def _hear_nothing() -> Message:
    """An ASGI `receive` that waits until it is cancelled: a GET has no body, and a disconnect is not to be heard of."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets the event")


def _is_meant(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path, headers = scope["path"], Headers(scope=scope)
    if "/static/" not in path or not path.endswith(ENDINGS):
        return False
    return "gzip" in headers.get("accept-encoding", "") and not {"range", "if-none-match"} & set(headers.keys())


async def _answer(send: Send, start: Message, body: bytes) -> None:
    await send({**start, "headers": list(start["headers"])})  # the gate adds its own
    await send({"type": "http.response.body", "body": body})

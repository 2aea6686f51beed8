"""The page that a client link opens: no Streamlit, no sign-in, one playlist. Its address is /client#SECRET.

What stands behind the # is sent to no server by the browser; the page takes it from there and sends it as a header, so
that it is in no log. Every request is answered from the link's row as it is at that moment.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from review_app.client_page.visit import Refused, Visit
from schemas.errors import DailiesError

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
SECRET = "X-Dailies-Client"
MOST_BYTES = 64_000
"""Of what a client may send at once."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}
FILES = {"": ("client.html", "text/html"), "client.js": ("client.js", "text/javascript"),
         "client.css": ("client.css", "text/css")}  # fmt: skip


async def serve_page(request: Request) -> Response:
    """GET /client, /client/client.js, /client/client.css: the same for everybody."""
    found = FILES.get(request.path_params.get("file", ""))
    if found is None:
        return _refuse("There is no such page.", 404)
    name, media = found
    return Response((HERE / name).read_bytes(), media_type=media, headers=HEADERS)


async def serve_playlist(request: Request) -> Response:
    """POST /client/open: what the link shows and permits."""
    return await _answer(request, lambda visit, _: visit.open())


async def serve_picture(request: Request) -> Response:
    """GET /client/picture/<number>/<preview|thumb>: with the client's name across it."""
    number, size = request.path_params["number"], request.path_params["size"]
    return await _answer(request, lambda visit, _: visit.picture(number, size))


async def take_act(request: Request) -> Response:
    """POST /client/act: {number, act: comment|approve|reject|undo, revision, text, token}"""
    return await _answer(request, lambda visit, sent: visit.act(sent))


async def _answer(request: Request, ask: Callable[[Visit, dict[str, Any]], dict[str, Any] | bytes]) -> Response:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return _refuse("That is too long.", 413)
    try:
        sent = json.loads(body or b"{}")
    except ValueError:
        return _refuse("This was not understood.", 400)
    if not isinstance(sent, dict):
        return _refuse("This was not understood.", 400)
    try:
        said = await run_in_threadpool(lambda: ask(Visit.of(request.headers.get(SECRET, "")), sent))
    except Refused as no:
        return _refuse(str(no), no.status)
    except DailiesError as trouble:  # says more than a client is to know
        log.warning("client link: %s", trouble)
        return _refuse("This cannot be done at the moment. Try again a little later.", 503)
    if isinstance(said, bytes):
        return Response(said, media_type="image/webp", headers=HEADERS)
    return JSONResponse(said, headers=HEADERS)


def _refuse(why: str, status: int) -> Response:
    return JSONResponse({"wrong": why}, status_code=status, headers=HEADERS)


ROUTES = [
    Route("/client", serve_page, methods=["GET"]),
    Route("/client/open", serve_playlist, methods=["POST"]),
    Route("/client/act", take_act, methods=["POST"]),
    Route("/client/picture/{number:int}/{size}", serve_picture, methods=["GET"]),
    Route("/client/{file}", serve_page, methods=["GET"]),
]

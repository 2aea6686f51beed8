"""The lit preview of textures: three.js as the page loads it, and the maps of an image (maps.py beside this file).

A link to them is signed like that of a picture. Maps are derived one image at a time, so that this server goes on
answering meanwhile; who has moved on to the next image is not waited for.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from review_app.links import HEADERS
from review_app.lit_preview.maps import COLOUR, KeptMaps, LitMaps, derive_maps
from review_app.resources import open_resources
from schemas.errors import DailiesError, ObjectMissing
from storage.derived_maps import BUMP, METHOD

log = logging.getLogger(__name__)
LIBRARY = Path(__file__).with_name("three.min.js")
KEPT = KeptMaps()
ONE_AT_A_TIME = asyncio.Semaphore(1)


async def serve_library(request: Request) -> Response:
    """GET /lit/three.min.js: asked for anew at every load, so that an update is seen at once."""
    data = await run_in_threadpool(LIBRARY.read_bytes)
    headers = {"Cache-Control": "no-cache", "ETag": f'"{hashlib.sha256(data).hexdigest()[:32]}"'}
    if request.headers.get("if-none-match", "").removeprefix("W/") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="text/javascript", headers=headers)


async def serve_maps(request: Request) -> Response:
    """GET /lit/<digest>: {width, height, reduced, relief, maps: [{kind, url, how}]}. GET /lit/<digest>/<kind>: a PNG.

    {wrong} in words where there is none.
    """
    digest, kind = request.path_params["digest"], request.path_params.get("kind", "")
    asked, links = request.query_params, open_resources().links
    name = f"{digest}/{kind}" if kind else digest
    if not links.allows(f"lit/{name}", asked.get("until", ""), asked.get("sign", "")):
        return _refuse("This link is not valid, or no longer.", 403)
    maps = KEPT.find(digest, asked.get("order", ""))
    if maps is None:
        async with ONE_AT_A_TIME:
            if await request.is_disconnected():
                return _refuse("Nobody waits for it.", 499)
            try:
                maps = await run_in_threadpool(derive_maps, digest, KEPT)
            except ObjectMissing:
                return _refuse("The image in full was removed; only its preview is left.", 404)
            except DailiesError as trouble:
                log.warning("lit preview of %s: %s", digest, trouble)
                return _refuse(f"The maps cannot be derived: {trouble}.", 409)
    if not kind:
        return JSONResponse(_describe(digest, maps), headers={"Cache-Control": "no-store"})
    if kind not in maps.files:
        return _refuse("There is no such map.", 404)
    return Response(maps.files[kind], media_type="image/png", headers=HEADERS)


def _describe(digest: str, maps: LitMaps) -> dict[str, Any]:
    """`relief`: the range of heights, as a part of the picture's height."""
    links = open_resources().links
    how: dict[str, str] = {COLOUR: "the image itself"} | {str(kind): text for kind, text in METHOD.items()}
    return {
        "width": maps.width,
        "height": maps.height,
        "reduced": maps.is_reduced,
        "relief": BUMP / maps.height,
        "maps": [
            # by the order the browser's cache tells apart what another one derives
            {"kind": kind, "url": f"{links.to_map(f'{digest}/{kind}')}&order={maps.order}", "how": how[kind]}
            for kind in maps.files
        ],
    }


def _refuse(why: str, status: int) -> Response:
    return JSONResponse({"wrong": why}, status_code=status, headers={"Cache-Control": "no-store"})


ROUTES = [
    Route("/lit/three.min.js", serve_library, methods=["GET"]),
    Route("/lit/{digest}", serve_maps, methods=["GET"]),
    Route("/lit/{digest}/{kind}", serve_maps, methods=["GET"]),
]

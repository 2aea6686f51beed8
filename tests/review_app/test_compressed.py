"""Streamlit's own scripts over the wire, from the real server."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from review_app.compressed import CompressedScripts
from tests.review_app.conftest import House


def test_scripts_are_compressed_once_and_the_same(house: House) -> None:
    page = httpx.get(house.url).text
    names = sorted(set(re.findall(r"static/(?:js|css)/[^\"]+\.(?:js|css)", page)))
    assert len(names) > 3
    sent = plain = 0
    for name in names:
        whole = httpx.get(f"{house.url}/{name}", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in whole.headers
        for _ in range(2):
            small = httpx.get(f"{house.url}/{name}", headers={"Accept-Encoding": "gzip"})
            assert small.content == whole.content and small.headers["content-type"] == whole.headers["content-type"]
            assert (
                "immutable" in small.headers["cache-control"] and small.headers["x-content-type-options"] == "nosniff"
            )
        assert ("content-encoding" in small.headers) == (len(whole.content) >= 1024)
        sent, plain = sent + int(small.headers["content-length"]), plain + len(whole.content)
    assert sent < plain / 2


def test_parts_what_is_not_there_and_other_addresses_pass(house: House) -> None:
    page = httpx.get(house.url).text
    script = re.findall(r"static/js/index[^\"]+\.js", page)[0]
    accepts = {"Accept-Encoding": "gzip"}
    part = httpx.get(f"{house.url}/{script}", headers=accepts | {"Range": "bytes=0-99"})
    assert part.status_code == 206 and len(part.content) == 100 and "content-encoding" not in part.headers
    nothing = httpx.get(f"{house.url}/static/js/nothing.js", headers=accepts)
    assert nothing.headers["content-type"].startswith("text/html") and "content-encoding" not in nothing.headers
    assert httpx.head(f"{house.url}/{script}", headers=accepts).status_code == 200
    wrong = httpx.get(f"{house.url}/{script}", headers=accepts | {"Host": "evil.example"})
    assert wrong.status_code >= 400, "the gate stands before it"


def test_who_leaves_while_a_script_comes_breaks_it_for_nobody(tmp_path: Path) -> None:
    """Starlette stops reading the file then; the next visitor gets it whole."""
    whole = os.urandom(2_000_000)
    names = [f"{number}.js" for number in range(20)]
    for name in names:
        (tmp_path / name).write_bytes(whole)
    app = CompressedScripts(Starlette(routes=[Mount("/static", StaticFiles(directory=tmp_path))]))

    async def visit(name: str, *, stays: float) -> bytes:
        body: list[bytes] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(stays)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            body.append(message.get("body", b""))

        scope = {
            "type": "http",
            "asgi": {"spec_version": "2.3"},
            "method": "GET",
            "path": f"/static/{name}",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"accept-encoding", b"gzip")],
        }
        await app(scope, receive, send)
        return b"".join(body)

    for number, name in enumerate(names):
        asyncio.run(visit(name, stays=number / 2000))  # some before the first part of it, some after the last
        assert gzip.decompress(asyncio.run(visit(name, stays=60))) == whole

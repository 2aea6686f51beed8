"""The first image of the Inbox on a slow link: 400 ms there and back, 50 kB/s for everything together.

    python -m bench.slow_link [--size 1024] [--latency 0.4] [--rate 50000]

The link is a small proxy between browser and server, since a browser's own throttling leaves websockets out, and the
app's data come by one. Two visits: the first ever, and one with Streamlit's scripts in the browser's cache. On each:
when something of the image is seen (its thumbnail), and when the preview is there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.review import table
from tests.servers import free_port

CHUNK = 4096


class SlowLink:
    """Forwards one port to another. `latency`: seconds there and back; `rate`: bytes a second, both ways together."""

    def __init__(self, to_port: int, *, latency: float, rate: float) -> None:
        self.to_port, self.latency, self.rate = to_port, latency, rate
        self.port = free_port()
        self.carried = 0
        self._free_at = 0.0

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Each piece waits for its turn on the link, then for half the latency; pieces travel behind each other."""
        travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def arrive() -> None:
            while True:
                at, data = await travelling.get()
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                if not data:
                    break
                writer.write(data)
                await writer.drain()
            writer.close()

        arriving = asyncio.create_task(arrive())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                self._free_at = max(time.monotonic(), self._free_at) + len(data) / self.rate
                self.carried += len(data)
                await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))
                await travelling.put((time.monotonic() + self.latency / 2, data))
        await travelling.put((0.0, b""))
        with contextlib.suppress(ConnectionError):
            await arriving

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.latency)  # TCP's own handshake
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        await asyncio.gather(self._pump(reader, to_writer), self._pump(to_reader, writer), return_exceptions=True)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()  # Playwright's own loop counts as running in this thread
        serving = asyncio.start_server(self._connect, "127.0.0.1", self.port)
        asyncio.run_coroutine_threadsafe(serving, loop).result(10)
        try:
            yield
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)


def visit(page: Any, link: SlowLink) -> dict[str, Any]:
    before, started = link.carried, time.perf_counter()
    page.goto(f"http://127.0.0.1:{link.port}", wait_until="commit", timeout=240_000)
    page.wait_for_selector(".stage[data-painted]", timeout=240_000)
    seen = time.perf_counter() - started
    page.wait_for_selector(".stage[data-sharp=true]", timeout=240_000)
    sharp = time.perf_counter() - started
    return {
        "first seen, s": round(seen, 1),
        "preview, s": round(sharp, 1),
        "kB until then": (link.carried - before) // 1000,
    }


def main() -> None:
    from playwright.sync_api import sync_playwright

    from tests.browser import FLAGS, chromium_path
    from tests.review_app.conftest import a_house
    from tests.review_app.stocked import stock

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="px of the pictures")
    parser.add_argument("--latency", type=float, default=0.4, help="seconds there and back")
    parser.add_argument("--rate", type=float, default=50_000, help="bytes a second")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        house = a_house(Path(folder) / "home")
        stock(house.ledger, house.store, images=24, size=asked.size)
        house.start()
        link = SlowLink(house.port, latency=asked.latency, rate=asked.rate)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        try:
            with link.open():
                context = browser.new_context(viewport={"width": 1366, "height": 768})
                address = f"http://127.0.0.1:{link.port}"
                context.add_cookies([{"name": "dailies_reviewer", "value": "Noor", "url": address}])
                first = {"visit": "the first ever"} | visit(context.new_page(), link)
                time.sleep(60)  # what was on its way for the page arrives, and is not counted twice
                context.pages[0].close()
                again = {"visit": "scripts in the cache"} | visit(context.new_page(), link)
        finally:
            browser.close()
            house.kill()
    table(f"First image at {asked.latency * 1000:.0f} ms and {asked.rate / 1000:.0f} kB/s", [first, again])


if __name__ == "__main__":
    main()

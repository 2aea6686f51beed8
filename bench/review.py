"""The review app's figures, on a real server, a real ledger and a real browser.

    python -m bench.review                 1,000 images in the inbox: key to next image painted, memory; and the peer
    python -m bench.review --images 2050 --keys 2000 --pause 0.03     memory after two thousand images
    python -m bench.review --decisions     20 sessions of 50 decisions at once, on SQLite and on PostgreSQL

Key to paint is measured in the page: from the keydown event to the second animation frame after the next picture is in
place and decoded. Peer: the same decision on a plain Streamlit page of `st.image` and `st.button`
(bench/plain_review.py) over the same ledger, store and server machine, with each key pressed after the last image came.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from schemas.review import Verdict
from storage.database import migrate, open_database
from storage.ledger import Ledger

ALLOWED = {
    "key to paint, p50 ms": 40,
    "key to paint, p95 ms": 120,
    "server memory, MB": 600,
    "lost": 0,
    "double": 0,
    "p95 ms": 150,
}

PROBE = """() => {
    const parts = [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')];
    const root = parts.map(part => part.shadowRoot).find(one => one.querySelector('.stage'));
    const stage = root.querySelector('.stage');
    window.times = []; window.pressed = [];
    document.addEventListener('keydown', event => {
        const started = event.timeStamp, before = stage.dataset.image;
        if (!before) return;
        window.pressed.push(before);
        const look = () => {
            const image = stage.querySelector('.pictures img');
            if (stage.dataset.image !== before && (!stage.dataset.image || (image && image.complete)))
                requestAnimationFrame(() => window.times.push(performance.now() - started));
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, true);
}"""


PEER_PROBE = """() => new Promise(done => {
    const shown = () => document.querySelector('[data-testid=stImage] img');
    const before = shown().src;
    document.addEventListener('keydown', event => {
        const look = () => {
            const image = shown();
            if (image && image.src !== before && image.complete)
                requestAnimationFrame(() => done(performance.now() - event.timeStamp));
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, {capture: true, once: true});
    window.listening = true;
})"""


def peer(images: int, keys: int, *, size: int = 512) -> dict[str, Any]:
    """The same inbox on the plain page, `keys` approvals, one after the other."""
    from playwright.sync_api import sync_playwright

    from tests.browser import FLAGS, chromium_path
    from tests.review_app.conftest import a_house, without_prefect
    from tests.review_app.stocked import stock
    from tests.servers import free_port

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        house = a_house(Path(folder) / "home")
        stock(house.ledger, house.store, images=images, size=size)
        url = f"http://127.0.0.1:{(port := free_port())}"
        flags = [f"--server.port={port}", "--server.address=127.0.0.1", "--server.headless=true"]
        page_file = Path(__file__).with_name("plain_review.py")
        environment = without_prefect() | house.environment | {"PYTHONPATH": str(page_file.parents[1])}
        command = [sys.executable, "-m", "streamlit", "run", str(page_file), *flags]
        server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        try:
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            for _ in range(300):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                    break
                time.sleep(0.1)
            page.goto(url)
            page.locator("[data-testid=stImage] img").wait_for(timeout=60_000)
            page.wait_for_timeout(1500)
            times = []
            for _ in range(keys):
                page.evaluate(f"window.listening = false; window.took = ({PEER_PROBE})(); null")
                page.wait_for_function("window.listening")
                page.keyboard.press("a")
                times.append(page.evaluate("window.took"))
                page.wait_for_timeout(100)
            return {
                "images in the inbox": images,
                "key to paint, p50 ms": round(statistics.median(times), 1),
                "key to paint, p95 ms": round(statistics.quantiles(times, n=20)[-1], 1),
                "decisions": len(house.ledger.decisions(limit=None)),
            }
        finally:
            browser.close()
            server.terminate()
            server.wait(timeout=20)


def screen(images: int, keys: int, pause: float, *, size: int = 512) -> dict[str, Any]:
    """One reviewer, a thousand images, `keys` approvals. `size`: of the pictures, px."""
    from playwright.sync_api import sync_playwright

    from tests.browser import FLAGS, chromium_path
    from tests.review_app.conftest import a_house
    from tests.review_app.stocked import stock

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        house = a_house(Path(folder) / "home")
        stock(house.ledger, house.store, images=images, size=size)
        house.start()
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        try:
            context = browser.new_context(viewport={"width": 1366, "height": 768})
            context.add_cookies([{"name": "dailies_reviewer", "value": quote("Noor"), "url": house.url}])
            page = context.new_page()
            started = time.perf_counter()
            page.goto(house.url)
            page.wait_for_selector(".stage[data-painted]")
            opened = time.perf_counter() - started
            page.wait_for_timeout(1500)
            page.evaluate(PROBE)
            for _ in range(keys):
                page.keyboard.press("a")
                page.wait_for_timeout(pause * 1000)
            for _ in range(10 * keys):  # where the next image was late a key fell on none
                if page.evaluate("window.pressed.length") >= keys:
                    break
                page.keyboard.press("a")
                page.wait_for_timeout(pause * 1000)
            page.locator(".saved", has_text="all saved").wait_for(timeout=60_000)
            times, pressed = page.evaluate("window.times"), page.evaluate("window.pressed")
            rows = [one.decision for one in house.ledger.decisions(limit=None)]
            assert house.process is not None
            return {
                "images in the inbox": images,
                "keys a second": round(1 / pause, 1),
                "first image after": f"{opened:.1f} s",
                "key to paint, p50 ms": round(statistics.median(times), 1),
                "key to paint, p95 ms": round(statistics.quantiles(times, n=20)[-1], 1),
                "keys pressed on an image": len(pressed),
                "decisions": len(rows),
                "each on the image that was on screen": Counter(row.image for row in rows) == Counter(pressed),
                "server memory, MB": round(psutil.Process(house.process.pid).memory_info().rss / 1e6),
            }
        finally:
            browser.close()
            house.kill()


def decisions(url: str, sessions: int = 20, each: int = 50) -> dict[str, Any]:
    """Sessions that decide at once, as the page does it; the images are dealt out, so that none is stale."""
    from review_app.review_session import ReviewSession
    from tests.making import a_keeping, a_spec, planned

    engine = open_database(url)
    migrate(engine)
    ledger = Ledger(engine)
    specs = [a_spec(number) for number in range(sessions * each)]
    planned(ledger, specs)
    ledger.keep_many([a_keeping(spec) for spec in specs])
    times: list[float] = []

    def session(number: int) -> None:
        desk, rights = ReviewSession(), {"reviewer": f"r{number}", "role": "reviewer"}
        for seq, spec in enumerate(specs[number::sessions], 1):
            event = {"seq": seq, "image": spec.digest, "revision": 0, "verdict": Verdict.APPROVE.value}
            started = time.perf_counter()
            desk.answer(f"client{number}", [event], ledger=ledger, rights=lambda: rights)
            times.append(time.perf_counter() - started)
            assert desk.answers[seq]["ok"], desk.answers[seq]
            time.sleep(0.02)

    threads = [threading.Thread(target=session, args=(number,)) for number in range(sessions)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - started
    counts = Counter(one.decision.image for one in ledger.decisions(limit=None))
    engine.dispose()
    return {
        "database": url.split(":")[0],
        "decisions": sum(counts.values()),
        "lost": len(specs) - len(counts),
        "double": sum(count > 1 for count in counts.values()),
        "a second": round(len(times) / wall),
        "p50 ms": round(statistics.median(times) * 1e3, 1),
        "p95 ms": round(statistics.quantiles(times, n=20)[-1] * 1e3, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", action="store_true")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between keys")
    asked = parser.parse_args()
    if not asked.decisions:
        ours = screen(asked.images, asked.keys, asked.pause)
        plain = peer(asked.images, min(asked.keys, 60))
        table("One reviewer", [ours])
        table("The same on a plain Streamlit page", [plain])
        ratio = plain["key to paint, p50 ms"] / ours["key to paint, p50 ms"]
        print(f"  {'plain page / ours, p50':<38}{ratio:>20.1f}")
        return
    from tests import servers

    with tempfile.TemporaryDirectory() as folder:
        on_sqlite = decisions(f"sqlite:///{folder}/dailies.db")
    with servers.postgres() as url:
        table("20 sessions at once, 50 decisions each", [on_sqlite, decisions(url)])


def table(title: str, columns: list[dict[str, Any]]) -> None:
    print(title)
    for name in columns[0]:
        allowed = f"   allowed {ALLOWED[name]}" if name in ALLOWED else ""
        print(f"  {name:<38}" + "".join(f"{column[name]!s:>20}" for column in columns) + allowed)


if __name__ == "__main__":
    main()

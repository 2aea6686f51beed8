"""The Grid with thousands that wait: seconds to its first tiles, frames a second while it is scrolled, what is chosen.

    python -m bench.grid                      3,000 and 100,000 waiting
    python -m bench.grid --waiting 100000

A real server and a real Chromium over a filled ledger (bench/million.py), with one picture on every tile. Scrolled is
by script, some pixels a frame, for three seconds each: slowly, fast, and by the scroll bar to the end. Chromium draws
without a graphics card here, on the cores that the server works on too.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image as Picture
from sqlalchemy import update

from bench.ledger import filled
from schemas.records import Image
from storage.database import open_database
from storage.ledger import Ledger

TABLE = """[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
    .map(part => part.shadowRoot?.querySelector('[data-part=list]')).find(Boolean)"""
FIRST = f"""() => {{ const list = {TABLE}; const images = list ? [...list.querySelectorAll('.tile img')] : [];
    return images.length > 8 && images.slice(0, 8).every(one => one.complete && one.naturalWidth > 0) }}"""
SCROLL = f"""async ([pixels, seconds]) => {{
    const list = {TABLE}, frames = [], began = performance.now(); let last = began, bare = 0;
    while (performance.now() - began < seconds * 1000) {{
        const now = await new Promise(requestAnimationFrame);
        frames.push(now - last); last = now;
        list.scrollTop += pixels;
        const tiles = [...list.querySelectorAll('.tile')];
        if (tiles.filter(one => one.querySelector('img')).length < tiles.length / 2) bare += 1;
    }}
    frames.sort((a, b) => a - b);
    return {{ "frames a second": frames.length / seconds, "p95 ms a frame": frames[Math.floor(frames.length * 0.95)],
        "share of frames with most tiles still empty": bare / frames.length }} }}"""
TO_END = f"() => {{ const list = {TABLE}; list.scrollTop = list.scrollHeight }}"
LAST = f"""total => {{ const list = {TABLE}; return [...list.querySelectorAll('.tile')]
    .some(one => Number(one.dataset.place) === total - 1 && one.querySelector('img')?.naturalWidth > 0) }}"""
CHOSEN = f"() => {TABLE}.closest('[data-part=root]').querySelector('[data-part=count]').innerText"


def measure(waiting: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    from tests.browser import FLAGS, chromium_path
    from tests.review_app.conftest import a_house

    with (
        tempfile.TemporaryDirectory() as folder,
        filled(waiting + 1000, waiting, postgres=False, keep=None) as url,
        sync_playwright() as playwright,
    ):
        house = a_house(Path(folder) / "home")
        engine = open_database(url)
        with Ledger(engine).writing("bench") as session:
            session.execute(update(Image).values(thumb_key=_put_picture(house.store)))
        house.environment |= {"DAILIES_DATABASE_URL": url, "DAILIES_ROLES": '{"Noor": "lead"}'}
        house.start()
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        try:
            context = browser.new_context(viewport={"width": 1600, "height": 900})
            context.add_cookies([{"name": "dailies_reviewer", "value": quote("Noor"), "url": house.url}])
            page = context.new_page()
            page.set_default_timeout(120_000)
            page.goto(house.url)  # the server is warm, as in a morning
            page.wait_for_selector("a[href$='/grid']:visible")
            found: dict[str, Any] = {}
            for visit in ("first", "second"):
                page.locator("a[href$='/grid']:visible").first.click()
                began = time.perf_counter()
                page.wait_for_function(FIRST, polling=10)
                found[f"{visit} visit, s to the first tiles"] = time.perf_counter() - began
                if visit == "first":
                    page.locator("a[href$='/you']:visible").first.click()
                    page.wait_for_selector("[data-testid=stMetric]")
            for way, pixels in (("slowly, 12 px a frame", 12), ("fast, 120 px a frame", 120)):
                found |= {f"{way}: {name}": value for name, value in page.evaluate(SCROLL, [pixels, 3]).items()}
            page.evaluate(TO_END)
            began = time.perf_counter()
            page.wait_for_function(LAST, arg=waiting, polling=10)
            found["s to the last tile, by the scroll bar"] = time.perf_counter() - began
            page.locator(f"[data-place='{waiting - 1}']").click()
            page.locator(f"[data-place='{waiting - 5}']").click(modifiers=["Shift"])
            found["five chosen by Shift"] = page.evaluate(CHOSEN)
            page.keyboard.press("Control+a")
            found["all chosen by Ctrl+A"] = page.evaluate(CHOSEN)
            return found
        finally:
            browser.close()
            house.kill()
            engine.dispose()


def _put_picture(store: Any) -> str:
    out = io.BytesIO()
    Picture.effect_noise((192, 192), 40).convert("RGB").save(out, "WEBP", quality=80)
    key = f"thumbs/{hashlib.sha256(out.getvalue()).hexdigest()}.webp"
    store.put_once(key, out.getvalue(), media_type="image/webp")
    return key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, action="append")
    for waiting in parser.parse_args().waiting or [3_000, 100_000]:
        print(f"{waiting:,} waiting")
        for name, value in measure(waiting).items():
            print(f"  {name:<70}{value if isinstance(value, str) else round(value, 3)!s:>12}", flush=True)


if __name__ == "__main__":
    main()

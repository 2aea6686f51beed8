"""Every page of the review app over a million images: from the click on its name to its first data on screen.

    python -m bench.pages [--images 1000000] [--waiting 10000] [--postgres] [--keep FOLDER]

A real server and a real Chromium over the ledger of bench/million.py (there are no pictures behind it: what is timed
is data). Each page is visited often; the worst counts. The first visit of all is the server's cold start.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psutil

from bench.ledger import filled

# Each is nowhere on the page before it.
FIRST_DATA = {
    "inbox": ".stage[data-image]:not([data-image=''])",
    "grid": ".sheet .tile",
    "conflicts": "h3",
    "assets": "[data-testid=stDataFrame]",
    "submit": "h3:has-text('Sent in before')",
    "nights": "[data-testid=stMetric]:has-text('Flagged')",
    "decisions": "[data-testid=stDownloadButton]",
    "insights": "h3:has-text('Why images came back')",
    "library": ".sheet .tile",
    "you": "[data-testid=stMetric]",
}
ALLOWED = 1000


def measure(url: str, often: int) -> None:
    from playwright.sync_api import sync_playwright

    from tests.browser import FLAGS, chromium_path
    from tests.review_app.conftest import a_house

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        house = a_house(Path(folder) / "home")
        house.environment |= {"DAILIES_DATABASE_URL": url, "DAILIES_ROLES": '{"Noor": "lead"}'}
        house.start()
        assert house.process is not None
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        try:
            context = browser.new_context(viewport={"width": 1600, "height": 900})
            context.add_cookies([{"name": "dailies_reviewer", "value": quote("Noor"), "url": house.url}])
            page = context.new_page()
            page.set_default_timeout(60_000)
            began = time.perf_counter()
            page.goto(house.url)
            page.wait_for_selector(FIRST_DATA["inbox"])
            print(f"  {'opened, the server cold':<26}{(time.perf_counter() - began) * 1000:>8.0f}")
            taken: dict[str, list[float]] = {name: [] for name in FIRST_DATA}
            for _ in range(often):
                for name, selector in list(FIRST_DATA.items())[1:] + list(FIRST_DATA.items())[:1]:
                    link = page.locator(f"a[href$='/{'' if name == 'inbox' else name}']:visible").first
                    began = time.perf_counter()
                    link.click()
                    page.locator(selector).first.wait_for()
                    taken[name].append((time.perf_counter() - began) * 1000)
                    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
                    page.wait_for_timeout(300)
            for name, times in taken.items():
                over = "  OVER" if max(times) > ALLOWED else ""
                said = f"{statistics.median(times):>8.0f}{max(times):>8.0f}{ALLOWED:>9,}"
                print(f"  {name:<26}{said}{over}")
            print(f"  memory of the server {psutil.Process(house.process.pid).memory_info().rss / 1e6:,.0f} MB")
        finally:
            browser.close()
            house.kill()
            log = house.log.read_text()
            if "Traceback" in log:
                print(log[-3000:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, started for this from its wheel")
    parser.add_argument("--keep", type=Path, help="folder for the filled database, to be used again")
    parser.add_argument("--often", type=int, default=5, help="visits of each page")
    asked = parser.parse_args()
    with filled(asked.images, asked.waiting, postgres=asked.postgres, keep=asked.keep) as url:
        print(f"{url.split(':')[0]}: {asked.images:,} images, {asked.waiting:,} of them waiting")
        print(f"  {'page, to its first data':<26}{'median':>8}{'worst':>8}{'allowed':>9}   ms")
        measure(url, asked.often)


if __name__ == "__main__":
    main()

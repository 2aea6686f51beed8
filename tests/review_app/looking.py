"""Screenshots of every page, to be looked at: python -m tests.review_app.looking URL FOLDER [PAGE...]"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser import FLAGS, chromium_path

SIZES = {"laptop": (1366, 768), "tablet": (820, 1180)}


def main(url: str, folder: Path, pages: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        for scheme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                context.add_cookies([{"name": "dailies_reviewer", "value": "Noor%20Vos", "url": url}])
                page = context.new_page()
                page.on("requestfailed", lambda r: print("FAILED", r.url))
                page.on("console", lambda m: print(m.type, m.text) if m.type in ("error",) else None)
                page.on("pageerror", lambda e: print("PAGE ERROR", e))
                for name in pages:
                    page.goto(f"{url}/{name if name != 'inbox' else ''}")
                    page.wait_for_selector("[data-testid=stMainBlockContainer]")
                    if name == "inbox":
                        page.wait_for_selector(".stage[data-painted]", timeout=20000)
                    page.wait_for_load_state("networkidle")
                    page.wait_for_timeout(1500)
                    page.screenshot(path=folder / f"{name}-{size}-{scheme}.png")
                context.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or ["inbox", "assets", "submit", "nights", "decisions"])

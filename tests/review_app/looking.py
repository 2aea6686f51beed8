"""Screenshots of the pages, to be looked at, and for docs/images.

    python -m tests.review_app.looking URL FOLDER [PAGE...]      every size and theme; without pages, all of them

`inbox.png` is the laptop in light; the others are `inbox-tablet-dark.png` and so on.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser import FLAGS, chromium_path

SIZES = {"laptop": (1366, 768), "tablet": (820, 1180)}
PAGES = (
    "inbox",
    "grid",
    "playlists",
    "conflicts",
    "assets",
    "submit",
    "nights",
    "decisions",
    "insights",
    "library",
    "for_you",
    "you",
)


def main(url: str, folder: Path, pages: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = chromium_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        for scheme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                context.add_cookies([{"name": "dailies_reviewer", "value": "Noor%20Vos", "url": url}])
                context.add_init_script("localStorage.setItem('dailies-hints:Noor Vos', '9')")  # no first visit
                page = context.new_page()
                page.on("pageerror", lambda error: print("error in the page:", error))
                for name in pages:
                    page.goto(f"{url}/{'' if name == 'inbox' else name}")
                    page.wait_for_selector(".stage[data-painted]" if name == "inbox" else "h1", timeout=30_000)
                    page.wait_for_load_state("networkidle")
                    page.wait_for_timeout(3500)
                    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
                    file = name if (size, scheme) == ("laptop", "light") else f"{name}-{size}-{scheme}"
                    few = taken.quantize(224, dither=Image.Dither.NONE)
                    few.save(folder / f"{file}.png", optimize=True)
                context.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or list(PAGES))

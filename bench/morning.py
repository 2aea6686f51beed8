"""A reviewer's morning by script, in a real browser: is every act on what was on screen, and none lost?

    python -m bench.morning                300 images: 20 annotated, 40 retakes with masks, 10 conflicts, a client's 30
    python -m bench.morning --images 60    a fifth of it

The reviewer takes no time to think, so that what is measured is the app: the seconds from an act to the next image, and
their share of a morning in which a person looks at each image for two seconds. Acts are compared with the ledger
afterwards, one by one, with the image that the page itself said was on screen.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import update

from schemas.playlists import ClientMay, NewClientLink, NewPlaylist
from schemas.records import InboxEntry
from schemas.review import Choice, Verdict
from storage.ledger import Ledger

NEXT = """before => [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
    .map(part => part.shadowRoot.querySelector('.stage')).find(Boolean).dataset.image !== before"""
FEWER = """left => [...document.querySelectorAll('button')]
    .filter(one => one.innerText === 'Reject').length < left"""
LEFT = "left => document.getElementById('progress').innerText.startsWith(left ? `${left} of` : 'Nothing')"
LOOKING = 2.0
"""Seconds that a person looks at an image, for the share."""
MAIN, TWICE, CLIENTS = "Morning", "Looked at twice", "For the client"


class Morning:
    """What was done, as the page said it: image -> (verdict, regions drawn), and how long each act took."""

    def __init__(self, page: Any) -> None:
        self.page, self.waits = page, list[float]()
        self.acts: dict[str, tuple[str, int]] = {}

    def shown(self) -> str:
        return str(self.page.get_attribute(".stage", "data-image"))

    def act(self, verdict: str, do: Callable[[], None], *, regions: int = 0) -> None:
        """`do` ends with the key or the button that decides; then until the next image is there."""
        before = self.shown()
        started = time.perf_counter()
        do()
        self.page.wait_for_function(
            NEXT,
            arg=before,
            timeout=30_000,
            polling=10,
        )
        self.waits.append(time.perf_counter() - started)
        self.acts[before] = (verdict, regions)

    def draw(self, tool: str) -> None:
        box = self.page.locator(".canvas").bounding_box()
        while tool not in self.page.get_by_role("button", name="Region").inner_text():  # it stays from image to image
            self.page.keyboard.press("m")
        places = [(box["x"] + part * box["width"], box["y"] + part * box["height"]) for part in (0.3, 0.5)]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        self.page.mouse.move(*places[1], steps=3)
        self.page.mouse.up()

    def annotated_reject(self) -> None:
        self.draw("box")
        self.page.keyboard.press("x")

    def masked_retake(self) -> None:
        self.page.keyboard.press("1")
        self.draw("brush")
        self.page.keyboard.press("t")
        self.page.get_by_role("button", name="Send back").click()


def run(images: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    from tests.browser import FLAGS, chromium_path
    from tests.review_app.conftest import a_house
    from tests.review_app.stocked import stock

    annotations, retakes, conflicts, clients = (max(1, images * part // 300) for part in (20, 40, 10, 30))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        house = a_house(Path(folder) / "home")
        house.environment |= {"DAILIES_ROLES": '{"Lea": "lead"}', "DAILIES_ROLES_WITHOUT_SIGN_IN": "true"}
        main = stock(house.ledger, house.store, images=images - conflicts - clients, size=512, project=MAIN)
        twice = stock(house.ledger, house.store, images=conflicts, size=512, project=TWICE, double=True)
        theirs = stock(house.ledger, house.store, images=clients, size=512, project=CLIENTS)
        for spec in twice:  # Ada rejects what Noor will approve
            no = Choice(image=spec.digest, revision=0, verdict=Verdict.REJECT, note="no")
            house.ledger.decide(no, reviewer="Ada")
        with house.ledger.writing("bench") as session:
            steps = update(InboxEntry).where(InboxEntry.project == CLIENTS)
            session.execute(steps.values(steps=["art lead", "client"], step="art lead"))
        link = a_link(house.ledger, [spec.digest for spec in theirs])
        house.start()
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))

        def visit(who: str, path: str = "") -> Any:
            context = browser.new_context(viewport={"width": 1366, "height": 768})
            context.add_cookies([{"name": "dailies_reviewer", "value": quote(who), "url": house.url}])
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.goto(f"{house.url}/{path}")
            return page

        try:
            # 1. Noor goes through the inbox
            page = visit("Noor")
            page.wait_for_selector(".stage[data-painted]")
            morning = Morning(page)
            for number in range(len(main) + len(twice) + len(theirs)):
                plain = house.ledger.picture(morning.shown()).spec.project != MAIN
                if not plain and len(done(morning, "retake")) < retakes and number % 3 == 0:
                    morning.act("retake", morning.masked_retake, regions=1)
                elif not plain and len(done(morning, "reject")) < annotations and number % 3 == 1:
                    morning.act("reject", morning.annotated_reject, regions=1)
                else:
                    morning.act("approve", lambda: page.keyboard.press("a"))
            page.locator(".saved", has_text="all saved").wait_for()
            # 2. the lead settles what the two differ on
            lead = visit("Lea", "conflicts")
            for left in range(conflicts, 0, -1):
                lead.get_by_role("button", name="Reject").first.click()
                lead.wait_for_function(FEWER, arg=left)
            # 3. the client takes what the art lead approved
            client = visit("", f"client#{link}")
            for left in range(clients, 0, -1):
                client.wait_for_function(LEFT, arg=left)
                client.keyboard.press("a")
            client.wait_for_function(LEFT, arg=0)
            return compare(house.ledger, morning) | {
                "conflicts settled": sum(house.ledger.picture(s.digest).entry.verdict == "reject" for s in twice),
                "approved by the client": sum(
                    house.ledger.picture(s.digest).decisions[-1].role == "client" for s in theirs
                ),
            }
        finally:
            browser.close()
            house.kill()


def a_link(ledger: Ledger, images: list[str]) -> str:
    number = ledger.make_playlist(NewPlaylist(name="Morning", images=tuple(images)), made_by="Lea", role="lead")
    new = NewClientLink(playlist=number, client="Aki", may=ClientMay.DECIDE)
    return ledger.make_client_link(new, made_by="Lea", role="lead")


def done(morning: Morning, verdict: str) -> list[str]:
    return [image for image, (said, _) in morning.acts.items() if said == verdict]


def compare(ledger: Ledger, morning: Morning) -> dict[str, Any]:
    wrong = []
    for image, (verdict, regions) in morning.acts.items():
        hers = [one for one in ledger.picture(image).decisions if one.reviewer == "Noor"]
        if [(one.verdict, len(one.regions)) for one in hers] != [(verdict, regions)]:
            wrong.append(image)
    masked = [ledger.picture(image).decisions[-1].changes or {} for image in done(morning, "retake")]
    waited = sum(morning.waits)
    return {
        "images": len(morning.acts),
        "annotated": len(done(morning, "reject")),
        "retakes with a mask": sum(bool((one.get("region") or {}).get("strokes")) for one in masked),
        "acts not as on screen, or lost": len(wrong),
        "act to next image, p50 ms": round(statistics.median(morning.waits) * 1e3),
        "act to next image, p95 ms": round(statistics.quantiles(morning.waits, n=20)[-1] * 1e3),
        "seconds in the app, all acts": round(waited, 1),
        "share of a morning": f"{waited / (waited + LOOKING * len(morning.acts)):.1%}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    for name, value in run(parser.parse_args().images).items():
        print(f"  {name:<38}{value!s:>12}")


if __name__ == "__main__":
    main()

"""Two reviewers on one inbox, and a server that dies under them: nothing is lost, nothing is decided twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from schemas.review import Verdict
from schemas.spec import ImageSpec
from tests.review_app.conftest import House, Visit, a_house, on_screen, saved
from tests.review_app.stocked import PROJECT, stock

pytestmark = pytest.mark.browser


def press_through(page: Page, *, times: int, pause: int) -> list[str]:
    """Approves what is on screen, `times` times; the ids that were on screen."""
    seen = []
    for _ in range(times):
        here = on_screen(page)
        if here:
            page.keyboard.press("a")
            if on_screen(page) != here:  # Streamlit's dialog about the lost connection lets no key through
                seen.append(here)
        page.wait_for_timeout(pause)
    return seen


def test_two_reviewers_share_an_inbox(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(60)
    pages = {who: inbox(who) for who in ("Noor", "Ada")}
    for _ in range(80):
        for page in pages.values():
            if on_screen(page):
                page.keyboard.press("a")
            page.wait_for_timeout(30)
        if not house.ledger.inbox(project=request.node.name, limit=1):
            break
    for page in pages.values():
        saved(page)
    decisions = [one.decision for one in house.ledger.decisions(project=request.node.name, limit=None)]
    assert Counter(d.image for d in decisions) == Counter(spec.digest for spec in specs)  # each once
    assert {d.verdict for d in decisions} == {Verdict.APPROVE}


def test_a_server_that_dies_takes_nothing_along(tmp_path: Path, visit: Visit) -> None:
    house = a_house(tmp_path / "home")
    specs = stock(house.ledger, house.store, images=30, size=96)
    house.start()
    try:
        page = visit(f"?project={quote(PROJECT)}", at=house)
        page.wait_for_selector(".stage[data-painted]")
        pressed = press_through(page, times=6, pause=40)
        house.kill()
        pressed += press_through(page, times=6, pause=40)
        expect(page.locator(".saved")).to_contain_text("not saved yet", timeout=10_000)
        house.start()
        saved(page)
        pressed += press_through(page, times=3, pause=40)
        saved(page)
        decisions = [one.decision for one in house.ledger.decisions(limit=None)]
        assert Counter(d.image for d in decisions) == Counter(pressed)
        assert pressed == [spec.digest for spec in specs[: len(pressed)]]
        assert len(pressed) >= 9
    finally:
        house.kill()


def test_a_closed_page_says_what_had_not_arrived(tmp_path: Path, visit: Visit) -> None:
    house = a_house(tmp_path / "home")
    specs = stock(house.ledger, house.store, images=5, size=96)
    house.start()
    try:
        page = visit("", at=house)
        page.wait_for_selector(".stage[data-painted]")
        house.kill()
        page.keyboard.press("a")
        page.wait_for_timeout(200)
        context = page.context
        page.close()
        house.start()
        again = context.new_page()
        again.add_init_script("Date.now = (now => () => now() + 60000)(Date.now)")  # as if a minute had passed
        again.goto(house.url)
        expect(again.locator(".notice")).to_contain_text("1 decision had not reached the server", timeout=20_000)
        saved(again)
        (decision,) = [one.decision for one in house.ledger.decisions(limit=None)]
        assert decision.image == specs[0].digest
    finally:
        house.kill()

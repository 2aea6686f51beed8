"""Submit and make it now: from the page to an image that waits, with a real night in between."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.flows.studio import PLAIN
from tests.review_app.conftest import Visit, a_house

pytestmark = pytest.mark.browser


@pytest.mark.timeout(600)
def test_what_is_submitted_now_is_made_now(visit: Visit, tmp_path: Path) -> None:
    house = a_house(tmp_path / "home")
    house.start()
    try:
        page = visit("submit", at=house)
        page.get_by_label("Manifest", exact=True).fill(PLAIN.replace("seeds: 4", "seeds: 1"))
        page.keyboard.press("Tab")
        expect(page.get_by_text("Sound: 1 image of 1 asset.")).to_be_visible()
        page.get_by_role("button", name="Submit and make it now").click()
        expect(page.get_by_text("A night begins on this machine")).to_be_visible(timeout=60_000)
        until = time.monotonic() + 400
        while not house.ledger.inbox() and time.monotonic() < until:
            time.sleep(1)
        (item,) = house.ledger.inbox()
        assert item.asset == "Potion"
        while house.ledger.nights(1)[0].ended_at is None and time.monotonic() < until:
            time.sleep(0.5)
        night = house.ledger.nights(1)[0]
        assert (night.started_by, night.outcome) == ("Noor", "complete")
    finally:
        house.kill()

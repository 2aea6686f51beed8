"""What takes minutes: two hundred images in a row as fast as a script can press keys, and four hundred shared by two
reviewers. (bench/review.py has the times and the memory.)"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest

from bench.review import PROBE, screen
from schemas.review import Verdict
from schemas.spec import ImageSpec
from tests.review_app.conftest import House, Visit, on_screen, saved

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_two_hundred_images_at_ten_keys_a_second() -> None:
    said = screen(260, 200, 0.1, size=256)
    assert said["keys pressed on an image"] == said["decisions"] == 200
    assert said["each on the image that was on screen"]


@pytest.mark.timeout(900)
def test_two_browsers_and_four_hundred_images(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(400)
    pages = {who: inbox(who) for who in ("Noor", "Ada")}
    for page in pages.values():
        page.evaluate(PROBE)  # notes what is on screen when a key goes down
    until = time.monotonic() + 600
    while house.ledger.inbox(project=request.node.name, limit=1) and time.monotonic() < until:
        for page in pages.values():
            if on_screen(page):
                page.keyboard.press("a")
            page.wait_for_timeout(30)
    for page in pages.values():
        saved(page)
    decisions = [one.decision for one in house.ledger.decisions(project=request.node.name, limit=None)]
    assert Counter(one.image for one in decisions) == Counter(spec.digest for spec in specs)  # each once
    assert {one.verdict for one in decisions} == {Verdict.APPROVE}
    for who, page in pages.items():
        hers = [one.image for one in decisions if one.reviewer == who]
        assert set(hers) <= set(page.evaluate("window.pressed")), "only what was on her screen"
        assert len(hers) > 100

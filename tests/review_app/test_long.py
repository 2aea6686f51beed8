"""What takes minutes: two hundred images in a row as fast as a script can press keys, and four hundred shared by two
reviewers. (bench/review.py has the times and the memory.)"""

from __future__ import annotations

import time
from collections import Counter

import pytest

from bench.review import screen
from schemas.review import Verdict
from tests.review_app.conftest import House, on_screen, saved

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_two_hundred_images_at_ten_keys_a_second() -> None:
    said = screen(260, 200, 0.1, size=256)
    assert said["keys pressed on an image"] == said["decisions"] == 200
    assert said["each on the image that was on screen"]


@pytest.mark.timeout(900)
def test_two_browsers_and_four_hundred_images(house: House, stocked, inbox, request):  # type: ignore[no-untyped-def]
    specs = stocked(400)
    pages = {who: inbox(who) for who in ("Noor", "Ada")}
    pressed: dict[str, str] = {}
    until = time.monotonic() + 800
    while time.monotonic() < until:
        for who, page in pages.items():
            if here := on_screen(page):
                page.keyboard.press("a")
                pressed[here] = who
            page.wait_for_timeout(30)
        if len(pressed) == len(specs) and not house.ledger.inbox(project=request.node.name, limit=1):
            break
    for page in pages.values():
        saved(page)
    stood = [(one.decision.image, one.decision.reviewer, one.decision.verdict)
             for one in house.ledger.decisions(project=request.node.name, limit=None)]  # fmt: skip
    assert Counter(image for image, _, _ in stood) == Counter(spec.digest for spec in specs)  # each once
    assert {image: who for image, who, _ in stood} == pressed  # and by whom it was on screen
    assert {verdict for _, _, verdict in stood} == {Verdict.APPROVE}
    assert min(Counter(pressed.values()).values()) > 100

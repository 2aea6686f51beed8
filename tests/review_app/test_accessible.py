"""Every page by axe-core's rules for WCAG 2.1 A and AA, contrast included, in light and dark."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from schemas.comments import NewComment
from schemas.ratings import NewRating, RatingColour
from schemas.review import Choice, Reason, Verdict
from schemas.spec import ImageSpec
from tests.review_app.conftest import House, Visit
from tests.review_app.looking import PAGES

pytestmark = pytest.mark.browser
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}


UNFADED = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("[data-stale] { opacity: 1 !important; transition: none !important }");
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}"""


def drawn(page: Page) -> None:
    """Waits until the script has ended and the page's own style is there: Streamlit fetches what draws HTML late, and
    the network can be idle before a slow server has said that it is needed."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_function(
        "() => [...document.styleSheets].some((one) => one.ownerNode.textContent.includes('.stMain'))"
    )


def violations(page: Page) -> list[str]:
    # Streamlit fades what it is drawing again, while the server is slow: for a moment no colour is the page's own.
    # Not by a tag, which the client page's policy refuses.
    page.evaluate(UNFADED)
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}: {node['failureSummary']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, visit: Visit, scheme: str
) -> None:
    for number, spec in enumerate(stocked(6)[:4]):
        verdict = Verdict.REJECT if number == 3 else Verdict.APPROVE
        reasons = (Reason.HANDS,) if number == 3 else ()
        house.ledger.decide(Choice(image=spec.digest, revision=0, verdict=verdict, reasons=reasons), reviewer="Noor")
    specs = house.ledger.inbox(project=f"test_every_page[{scheme}]")
    for number, text in enumerate(("@Noor and @Nobodyhere: look", "long " * 400)):
        new = NewComment(image=specs[0].digest, text=text, token=f"accessible{number}")
        house.ledger.comment(new, author="Ada Berg")
    house.ledger.rate(NewRating(image=specs[0].digest, stars=3, colour=RatingColour.RED), author="Ada Berg")
    page = inbox("Noor", color_scheme=scheme)
    assert violations(page) == []
    page.keyboard.press("y")  # comments, one of them folded; the field with names to choose from
    page.keyboard.type("@a")
    page.locator(".names button").first.wait_for()
    assert violations(page) == []
    page.keyboard.press("Enter")
    page.locator(".said .nobody").last.wait_for()
    assert violations(page) == []
    for key in ("t", "h"):  # under a dialog
        page.keyboard.press(key)
        page.get_by_role("dialog").wait_for()
        assert violations(page) == []
        page.keyboard.press("Escape")
    page = visit(f"decisions?image={specs[0].digest}", color_scheme=scheme)
    page.get_by_label("Your comment").wait_for()
    assert violations(page) == []
    for name in PAGES[1:]:  # the Inbox was looked at
        page.goto(f"{house.url}/{name}")
        page.locator("h1").wait_for()
        page.wait_for_load_state("networkidle")
        drawn(page)
        assert violations(page) == [], name

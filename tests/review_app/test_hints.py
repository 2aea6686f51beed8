"""The five hints of a first visit, in Chromium."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from schemas.spec import ImageSpec
from tests.review_app.conftest import Visit, on_screen, saved
from tests.review_app.test_accessible import violations

pytestmark = pytest.mark.browser
FORBIDDEN = """const kept = Storage.prototype.getItem;
Storage.prototype.getItem = function (name) {
  if (name.startsWith('dailies-hints')) throw new Error('forbidden');
  return kept.call(this, name);
};"""
Stocked = Callable[..., list[ImageSpec]]


def hint(page: Page) -> str:
    return page.locator("[data-part=hint] b").inner_text()


def test_what_a_hint_speaks_of_brings_the_next_and_they_come_once(inbox: Visit, stocked: Stocked) -> None:
    stocked(8)
    page = inbox(who="Nele New")
    assert hint(page) == "1 of 5" and violations(page) == []
    shown = on_screen(page)
    page.keyboard.press("a")  # no key is taken
    saved(page)
    assert on_screen(page) != shown and hint(page) == "2 of 5"
    page.keyboard.press("1")
    assert hint(page) == "3 of 5"
    page.reload()
    page.wait_for_selector(".stage[data-painted]")
    assert hint(page) == "3 of 5", "where this person was"
    assert page.locator(".hinted").get_attribute("data-part") == "stage"
    page.keyboard.press("z")
    page.get_by_role("button", name="Next hint").focus()
    page.keyboard.press("Enter")
    assert hint(page) == "5 of 5"
    page.get_by_role("button", name="Done").click()
    expect(page.locator("[data-part=hint]")).to_be_hidden()
    assert page.locator(".hinted").count() == 0
    page.reload()
    page.wait_for_selector(".stage[data-painted]")
    expect(page.locator("[data-part=hint]")).to_be_hidden()

    # again, by the list of commands
    page.keyboard.press("?")
    page.keyboard.type("hints")
    page.keyboard.press("Enter")
    assert hint(page) == "1 of 5"
    page.get_by_role("button", name="No hints").click()
    expect(page.locator("[data-part=hint]")).to_be_hidden()


def test_another_person_has_hints_of_their_own_and_nobody_needs_storage(inbox: Visit, stocked: Stocked) -> None:
    stocked(4)
    page = inbox(who="Nele Next")
    page.get_by_role("button", name="No hints").click()
    page.context.clear_cookies()
    page.context.add_cookies([{"name": "dailies_reviewer", "value": "Timo", "url": page.url}])
    page.reload()
    page.get_by_role("button", name="Take them over").click()
    page.wait_for_selector(".stage[data-painted]")
    assert hint(page) == "1 of 5"
    page.add_init_script(FORBIDDEN)
    page.reload()
    page.wait_for_selector(".stage[data-painted]")
    expect(page.locator("[data-part=hint]")).to_be_hidden()
    page.keyboard.press("a")
    saved(page)


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_the_picture_keeps_its_place(inbox: Visit, stocked: Stocked, width: int, height: int) -> None:
    stocked(4)
    page = inbox(who="Nele Small")
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(300)
    stage, tip = page.locator(".stage").bounding_box(), page.locator("[data-part=hint]").bounding_box()
    assert stage is not None and tip is not None
    assert tip["y"] + tip["height"] <= stage["y"] and tip["x"] >= 0 and tip["x"] + tip["width"] <= width
    assert stage["height"] >= 280

"""Stars and colours in a real browser: by keys and by buttons, in the panel, the Grid, the filters and the address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from review_app.review_session import ReviewSession
from schemas.ratings import NewRating, RatingColour
from schemas.spec import ImageSpec
from storage.ledger import Ledger
from tests.making import a_spec, kept
from tests.review_app.conftest import House, Visit, on_screen, saved

Stocked = Callable[..., list[ImageSpec]]


def given(ledger: Ledger, spec: ImageSpec) -> tuple[int, str | None] | None:
    rating = ledger.ratings([spec.digest]).get(spec.digest)
    return (rating.stars, rating.colour) if rating else None


@pytest.mark.browser
def test_by_keys_and_by_buttons(house: House, stocked: Stocked, inbox: Visit) -> None:
    specs = stocked(3)
    page = inbox()
    for key in (".", ".", ".", ",", ";", ";"):
        page.keyboard.press(key)
    expect(page.locator(".star[aria-pressed=true]")).to_have_attribute("data-stars", "2")
    expect(page.locator(".dot[aria-pressed=true]")).to_have_attribute("data-dot", "yellow")
    saved(page)
    assert given(house.ledger, specs[0]) == (2, "yellow")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".rating [aria-pressed=true]")).to_have_count(0)
    page.get_by_role("button", name="5 stars", exact=True).click()
    page.get_by_role("button", name="purple", exact=True).click()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="yellow", exact=True).click()  # what is on goes off
    page.get_by_role("button", name="2 stars", exact=True).click()
    expect(page.locator(".rating [aria-pressed=true]")).to_have_count(0)
    saved(page)
    assert given(house.ledger, specs[0]) is None
    assert given(house.ledger, specs[1]) == (5, "purple")
    assert house.ledger.decisions(image=specs[1].digest) == []
    page.reload()
    page.wait_for_selector(".stage[data-painted]")
    page.keyboard.press("ArrowRight")
    assert on_screen(page) == specs[1].digest
    expect(page.locator(".star[aria-pressed=true]")).to_have_attribute("data-stars", "5")


@pytest.mark.browser
def test_the_filter_is_in_the_address(
    house: House, stocked: Stocked, inbox: Visit, visit: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(4)
    house.ledger.rate(NewRating(image=specs[2].digest, stars=4), author="Ada")
    house.ledger.rate(NewRating(image=specs[3].digest, colour=RatingColour.BLUE), author="Ada")
    page = inbox()
    page.get_by_label("Maybe").select_option("3")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[2].digest)
    assert "maybe=3" in page.url
    project = quote(request.node.name)
    other = visit(f"?project={project}&maybe=blue")  # the same person, who has them in hand
    expect(other.locator(".stage")).to_have_attribute("data-image", specs[3].digest)
    expect(other.get_by_label("Maybe")).to_have_value("blue")
    other.goto(f"{house.url}/?project={project}&maybe=pink")
    expect(other.locator(".notice.bad")).to_contain_text("There is no maybe “pink”")
    grid = visit(f"grid?project={project}")
    tile = grid.locator(f".tile[data-id='{specs[2].digest}']")
    expect(tile.locator(".maybe")).to_have_text("★★★★ ")
    expect(tile).to_have_attribute("aria-label", f"{specs[2].asset} · s2 · final, rated ★★★★, flagged: text")
    expect(grid.locator(".maybe.blue")).to_have_count(1)
    grid.goto(f"{house.url}/grid?project={project}&maybe=blue")
    expect(grid.locator(".tile")).to_have_count(1)
    expect(grid.locator(".tile")).to_have_attribute("data-id", specs[3].digest)


ODD: dict[str, dict[str, Any]] = {
    "six stars": {"stars": 6},
    "stars that are words": {"stars": "many"},
    "a colour that is none": {"colour": "pink"},
    "a colour that is a list": {"colour": ["red"]},
    "no image": {"image": "../../x"},
    "an image that is not there": {"image": "0" * 64},
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_rating_is_refused_and_the_rest_is_taken(ledger: Ledger, odd: str) -> None:
    spec = a_spec()
    kept(ledger, [spec])
    good = {"image": spec.digest, "verdict": "rate", "revision": -1, "stars": 2, "colour": None}
    desk = ReviewSession()
    events = [good | {"seq": 1, "stars": 1}, good | ODD[odd] | {"seq": 2}, good | {"seq": 3, "colour": "red"}]
    desk.answer("page", events, ledger=ledger, rights=lambda: {"reviewer": "Noor", "role": "reviewer"})
    assert [desk.answers[number]["ok"] for number in (1, 2, 3)] == [True, False, True]
    assert desk.answers[2]["title"] == "Rating not recorded:" and len(desk.answers[2]["message"]) < 300
    assert given(ledger, spec) == (2, "red")
    desk.answer(
        "page", [good | {"seq": 4, "stars": 5}], ledger=ledger, rights=lambda: {"reviewer": "Noor", "role": "viewer"}
    )
    assert desk.answers[4]["rating"] == {"stars": 2, "colour": "red", "by": "Noor"}  # what stands is shown again
    assert "takes one of" in desk.answers[4]["message"] and given(ledger, spec) == (2, "red")

"""The Grid: all that waits, chosen as in a file manager, decided under the revisions that were shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from review_app.grid_order import find_order
from schemas.review import Choice, Verdict
from schemas.spec import ImageSpec
from storage.database import migrate, open_database
from storage.ledger import Ledger
from tests.making import a_keeping, a_spec, an_image, planned
from tests.review_app.conftest import House
from tests.review_app.test_accessible import violations

TILES = ".sheet .tile[data-id]"


def test_an_order_keeps_its_name_until_something_changes(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/d.db")
    migrate(engine)
    ledger = Ledger(engine)
    specs = [a_spec(number, asset=f"asset {number % 3}") for number in range(15)]
    planned(ledger, specs)
    ledger.keep_many([a_keeping(spec) for spec in specs])
    order = find_order(ledger, None, reviewer="Noor")
    assert [images for _, images in order.sections] == [5, 5, 5]
    assert [place.asset for place in order.places] == [f"asset {n // 5}" for n in range(15)]
    assert find_order(ledger, order, reviewer="Noor") is order
    chosen = order.list_chosen([[0, 1], [14, 14]])
    assert [place.digest for place in chosen] == [order.places[n].digest for n in (0, 1, 14)]
    assert len(order.list_rivals(chosen[0])) == 4
    for ranges in ([[0, 15]], [[-1, 2]], [[3, 2]]):
        with pytest.raises(LookupError):
            order.list_chosen(ranges)
    ledger.decide(Choice(image=chosen[0].digest, revision=0, verdict=Verdict.APPROVE), reviewer="Ada")
    fresh = find_order(ledger, order, reviewer="Noor")
    assert fresh.name != order.name
    assert len(fresh.places) == 14
    ledger.hold([fresh.places[0].digest], reviewer="Ada", seconds=60)  # in another's hand
    assert len(find_order(ledger, fresh, reviewer="Noor").places) == 13
    (one,) = ledger.inbox_items([fresh.places[3].digest])
    assert one.digest == fresh.places[3].digest


def stock_many(house: House, first: ImageSpec, images: int) -> None:
    """Waiting images that show the pictures of `first`: drawing hundreds would only take time."""
    picture = house.ledger.picture(first.digest).image
    keys = {name: getattr(picture, name) for name in ("object_key", "preview_key", "thumb_key")}
    specs = [a_spec(5_000 + number, project=first.project, asset=first.asset) for number in range(images)]
    planned(house.ledger, specs)
    house.ledger.keep_many([a_keeping(spec, image=an_image(spec, **keys), rank=50) for spec in specs])


def open_grid(visit, project: str) -> Page:  # type: ignore[no-untyped-def]
    page: Page = visit(f"grid?project={quote(project)}")
    expect(page.locator(TILES).first).to_be_visible()
    return page


def chosen(page: Page) -> int:
    return int(page.locator(".count").last.inner_text().split()[0].replace(",", ""))


@pytest.mark.browser
def test_all_that_waits_is_there_and_chosen_as_in_a_file_manager(house: House, stocked, visit, request) -> None:  # type: ignore[no-untyped-def]
    specs = stocked(4, asset="Sword")
    stock_many(house, specs[0], 396)
    page = open_grid(visit, request.node.name)
    expect(page.locator(".count").last).to_have_text("400 images waiting")
    assert page.locator(".tile").count() < 120  # only what is in view is drawn

    page.locator(TILES).nth(1).click()
    page.locator(TILES).nth(4).click(modifiers=["Shift"])
    expect(page.locator(".count").last).to_have_text("4 images chosen of 400")
    page.locator(TILES).nth(2).click(modifiers=["Control"])
    assert chosen(page) == 3
    page.keyboard.press("End")  # the last one: its details have to come first
    last = page.locator("#place-399[data-id]")
    expect(last).to_be_visible()
    assert chosen(page) == 1
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    assert chosen(page) == 3
    assert violations(page) == []
    last_three = {page.locator(f"#place-{n}").get_attribute("data-id") for n in (397, 398, 399)}
    page.keyboard.press("x")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Reject 3 images?")
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Choose a reason, or write a note.")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator(".count").last).to_have_text("397 images waiting")
    assert page.locator("[data-part=list]").evaluate("list => list.scrollTop") > 0  # the table stays where it was
    found = {one.decision.image: one.decision for one in house.ledger.decisions(project=request.node.name, limit=None)}
    assert set(found) == last_three
    assert {(one.verdict, *one.reasons) for one in found.values()} == {("reject", "hands wrong")}

    page.locator(TILES).first.click()
    page.keyboard.press("Control+a")
    assert chosen(page) == 397
    page.keyboard.press("a")  # many at once ask again
    expect(dialog).to_contain_text("Approve 397 images?")
    page.keyboard.press("Escape")
    page.wait_for_timeout(200)
    assert len(house.ledger.decisions(project=request.node.name, limit=None)) == 3

    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("stDialog")).to_contain_text("Review it")
    page.keyboard.press("a")  # nothing under a dialog
    page.keyboard.press("Escape")
    assert len(house.ledger.decisions(project=request.node.name, limit=None)) == 3
    page.get_by_role("button", name="Take the last act back (3)").click()
    expect(page.locator(".count").last).to_have_text("400 images waiting")
    assert len(house.ledger.inbox(project=request.node.name, limit=500)) == 400


@pytest.mark.browser
def test_what_another_decided_meanwhile_is_refused_by_name(house: House, stocked, visit, request) -> None:  # type: ignore[no-untyped-def]
    specs = stocked(3)
    page = open_grid(visit, request.node.name)
    house.ledger.decide(Choice(image=specs[1].digest, revision=0, verdict=Verdict.REJECT, note="no"), reviewer="Ada")
    page.locator(TILES).first.click()
    page.keyboard.press("Control+a")
    page.keyboard.press("t")
    page.get_by_role("dialog").get_by_label("Note").fill("<b>softer</b> light")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Ada rejected it")).to_be_visible()
    rows = house.ledger.decisions(project=request.node.name, reviewer="Noor", limit=None)
    assert {row.decision.image for row in rows} == {specs[0].digest, specs[2].digest}
    assert {(row.decision.verdict, row.decision.note) for row in rows} == {("retake", "<b>softer</b> light")}

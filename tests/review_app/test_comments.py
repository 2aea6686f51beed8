"""Comments in a real browser: what one person writes is in the ledger once, and before the others' eyes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from schemas.comments import LONGEST, NewComment
from schemas.spec import ImageSpec
from storage.ledger import Ledger, Said
from tests.making import a_choice
from tests.review_app.conftest import House, Visit, a_house, on_screen, saved
from tests.review_app.stocked import PROJECT, retake_one, stock

pytestmark = pytest.mark.browser

Stocked = Callable[..., list[ImageSpec]]


def said_of(ledger: Ledger, spec: ImageSpec, reader: str = "nobody") -> list[Said]:
    return ledger.comments([spec.digest], reader=reader).get(spec.digest, [])


def say(ledger: Ledger, spec: ImageSpec, text: str, author: str, *, number: int = 0) -> None:
    token = f"{spec.digest[:20]}{number}"
    ledger.comment(NewComment(image=spec.digest, text=text, token=token), author=author, people=["Noor", "Ada Berg"])


def settled(page: Page) -> None:
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=20_000)


def test_written_by_keyboard(house: House, stocked: Stocked, inbox: Visit) -> None:
    specs = stocked(3)
    house.ledger.decide(a_choice(specs[2]), reviewer="Ada Berg")
    page = inbox()
    page.keyboard.press("y")
    page.keyboard.type("ask @ber")
    expect(page.locator(".names button")).to_have_text(["Ada Berg Tab"])
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("and @Nobodyhere, axt")  # letters in a field are letters
    page.keyboard.press("Enter")
    expect(page.locator(".said .words")).to_have_text("ask @Ada Berg \nand @Nobodyhere, axt")
    expect(page.locator(".said .whom")).to_have_text("Tells Ada Berg")
    expect(page.locator(".said .nobody")).to_contain_text("“Nobodyhere”")
    expect(page.locator(".notice")).to_contain_text("Not told: “Nobodyhere”")
    expect(page.locator("[data-part=talked]")).to_have_text("1 comment")
    saved(page)
    (said,) = said_of(house.ledger, specs[0])
    assert (said.author, said.text) == ("Noor", "ask @Ada Berg \nand @Nobodyhere, axt")
    assert (said.mentions, said.unknown) == (("Ada Berg",), ("Nobodyhere",))
    assert house.ledger.decisions(image=specs[0].digest) == []
    page.keyboard.press("a")  # the field was left: keys are keys again
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[1].digest)
    expect(page.locator(".said")).to_have_count(0)
    page.keyboard.press("h")
    expect(page.get_by_role("dialog")).to_contain_text("@name tells somebody")


def test_the_next_person_sees_it_and_then_it_is_read(house: House, stocked: Stocked, inbox: Visit) -> None:
    specs = stocked(3)
    say(house.ledger, specs[0], "the glass is too dark, @Noor", "Ada Berg")
    page = inbox()
    expect(page.locator("[data-part=talked]")).to_have_text("1 comment, 1 new")
    expect(page.locator(".said.new")).to_contain_text("the glass is too dark, @Noor")
    expect(page.locator(".said .whom")).to_have_text("Tells you")
    assert said_of(house.ledger, specs[0], "Noor")[0].unread
    page.locator("[data-part=talked]").click()
    for _ in range(50):
        if not said_of(house.ledger, specs[0], "Noor")[0].unread:
            break
        page.wait_for_timeout(100)
    assert not said_of(house.ledger, specs[0], "Noor")[0].unread
    assert said_of(house.ledger, specs[0], "Lea")[0].unread
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-part=talked]")).to_have_text("1 comment")


def test_what_is_said_meanwhile_comes_with_the_next_act(house: House, stocked: Stocked, inbox: Visit) -> None:
    specs = stocked(4)
    page = inbox()
    say(house.ledger, specs[2], "look at the seam", "Ada Berg")
    page.wait_for_timeout(1_100)  # the ledger is asked once a second whether anything was said
    page.keyboard.press("a")
    saved(page)
    page.keyboard.press("a")
    assert on_screen(page) == specs[2].digest
    expect(page.locator(".said")).to_contain_text("look at the seam")


def test_a_retake_is_seen_with_what_was_said_of_its_parent(house: House, stocked: Stocked, visit: Visit) -> None:
    specs = stocked(2)
    say(house.ledger, specs[1], "thumb too short", "Ada Berg")
    child = retake_one(house.ledger, house.store, specs[1], size=96)
    page = visit(f"?image={child.digest}")
    page.wait_for_selector(".stage[data-painted]")
    assert on_screen(page) == child.digest
    expect(page.locator(".said")).to_contain_text("thumb too short")
    expect(page.locator(".said header")).to_contain_text("on take 1")


def test_words_that_were_not_sent_go_with_the_decision(house: House, stocked: Stocked, inbox: Visit) -> None:
    specs = stocked(3)
    page = inbox()
    page.keyboard.press("y")
    page.keyboard.type("almost")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-part=comment]")).to_have_value("")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-part=comment]")).to_have_value("almost")
    page.keyboard.press("a")
    saved(page)
    assert [said.text for said in said_of(house.ledger, specs[0])] == ["almost"]
    assert said_of(house.ledger, specs[1]) == []


def test_a_right_that_was_taken_away_refuses_and_gives_the_words_back(tmp_path: Path, visit: Visit) -> None:
    house = a_house(tmp_path / "home")
    house.folder = tmp_path
    specs = stock(house.ledger, house.store, images=3, size=96)
    (tmp_path / "dailies.toml").write_text('[roles]\nNoor = "reviewer"\n')
    house.start()
    try:
        page = visit(f"?project={quote(PROJECT)}", at=house)
        page.wait_for_selector(".stage[data-painted]")
        (tmp_path / "dailies.toml").write_text('[roles]\nNoor = "viewer"\n# now\n')
        page.keyboard.press("y")
        page.keyboard.type("may I?")
        page.keyboard.press("Enter")
        expect(page.locator(".notice.bad")).to_contain_text("Comment not recorded:")
        expect(page.locator(".notice.bad")).to_contain_text("Noor is viewer; commenting takes one of")
        expect(page.locator("[data-part=comment]")).to_have_value("may I?")
        expect(page.locator(".said")).to_have_count(0)
        expect(page.locator("[data-part=comment-label]")).to_be_hidden()
        assert said_of(house.ledger, specs[0]) == []
    finally:
        house.kill()


def test_a_server_that_dies_loses_no_comment_and_doubles_none(tmp_path: Path, visit: Visit) -> None:
    house = a_house(tmp_path / "home")
    specs = stock(house.ledger, house.store, images=3, size=96)
    house.start()
    try:
        page = visit(f"?project={quote(PROJECT)}", at=house)
        page.wait_for_selector(".stage[data-painted]")
        texts = [f"number {number}" for number in range(6)]
        for number, text in enumerate(texts):
            if number == 3:
                house.kill()
            page.locator("[data-part=comment]").evaluate(WRITE, text)
        expect(page.locator(".saved")).to_contain_text("not saved yet", timeout=10_000)
        house.start()
        saved(page)
        assert [said.text for said in said_of(house.ledger, specs[0])] == texts
        expect(page.locator(".said .words")).to_have_text(texts)
        expect(page.locator(".said.waits")).to_have_count(0)
    finally:
        house.kill()


WRITE = """(field, text) => {
    field.value = text;
    field.dispatchEvent(new Event('input', { bubbles: true }));
    field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
}"""
"""Streamlit's dialog about a lost connection would take the keys."""


def test_the_assets_page_shows_and_takes_comments(
    house: House, stocked: Stocked, visit: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(2, asset="One Asset")
    say(house.ledger, specs[0], "first\nsecond line", "Ada Berg")
    say(house.ledger, specs[0], "long " * 500, "Ada Berg", number=1)
    page = visit(f"assets?project={quote(request.node.name)}")
    tile = page.locator(f".sheet .tile[data-id='{specs[0].digest}']")
    expect(tile.locator(".comments.unread")).to_have_attribute("aria-label", "2 comments, 2 new")
    tile.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("first\nsecond line")).to_be_visible()
    expect(dialog.get_by_text("All of its 2,499 characters")).to_be_visible()
    field = dialog.get_by_label("Your comment")
    field.fill("thank you @Ada Berg and @Whoever")
    dialog.get_by_role("button", name="Comment", exact=True).click()
    expect(dialog.get_by_text("Not told: “Whoever”")).to_be_visible()
    expect(field).to_have_count(1)  # for a moment the old field is there beside the new one
    expect(field).to_have_value("")
    comments = said_of(house.ledger, specs[0], "Noor")
    assert [(said.author, said.unread) for said in comments] == [("Ada Berg", False)] * 2 + [("Noor", False)]
    assert comments[-1].mentions == ("Ada Berg",)
    dialog.get_by_role("button", name="Comment", exact=True).click()  # nothing in it
    expect(dialog.get_by_text("expected some words")).to_be_visible()
    field.fill("y" * (LONGEST + 1))
    assert len(field.input_value()) <= LONGEST


def test_for_you_lists_mentions_and_answers(house: House, stocked: Stocked, visit: Visit) -> None:
    who = "Filippa Feed"
    specs = stocked(3)
    house.ledger.decide(a_choice(specs[2]), reviewer=who)
    page = visit("for_you", who=who)
    expect(page.get_by_text("Nothing yet.")).to_be_visible()
    for number in range(25):
        say(house.ledger, specs[0], f"@{who} number {number}", "Ada Berg", number=number)
    say(house.ledger, specs[0], "and an answer", "Lea", number=99)
    page.wait_for_timeout(5_500)  # the count is five seconds old at most
    page.goto(f"{house.url}/for_you")
    expect(page.get_by_role("link", name="For you (26)")).to_be_visible()
    entries = page.locator(".st-key-feed [data-testid=stPageLink]")
    expect(entries).to_have_count(20)
    expect(page.locator(".st-key-feed")).to_contain_text("Lea answered")
    page.get_by_role("button", name="Show older ones").click()
    expect(entries).to_have_count(26)
    entries.first.locator("a").click()
    page.wait_for_selector(".stage[data-painted]")
    assert on_screen(page) == specs[0].digest
    expect(page.locator(".said")).to_have_count(26)
    expect(page.locator("[data-part=foryou]")).to_contain_text("for you")
    page.locator("[data-part=foryou]").click()
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.get_by_role("button", name="Mark all as read")).to_have_count(0)
    assert house.ledger.unread_count(who) == 0


def test_a_second_review_is_not_told_what_the_first_said(house: House, stocked: Stocked, inbox: Visit) -> None:
    specs = stocked(2, double=True)
    say(house.ledger, specs[0], "six fingers, @Noor", "Ada Berg")
    page = inbox()
    assert on_screen(page) == specs[0].digest
    page.keyboard.press("y")
    page.keyboard.type("mine")
    page.keyboard.press("Enter")
    saved(page)
    expect(page.locator(".said .words")).to_have_text(["mine"])
    lead = inbox("Lea")
    expect(lead.locator(".said .words")).to_have_text(["six fingers, @Noor", "mine"])


def test_odd_events_are_refused_and_the_rest_is_taken(house: House, stocked: Stocked, inbox: Visit) -> None:
    """From a page that is not ours: what it sends is answered, and what comes behind it is recorded."""
    specs = stocked(2)
    page = inbox()
    odd: list[dict[str, Any]] = [
        {"comment": "x" * (LONGEST + 1)},
        {"comment": "  "},
        {"comment": "a\0b"},
        {"comment": 7},
        {"comment": "fine", "image": "../../x"},
        {"comment": "fine", "token": "'; DROP TABLE comments"},
        {"comment": "fine", "author": "Lea"},
    ]
    for number, event in enumerate(odd):
        known = {"image": specs[0].digest, "token": f"oddtoken{number}", "verdict": "comment", "revision": -1}
        page.evaluate(POST, [known | event, page.evaluate("Date.now()")])
    page.reload()
    page.wait_for_selector(".stage[data-painted]")
    page.wait_for_timeout(1_500)
    saved(page)
    (said,) = said_of(house.ledger, specs[0])
    assert (said.author, said.text) == ("Noor", "fine")


POST = """([event, now]) => localStorage.setItem(
    `dailies.outbox.odd${event.token}${Math.random()}`,
    JSON.stringify({ reviewer: 'Noor', beat: now - 60000, waiting: [{ ...event, seq: 1 }] }),
)"""
"""As a closed page leaves what the server has not answered."""

"""The reviewing screen in a real browser: what is pressed is what is in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from schemas.review import Choice, Mark, Verdict
from schemas.spec import ImageSpec
from tests.review_app.conftest import House, Visit, on_screen, saved

pytestmark = pytest.mark.browser


def decisions(house: House, project: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for one in reversed(house.ledger.decisions(project=project, limit=None)):
        found.setdefault(one.decision.image, []).append(one.decision)
    return found


def press_on(page: Page, key: str) -> str:
    """Presses, and returns the image that was on screen at that moment, asked of the DOM in the key's own event."""
    return str(
        page.evaluate(
            """key => {
                const parts = [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')];
                const stage = parts.map(part => part.shadowRoot.querySelector('.stage')).find(Boolean);
                const before = stage.dataset.image;
                document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
                return before;
            }""",
            key,
        )
    )


def test_reviewed_by_keyboard(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(6)
    page = inbox()
    assert on_screen(page) == specs[0].digest

    page.keyboard.press("a")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[1].digest)
    page.keyboard.press("1")  # hands: bad, which is reason enough
    page.keyboard.press("x")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[2].digest)
    page.keyboard.press("x")  # no reason yet: it asks
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[3].digest)
    page.keyboard.press("s")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[4].digest)
    page.keyboard.press("t")
    page.keyboard.press("9")
    page.keyboard.press("Enter")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[5].digest)
    page.keyboard.press("2")
    page.keyboard.press("2")  # text: ok
    page.keyboard.press("n")
    page.keyboard.type("axt is fine")  # letters in a field are letters
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[3].digest)
    page.keyboard.press("u")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[5].digest)
    saved(page)

    found = decisions(house, request.node.name)
    said = {spec.variant: [d.verdict for d in found.get(spec.digest, [])] for spec in specs}
    assert said == {
        "s0": ["approve"], "s1": ["reject"], "s2": ["reject"], "s3": [], "s4": ["retake"], "s5": ["approve", "undo"],
    }  # fmt: skip
    assert found[specs[1].digest][0].marks == {"hands": Mark.BAD}
    assert found[specs[2].digest][0].reasons == ["off brand"]
    assert found[specs[5].digest][0].note == "axt is fine"
    assert found[specs[5].digest][0].marks == {"text": Mark.OK}
    assert {d.reviewer for ds in found.values() for d in ds} == {"Noor"}
    waiting = {item.digest for item in house.ledger.inbox(project=request.node.name)}
    assert waiting == {specs[3].digest, specs[5].digest}


def test_a_burst_decides_what_was_on_screen(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    stocked(60)
    page = inbox()
    pressed: dict[str, str] = {}
    while len(pressed) < 40:
        reject = len(pressed) % 4 == 3
        if reject and on_screen(page):
            page.keyboard.press("1")
        if before := press_on(page, "x" if reject else "a"):  # nothing: the server is behind ten keys a second
            assert before not in pressed
            pressed[before] = "reject" if reject else "approve"
        page.wait_for_timeout(80)
    saved(page)
    found = decisions(house, request.node.name)
    assert {image: [d.verdict for d in ds] for image, ds in found.items()} == {i: [v] for i, v in pressed.items()}


def test_a_stale_page_is_refused_and_says_so(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(4)
    page = inbox()
    house.ledger.decide(
        Choice(image=specs[0].digest, revision=0, verdict=Verdict.REJECT, note="blurred"), reviewer="Ada"
    )
    page.keyboard.press("a")
    notice = page.locator(".notice.bad")
    expect(notice).to_contain_text("Approve not recorded")
    expect(notice).to_contain_text("Ada rejected it")
    expect(notice).to_contain_text("Yours was: approve")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[0].digest)  # it comes back
    expect(page.locator(".stamp")).to_have_text("Rejected by Ada")
    page.keyboard.press("a")  # and is not decided by accident
    page.wait_for_timeout(300)
    assert [d.verdict for d in decisions(house, request.node.name)[specs[0].digest]] == ["reject"]


def test_an_undo_never_takes_back_what_another_decided(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(3)
    page = inbox()
    house.ledger.decide(Choice(image=specs[0].digest, revision=0, verdict=Verdict.APPROVE), reviewer="Ada")
    page.keyboard.press("a")
    page.keyboard.press("u")
    expect(page.locator(".notice.bad").first).to_contain_text("not recorded")
    page.wait_for_timeout(500)
    assert [d.verdict for d in decisions(house, request.node.name)[specs[0].digest]] == ["approve"]


def test_nothing_fires_while_typing_or_under_a_dialog(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    stocked(3)
    page = inbox()
    page.keyboard.press("h")
    page.keyboard.type("axts")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.keyboard.type("at")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+a")
    page.keyboard.press("n")
    page.keyboard.type("axtsu 123")
    page.wait_for_timeout(400)
    assert decisions(house, request.node.name) == {}


def test_everything_has_a_button(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(5)
    page = inbox()
    page.get_by_role("button", name="Approve A", exact=True).click()
    page.keyboard.press("Space")  # the mouse left no focus on the button
    page.get_by_role("button", name="hands: not answered").click()
    page.get_by_role("button", name="Reject X").click()
    page.get_by_role("button", name="Retake T").click()
    page.get_by_role("button", name="7 Visible seam").click()
    page.get_by_role("button", name="Send back").click()
    page.get_by_role("button", name="Skip S").click()
    page.get_by_role("button", name="Undo U").click()
    saved(page)
    found = decisions(house, request.node.name)
    assert [[d.verdict for d in found.get(spec.digest, [])] for spec in specs] == [
        ["approve"], ["reject"], ["retake", "undo"], [], [],
    ]  # fmt: skip


def test_nothing_is_called_saved_before_it_is(stocked: Callable[..., list[ImageSpec]], inbox: Visit) -> None:
    stocked(3)
    page = inbox()
    for act in ("approve", "approve", "undo"):
        says = page.locator(".saved").evaluate(
            "(node, act) => (node.getRootNode().querySelector(`[data-act=${act}]`).click(), node.textContent)", act
        )
        assert says == "saving…"
        saved(page)


def test_regions_are_fractions_and_go_with_the_decision(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(3)
    page = inbox()
    box = page.locator(".canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.75, steps=4)
    page.mouse.up()
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="Repair one place")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Enter")
    saved(page)
    (decision,) = decisions(house, request.node.name)[specs[0].digest]
    (region,) = decision.regions
    assert region["criterion"] == "hands"
    for side, wanted in (("x", 0.25), ("y", 0.5), ("width", 0.25), ("height", 0.25)):
        assert region[side] == pytest.approx(wanted, abs=0.01)
    assert decision.changes["region"]["width"] == region["width"]


def test_a_command_is_found_by_its_name(stocked: Callable[..., list[ImageSpec]], inbox: Visit, house: House) -> None:
    specs = stocked(2)
    page = inbox("Noor")
    page.keyboard.press("?")
    field = page.get_by_label("Find a command by name")
    expect(field).to_be_focused()
    page.keyboard.type("star fewer")
    expect(page.locator(".command:visible")).to_have_count(1)
    field.fill("h")  # a letter that is a key elsewhere is only a letter here
    expect(page.get_by_role("dialog")).to_be_visible()
    field.fill("no such thing")
    expect(page.get_by_text("No command is called so.")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    shown = on_screen(page)
    field.fill("approve")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    saved(page)
    assert house.ledger.picture(shown).entry.verdict == "approve"
    assert shown in {spec.digest for spec in specs}
    page.keyboard.press("?")
    page.keyboard.type("go to grid")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Grid")).to_be_visible()

"""Links open what their sender saw or say why not; undo reaches decisions from elsewhere; digits on every layout."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from schemas.review import Choice, Verdict
from schemas.spec import ImageSpec
from tests.review_app.conftest import House, Visit, on_screen, saved

pytestmark = pytest.mark.browser


def test_the_inbox_keeps_its_filter_in_the_address_and_copies_a_link(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(4)
    page = visit(f"?project={quote(request.node.name)}", permissions=["clipboard-read", "clipboard-write"])
    page.wait_for_selector(".stage[data-painted]")
    page.locator("[data-filter=check]").select_option("text")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[2].digest)
    assert f"project={request.node.name}&check=text" in page.url
    page.keyboard.press("l")
    expect(page.locator(".notice")).to_contain_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    other = visit(link.removeprefix(f"{house.url}/"), who="Ada")
    other.wait_for_selector(".stage[data-painted]")
    assert on_screen(other) == specs[2].digest
    expect(other.locator("[data-filter=check]")).to_have_value("text")


@pytest.mark.parametrize(
    "path, sentence",
    [
        (f"?image={'0' * 64}", "there is no such image here"),
        ("?image=<b>x</b>", "which is no image's digest"),
        ("?check=elbows", "no check “elbows”"),
        ("?project=Nowhere", "no project “Nowhere”"),
    ],
)
def test_a_link_that_cannot_be_followed_says_why(
    stocked: Callable[..., list[ImageSpec]], visit: Visit, path: str, sentence: str
) -> None:
    stocked(2)
    page = visit(path)
    expect(page.locator(".notice.bad")).to_contain_text(sentence)


def test_links_of_the_other_pages(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(3, asset="Linked Asset")
    house.ledger.decide(Choice(image=specs[0].digest, revision=0, verdict=Verdict.APPROVE), reviewer="Noor")
    project = quote(request.node.name)
    page = visit(f"assets?project={project}&image={specs[1].digest}")
    expect(page.get_by_role("dialog")).to_contain_text("Linked Asset")
    for path, sentence in (
        (f"assets?project={project}&asset=Other", "no asset “Other”"),
        ("nights?night=999999", "no night “999999”"),
        ("grid?project=Nowhere", "no project “Nowhere”"),
        (f"library?like={'0' * 64}", "there is no such image here"),
        ("decisions?verdict=maybe", "no verdict “maybe”"),
    ):
        page.goto(f"{house.url}/{path}")
        expect(page.get_by_test_id("stAlert").filter(has_text=sentence)).to_be_visible()
    page.goto(f"{house.url}/library?words=crates+drawings&project={project}&every=true")
    expect(page.get_by_label("Words")).to_have_value("crates drawings")
    expect(page.locator(".sheet .lines").first.locator(".tile")).to_have_count(1)


def test_undo_reaches_what_was_decided_before_and_elsewhere(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(5)
    for spec in specs[:3]:
        house.ledger.decide(Choice(image=spec.digest, revision=0, verdict=Verdict.APPROVE), reviewer="Ulla")
    house.ledger.decide(
        Choice(image=specs[1].digest, revision=1, verdict=Verdict.REJECT, note="no"), reviewer="Lea", role="lead"
    )
    page = inbox("Ulla")
    page.keyboard.press("u")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[2].digest)
    page.keyboard.press("u")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[0].digest)
    page.keyboard.press("u")
    expect(page.locator(".notice").last).to_contain_text("nothing of yours can be taken back")
    saved(page)
    found = {spec.variant: house.ledger.picture(spec.digest).standing for spec in specs}
    assert {name: row and row.reviewer for name, row in found.items()} == {
        "s0": None, "s1": "Lea", "s2": None, "s3": None, "s4": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "key, code, does",
    [
        ("&", "Digit1", "mark"), ("+", "Digit1", "mark"), ("1", "Digit1", "mark"), ("1", "Numpad1", "mark"),
        ("Q", "KeyA", "panes"), ("a", "KeyQ", "approve"), ("ф", "KeyA", "approve"), ("q", "KeyA", "panes"),
        ("z", "KeyY", "zoom"), ("y", "KeyZ", "comment"),
        ("x", "KeyB", "reject"), ("t", "KeyK", "retake"), ("q", "KeyX", "panes"), (";", "KeyZ", "colour"),
        ("0", "Digit0", "lit"), ("à", "Digit0", "lit"), ("0", "Numpad0", "lit"), ("0", "", "lit"),
    ],
    ids=[
        "azerty", "czech", "qwerty", "numpad", "azerty Q", "azerty A", "cyrillic", "azerty q", "qwertz Z", "qwertz Y",
        "dvorak X", "dvorak T", "dvorak Q", "dvorak ;", "zero", "azerty zero", "numpad zero", "zero without a place",
    ],
)  # fmt: skip
def test_keys_on_every_layout(browser: Browser, key: str, code: str, does: str) -> None:
    from tests.review_app.test_scripts import FILES, joined

    page = browser.new_page()
    page.add_script_tag(content=joined(FILES).replace("export default", ""))
    by_place = "digitOf(event) ? 'mark' : isZero(event) ? 'lit' : ''"
    by_letter = "ACT_OF[event.key.toLowerCase()] || actAt(event) || ''"
    found = page.evaluate(f"event => ({by_place}) || {by_letter}", {"key": key, "code": code})
    page.close()
    assert found == does


def test_the_decisions_filter_starts_at_all_and_changes_no_name(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit
) -> None:
    specs = stocked(2)
    for spec, who in zip(specs, ("Ada", "Noor"), strict=True):
        house.ledger.decide(Choice(image=spec.digest, revision=0, verdict=Verdict.APPROVE), reviewer=who)
    page = visit("decisions", who="Noor")
    reviewers = page.get_by_test_id("stSelectbox").filter(has_text="Reviewer").locator("input")
    expect(page.get_by_test_id("stDownloadButton").first).to_be_visible()
    expect(reviewers).to_have_value("")
    reviewers.click()
    page.get_by_role("option", name="Ada").click()
    page.wait_for_url("**decided_by=Ada**")
    expect(page.get_by_role("link", name="Noor")).to_be_visible()
    expect(page.get_by_role("link", name="Ada")).to_have_count(0)

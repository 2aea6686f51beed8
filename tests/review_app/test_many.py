"""Grid, Conflicts and Library: many images, two opinions, and the way back to what was good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from schemas.review import Choice, Reason, Verdict
from tests.review_app.conftest import House, Visit, a_house
from tests.review_app.stocked import stock

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def led(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = a_house(tmp_path_factory.mktemp("led"))
    house.environment |= {"DAILIES_ROLES": '{"Lea": "lead"}', "DAILIES_ROLES_WITHOUT_SIGN_IN": "true"}
    house.start()
    yield house
    house.kill()
    assert "Traceback" not in house.log.read_text(), house.log.read_text()


def newest(house: House, project: str) -> dict[str, str]:
    return {one.decision.image: one.decision.verdict for one in house.ledger.decisions(project=project, limit=None)}


def test_the_best_of_an_asset_in_one_act(led: House, visit: Visit) -> None:
    specs = stock(led.ledger, led.store, images=5, size=96, project="Best", asset="Sword")
    page = visit("grid", at=led)
    tiles = page.locator(".sheet .tile")
    expect(tiles).to_have_count(5)
    tiles.nth(2).click()
    page.get_by_role("button", name="Best of 5").click()
    expect(page.get_by_text("Nothing waits. ")).to_be_visible()
    found = newest(led, "Best")
    assert found == {spec.digest: "approve" if spec is specs[2] else "reject" for spec in specs}

    page.goto(f"{led.url}/library")
    expect(page.locator(".sheet .tile")).to_have_count(1)
    page.get_by_text("By colour").click()
    page.locator("[data-testid=stColorPicker] [role=button], [data-testid=stColorPicker] button").first.click()
    largest = str(led.ledger.picture(specs[2].digest).image.colours).split(":")[0]
    page.get_by_role("textbox", name="hex").fill(largest)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator(".sheet .tile")).to_have_count(1)
    page.get_by_text("By colour").click()
    page.get_by_label("Words").fill("no such thing")
    page.keyboard.press("Enter")
    expect(page.locator(".sheet .empty")).to_contain_text("Nothing matches.")
    page.goto(f"{led.url}/insights")
    expect(page.get_by_text("What the checks would have told")).to_be_visible()


def test_more_like_one_and_beyond_words(led: House, visit: Visit) -> None:
    specs = stock(led.ledger, led.store, images=12, size=96, project="Like")
    for spec in specs:
        led.ledger.decide(Choice(image=spec.digest, revision=0, verdict=Verdict.APPROVE), reviewer="Ada")
    page = visit("library?project=Like", at=led)
    expect(page.locator(".sheet .tile")).to_have_count(12)
    page.locator(f".sheet [data-id='{specs[3].digest}']").click()
    page.get_by_role("link", name="More like this one").click()
    expect(page.get_by_text(f"Like {specs[3].asset}.")).to_be_visible()
    page.goto(f"{led.url}/library?like={specs[3].digest}&project=Like")
    tiles = page.locator(".sheet .tile")
    expect(tiles).to_have_count(11)  # all but itself
    found = [one.image for one in led.ledger.library(near=specs[3].digest, project="Like")]
    assert tiles.evaluate_all("all => all.map(one => one.dataset.id)") == found[1:] and found[0] == specs[3].digest
    others = stock(led.ledger, led.store, images=4, size=96, project="Like twice")
    twin = others[3]  # the same picture, elsewhere
    page.goto(f"{led.url}/library?like={specs[3].digest}&every=true")
    expect(page.locator(".sheet h3").first).to_have_text("Nearly the same picture")
    expect(page.locator(f".sheet [data-id='{twin.digest}']")).to_be_visible()
    page.goto(f"{led.url}/library?like={specs[3].digest}&project=Like")
    expect(tiles).to_have_count(11)
    page.get_by_role("button", name="Show all again").click()
    expect(tiles).to_have_count(12)
    word = specs[0].prompt.split(",")[0].split()[-1]
    page.get_by_label("Words").fill(word)
    page.keyboard.press("Enter")
    expect(page.locator(".sheet h3")).to_have_text("Most like these, without the words")
    page.get_by_label("Words").fill("zebra")
    page.keyboard.press("Enter")
    expect(page.locator(".sheet .empty")).to_contain_text("Nothing matches.")
    for spec in others:  # the next tests begin with nothing that waits
        led.ledger.decide(Choice(image=spec.digest, revision=0, verdict=Verdict.APPROVE), reviewer="Ada")


def test_a_tournament_decides_all_in_one_act_and_is_taken_back(led: House, visit: Visit) -> None:
    specs = stock(led.ledger, led.store, images=4, size=96, project="Cup", asset="Axe")
    page = visit("grid", at=led)
    page.get_by_role("button", name="A or B").click()
    expect(page.get_by_text("Axe: 0 of 4 are out")).to_be_visible()
    page.get_by_role("button", name="B is better").click()
    expect(page.get_by_text("Axe: 1 of 4 are out")).to_be_visible()
    page.get_by_role("button", name="A is better").click()
    expect(page.get_by_text("Axe: 2 of 4 are out")).to_be_visible()
    page.get_by_role("button", name="One step back").click()
    expect(page.get_by_text("Axe: 1 of 4 are out")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("Axe: 2 of 4 are out")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("Axe: 3 of 4 are out")).to_be_visible()
    assert newest(led, "Cup") == {}
    page.get_by_role("button", name="Approve it and reject the other 3").click()
    expect(page.get_by_text("Nothing waits. ")).to_be_visible()
    won = {spec.digest: "approve" if spec is specs[1] else "reject" for spec in specs}
    assert newest(led, "Cup") == won
    page.get_by_role("button", name="Take the last act back (4)").click()
    expect(page.locator(".sheet .tile")).to_have_count(4)
    standing = [led.ledger.picture(spec.digest).standing for spec in specs]
    assert standing == [None] * 4
    for spec in specs:  # the next tests begin with nothing that waits
        led.ledger.decide(Choice(image=spec.digest, revision=2, verdict=Verdict.APPROVE), reviewer="Noor")


def test_two_reviews_are_blind_and_a_lead_settles(led: House, visit: Visit) -> None:
    (spec,) = stock(led.ledger, led.store, images=1, size=96, double=True, project="Twice")
    said = {"verdict": Verdict.REJECT, "reasons": (Reason.OFF_BRAND,), "note": "not our blue"}
    led.ledger.decide(Choice(image=spec.digest, revision=0, **said), reviewer="Ada")

    page = visit("?project=Twice", who="Noor", at=led)
    page.wait_for_selector(".stage[data-painted]")
    assert "not our blue" not in page.locator(".right").inner_text()
    page.keyboard.press("a")
    expect(page.locator(".saved")).to_have_text("all saved")

    page = visit("conflicts", who="Noor", at=led)
    expect(page.get_by_text("A lead settles these")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    page = visit("conflicts", who="Lea", at=led)
    expect(page.get_by_text("not our blue")).to_be_visible()
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_text("Nobody disagrees")).to_be_visible()
    standing = led.ledger.picture(spec.digest).standing
    assert standing is not None
    assert (standing.verdict, standing.reviewer, standing.reasons) == ("reject", "Lea", ["off brand"])


def test_a_viewer_decides_nothing(led: House, visit: Visit, tmp_path: Path) -> None:
    house = a_house(tmp_path / "home")
    house.environment["DAILIES_DEFAULT_ROLE"] = "viewer"
    stock(house.ledger, house.store, images=2, size=96)
    house.start()
    try:
        page = visit("", who=quote("Vic"), at=house)
        page.wait_for_selector(".stage[data-painted]")
        page.keyboard.press("a")
        expect(page.locator(".notice.bad")).to_contain_text("your role does not decide")
        assert house.ledger.decisions(limit=None) == []
    finally:
        house.kill()

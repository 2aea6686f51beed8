"""The other pages in a real browser, and text from outside on all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from schemas.review import Choice, Verdict
from schemas.spec import ImageSpec
from tests.review_app.conftest import House, Visit, on_screen
from tests.review_app.stocked import retake_one

pytestmark = pytest.mark.browser

HOSTILE = (
    "<script>window.hurt=1</script>", "<img src=x onerror='window.hurt=1'>", "![x](http://evil.example/a.png)",
    "[x](javascript:window.hurt=1)", "$x^2$ :red[no] {{7*7}} ${7*7}", "<svg/onload=window.hurt=1>",
    "`a` **b** _c_ ~~d~~",
    "'\"><iframe src=http://evil.example>", "# heading\n- list", ":material/delete: :smile:", "=HYPERLINK(\"http://e\")",
)  # fmt: skip


def settled(page: Page) -> None:
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=20_000)
    page.wait_for_timeout(250)


def test_somebody_is_asked_for_a_name_once(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, request: pytest.FixtureRequest
) -> None:
    stocked(2)
    page = visit(who="")
    page.get_by_label("Your name").fill("Ina Berg")
    page.get_by_role("button", name="Start reviewing").click()
    page.wait_for_selector(".stage[data-painted]")
    page.wait_for_timeout(500)
    page.reload()
    page.wait_for_selector(".stage[data-painted]")
    page.get_by_role("link", name="Ina Berg").click()
    page.get_by_role("button", name="Somebody else is here now").click()
    expect(page.get_by_label("Your name")).to_be_visible()


def test_assets_show_every_take_in_its_line(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(3, asset="One Asset")
    child = retake_one(house.ledger, house.store, specs[1], size=96)
    page = visit(f"assets?project={request.node.name}")
    tiles = page.locator(".sheet .tile")
    expect(tiles).to_have_count(4)
    line = page.locator(".sheet .line.long .tile")
    assert [tile.get_attribute("data-id") for tile in line.all()] == [specs[1].digest, child.digest]
    expect(line.first.locator(".state")).to_have_text("sent back")
    line.last.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("take 2")
    dialog.get_by_role("link", name="Review it").click()
    page.wait_for_selector(".stage[data-painted]")
    assert on_screen(page) == child.digest
    expect(page.locator(".history")).to_contain_text("six fingers on the left hand")  # what was said of its parent
    expect(page.locator(".beside")).to_contain_text("take 1")


def test_submit_shows_complaints_at_their_lines_and_takes_what_is_sound(
    house: House, visit: Visit, tmp_path: Path
) -> None:
    page = visit("submit", who="Mara")
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "project: Broken\nmodel: studio-tiny\ndefaults: {size: huge}\nassets:\n  - nane: X\n    prompt: a\n"
    )
    page.locator("input[type=file]").set_input_files(broken)
    expect(page.get_by_text("nothing can be submitted yet")).to_be_visible()
    expect(page.get_by_text("Line 3", exact=True)).to_be_visible()
    expect(page.get_by_text("Line 5", exact=True).first).to_be_visible()
    expect(page.get_by_role("button", name="for the next night")).to_have_count(0)

    picture = Path(__file__).parents[2] / "manifests" / "pictures" / "brick.png"
    sound = tmp_path / "sound.yaml"
    sound.write_text(
        "project: Sound\nmodel: studio-tiny\ndefaults: {size: 128, seeds: 2}\nassets:\n"
        "  - {name: Wall, kind: texture, prompt: brick, sources: pictures/brick.png, strength: [0.3, 0.5, 0.7]}\n"
    )
    page.reload()
    page.locator("input[type=file]").set_input_files([sound, picture])
    page.get_by_role("button", name="Submit 6 images for the next night").click()
    expect(page.get_by_text("The next night plans it and makes it")).to_be_visible()
    (submission,) = house.ledger.submissions(project="Sound")
    assert submission.submitted_by == "Mara"
    assert house.store.get(submission.files["pictures/brick.png"]["key"]) == picture.read_bytes()
    assert house.store.get(submission.object_key) == sound.read_bytes()


def test_nights_and_their_failures(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(2)
    night = house.ledger.nights(1)[0].id
    from tests.making import a_spec, planned

    failing = a_spec(990, project=request.node.name, asset="Hard")
    planned(house.ledger, [failing])
    house.ledger.claim([failing.digest], worker="w", seconds=60)
    house.ledger.fail(
        failing.digest, cause="NotFinite", message="NaN <b>here</b>", worker="w", night=night, max_attempts=1
    )
    page = visit("nights")
    expect(page.get_by_text("A lead releases these; you are reviewer")).to_be_visible()
    expect(page.get_by_role("button", name="Try all again")).to_have_count(0)
    page = visit("nights", who="Lea")
    expect(page.get_by_role("heading", name="Set aside")).to_be_visible()
    settled(page)
    page.get_by_role("button", name="Try all again").click()
    expect(page.get_by_role("heading", name="Set aside")).to_have_count(0)
    assert house.ledger.set_aside() == []
    assert specs


def test_decisions_export_what_is_there(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, request: pytest.FixtureRequest
) -> None:
    specs = stocked(2)
    choice = Choice(image=specs[0].digest, revision=0, verdict=Verdict.REJECT, note='=1+1, "quoted"\nand a line')
    house.ledger.decide(choice, reviewer="Ada")
    page = visit("decisions")
    settled(page)
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").filter(has_text="CSV").locator("button").click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    (row,) = [row for row in csv.DictReader(io.StringIO(text)) if row["image"] == specs[0].digest]
    assert row["note"] == '\'=1+1, "quoted"\nand a line'
    assert (row["verdict"], row["stands"], row["reviewer"]) == ("reject", "True", "Ada")


def test_text_from_outside_is_text(
    house: House, stocked: Callable[..., list[ImageSpec]], visit: Visit, request: pytest.FixtureRequest
) -> None:
    asked: list[str] = []
    text = " ".join(HOSTILE)
    specs = stocked(3, asset=text[:190], prompt=text, negative_prompt=text, variant=text[:190])
    choice = Choice(image=specs[0].digest, revision=0, verdict=Verdict.RETAKE, note=text)
    house.ledger.decide(choice, reviewer="<img src=x onerror=window.hurt=1> Eve")
    page = visit(f"?image={specs[0].digest}", who="<b>Mallory</b>")
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_selector(".stage[data-painted]")
    expect(page.locator(".prompt")).to_have_text(text.replace("\n", " "), use_inner_text=True)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("1")
    page.locator("[data-part=ask-note]").fill(text)
    page.keyboard.press("Escape")
    for name in ("assets", "submit", "nights", "decisions", "you"):
        page.goto(f"{house.url}/{name}?project={request.node.name}")
        page.wait_for_selector("h1")
        settled(page)
        if name == "assets":
            page.locator(".sheet .tile").first.click()
            expect(page.get_by_role("dialog")).to_be_visible()
            settled(page)
        assert page.evaluate("window.hurt") is None
        assert page.locator("iframe, img[src^='http://evil'], script:text('hurt')").count() == 0
    assert [url for url in asked if house.url not in url and not url.startswith(("data:", "blob:"))] == []
    saved_nothing = house.ledger.decisions(image=specs[1].digest)
    assert saved_nothing == []

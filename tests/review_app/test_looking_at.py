"""How a picture is looked at: tiles, channels, values, side by side, by touch, and what a slow link loads first."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from schemas.spec import CutOut
from tests.review_app.conftest import House, on_screen, saved
from tests.review_app.test_accessible import violations

pytestmark = pytest.mark.browser


def middle(page: Page, selector: str = ".stage") -> np.ndarray:
    """RGB of the middle of an element, float, as it is on the screen."""
    pixels = np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")).astype(float)
    high, wide = pixels.shape[0] // 2, pixels.shape[1] // 2
    return pixels[high - 20 : high + 20, wide - 20 : wide + 20]


def test_channels_exposure_and_pixel_values_are_those_of_the_file(house: House, stocked, inbox, request) -> None:  # type: ignore[no-untyped-def]
    specs = stocked(4, asset="Wall")
    page = inbox()
    page.keyboard.press("b")  # without boxes
    page.keyboard.press("v")
    page.wait_for_timeout(300)  # the panel takes room from the stage
    colour = middle(page)
    page.locator("[data-look=channel]").select_option("red")
    red = middle(page)
    assert np.abs(red - colour[..., :1]).max() < 8  # red as grey, in all three
    page.locator("[data-look=channel]").select_option("")
    page.locator("[data-look=exposure]").fill("-4")
    assert middle(page).mean() < colour.mean() / 2
    page.get_by_role("button", name="Reset").click()
    assert np.abs(middle(page) - colour).max() < 8

    page.get_by_role("button", name="Pixel values").click()
    expect(page.locator("[data-part=histogram]")).to_be_visible()
    page.wait_for_timeout(400)
    file = house.store.get(house.ledger.picture(specs[0].digest).image.object_key)
    pixels = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
    box = page.locator(".canvas").bounding_box()
    for part_x, part_y in ((0.26, 0.26), (0.74, 0.51)):
        page.mouse.move(box["x"] + box["width"] * part_x, box["y"] + box["height"] * part_y)
        x, y = int(part_x * pixels.shape[1]), int(part_y * pixels.shape[0])
        red_, green, blue = pixels[y, x]
        expect(page.locator("[data-part=pixel]")).to_contain_text(
            f"{x}, {y} · #{red_:02x}{green:02x}{blue:02x} · {red_} {green} {blue}"
        )
    assert violations(page) == []

    page.locator(".stage").focus()
    page.keyboard.press("Shift+Digit3")
    expect(page.locator(".tiling")).to_be_visible()
    expect(page.locator("[data-part=root] .mark.bad")).to_have_count(0)  # Shift+3 marks no criterion
    page.locator("[data-look=seams]").check()
    page.locator("[data-look=across]").fill("0.5")
    tile = page.locator(".canvas").bounding_box()["width"]
    style = page.locator(".tiling").evaluate("node => [node.style.backgroundSize, node.style.backgroundPosition]")
    assert style == [f"{tile:.0f}px {tile:.0f}px", f"{round(tile / 2)}px 0px"]
    page.locator(".stage").focus()
    page.keyboard.press("Escape")
    expect(page.locator(".tiling")).to_be_hidden()

    page.keyboard.press("q")
    page.keyboard.press("q")
    expect(page.locator(".pane img")).to_have_count(4)  # with its siblings of the same asset
    expect(page.locator(".pane figcaption").first).to_have_text("this image")
    page.keyboard.press("z")
    sizes = page.locator(".pane img").evaluate_all("all => all.map(one => one.style.cssText)")
    assert len(set(sizes)) == 1  # zoomed and moved together
    assert violations(page) == []
    page.keyboard.press("a")  # the keys decide what the first pane shows
    saved(page)
    assert [row.decision.image for row in house.ledger.decisions(project=request.node.name)] == [specs[0].digest]


def test_zoom_stays_and_only_zoom_asks_for_the_original(stocked, inbox) -> None:  # type: ignore[no-untyped-def]
    specs = stocked(4)
    page = inbox()
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.keyboard.press("ArrowRight")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[1].digest)
    page.wait_for_timeout(500)
    assert not [url for url in asked if "/objects/images/" in url]
    page.keyboard.press("Shift+Z")
    expect(page.locator("[data-part=zoomed]")).to_have_text("200 %")
    expect(page.locator(".pictures img")).to_have_attribute("src", re.compile("/objects/images/"))
    page.keyboard.press("ArrowRight")
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[2].digest)
    expect(page.locator("[data-part=zoomed]")).to_have_text("200 %")
    page.keyboard.press("f")
    expect(page.locator("[data-part=zoomed]")).to_have_text("Zoom")


def test_fingers_scroll_zoom_and_draw_and_a_phone_decides(house: House, stocked, visit, request) -> None:  # type: ignore[no-untyped-def]
    specs = stocked(3)
    page = visit(f"?project={request.node.name}", has_touch=True, is_mobile=True)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_selector(".stage[data-painted]")
    room = page.get_by_test_id("stMain")  # what scrolls is Streamlit's room, not the document
    assert room.evaluate("room => room.scrollWidth - room.clientWidth") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert violations(page) == []
    box = page.locator(".canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": px, "y": py, "id": number} for number, (px, py) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    send("touchStart", (x, y))  # one finger: nothing is drawn
    for step in range(1, 6):
        send("touchMove", (x, y - 12 * step))
    send("touchEnd")
    expect(page.locator(".region")).to_have_count(0)

    page.wait_for_timeout(600)  # the scrolling runs out
    assert room.evaluate("room => room.scrollTop") > 0
    room.evaluate("room => room.scrollTo(0, 0)")
    expect(room).to_have_js_property("scrollTop", 0)
    zoomed = page.locator("[data-part=zoomed]")
    for _ in range(3):  # Chromium drops a gesture that a busy page answers late; a person pinches again
        send("touchStart", (x - 30, y), (x + 30, y))  # at once: where all is slow, one alone would rest until it draws
        for step in range(1, 6):
            send("touchMove", (x - 30 - 10 * step, y), (x + 30 + 10 * step, y))
        send("touchEnd")
        page.wait_for_timeout(300)
        if "%" in zoomed.inner_text():
            break
    expect(zoomed).to_contain_text("%")
    page.keyboard.press("f")

    send("touchStart", (x, y))  # a finger that rests, then moves, draws
    page.wait_for_timeout(700)
    for step in range(1, 6):
        send("touchMove", (x + 10 * step, y + 10 * step))
    send("touchEnd")
    expect(page.locator(".region")).to_have_count(1)

    page.get_by_role("button", name="Reject").tap()  # the region is reason enough
    expect(page.locator(".stage")).to_have_attribute("data-image", specs[1].digest)
    page.get_by_role("button", name="Approve").first.tap()
    saved(page)
    found = {row.decision.image: row.decision.verdict for row in house.ledger.decisions(project=request.node.name)}
    assert found == {specs[0].digest: "reject", specs[1].digest: "approve"}
    assert on_screen(page) == specs[2].digest


def test_the_games_own_backgrounds_follow_the_others_behind_cut_outs(stocked, inbox) -> None:  # type: ignore[no-untyped-def]
    slot, level = (np.full((40, 60, 3), colour, np.uint8) for colour in ((200, 30, 160), (20, 90, 40)))
    given = {"ui/slot.png": slot, "shots/level1.png": level}
    first, *_ = stocked(2, backgrounds=given, background=CutOut())
    page = inbox()
    stage, select = page.locator(".stage"), page.locator("[data-look=backdrop]")
    expect(stage).to_have_attribute("data-backdrop", "checker")
    page.keyboard.press("b")  # without boxes
    page.keyboard.press("v")
    names = ["Automatic", "Checker", "Black", "Mid-grey", "White", "slot", "level1"]
    assert select.locator("option").all_inner_texts() == names
    page.locator(".stage").focus()
    for name in [*names[1:], names[0], *names[1:6]]:
        page.keyboard.press("k")
        expect(page.locator("[data-part=said]")).to_have_text(f"backdrop: {name}")
    box = page.locator(".canvas").bounding_box()

    def assert_comes(colour: tuple[int, int, int]) -> None:
        """In the canvas' corner, once the background's file has come."""
        for _ in range(50):
            pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
            seen = pixels[int(box["y"]) + 12, int(box["x"]) + 12]
            if np.abs(seen - colour).max() < 8:
                return
            page.wait_for_timeout(100)
        raise AssertionError(f"got {seen}; expected {colour}")

    expect(stage).to_have_attribute("data-backdrop", "game")
    assert_comes((200, 30, 160))
    assert violations(page) == []
    page.keyboard.press("ArrowRight")  # stays from image to image
    expect(stage).not_to_have_attribute("data-image", first.digest)
    expect(stage).to_have_attribute("data-backdrop", "game")
    page.locator("[data-look=backdrop]").select_option("level1")
    assert_comes((20, 90, 40))


def test_without_alpha_the_backgrounds_are_the_four(stocked, inbox) -> None:  # type: ignore[no-untyped-def]
    stocked(2, backgrounds={"slot.png": np.zeros((8, 8, 3), np.uint8)})
    page = inbox()
    page.keyboard.press("v")
    assert page.locator("[data-look=backdrop] option").count() == 5

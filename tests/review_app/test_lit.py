"""The lit preview of textures: what it fetches and when, what it shows, and that its maps are those of delivery."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from review_app.lit_preview import LIBRARY
from review_app.lit_preview.maps import KeptMaps, LitMaps
from schemas.delivery_files import MapKind
from storage.derived_maps import DerivedMaps
from storage.pictures import decode_kept
from storage.texture_files import to_levels
from tests.review_app.conftest import House, on_screen, saved
from tests.review_app.test_accessible import violations

MAPS: tuple[MapKind, ...] = ("normal_gl", "roughness", "ao", "height")


def lit(page: Page) -> np.ndarray:
    """The preview's pixels, once it is drawn."""
    page.wait_for_selector(".stage[data-lit]")
    return np.asarray(
        Image.open(io.BytesIO(page.locator("[data-part=lit-canvas]").screenshot())).convert("RGB")
    ).astype(int)


def to_texture(page: Page) -> str:
    """Of what is stocked the third is a texture."""
    for _ in range(2):
        before = on_screen(page)
        page.keyboard.press("ArrowRight")
        expect(page.locator(".stage")).not_to_have_attribute("data-image", before)
    return on_screen(page)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_texture_is_lit_by_the_maps_of_delivery(house: House, stocked, visit, scheme: str) -> None:  # type: ignore[no-untyped-def]
    project = f"Lit {scheme}"
    specs = stocked(6, project=project, maps=MAPS)
    page = visit(f"?project={project}", color_scheme=scheme)
    page.wait_for_selector(".stage[data-painted]")
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    loaded = "performance.getEntriesByType('resource').filter(one => one.name.includes('/lit/')).length"
    assert page.evaluate(loaded) == 0  # neither library nor maps before it is opened
    page.keyboard.press("0")
    expect(page.locator(".notice")).to_contain_text("Only textures are lit:")
    page.get_by_role("button", name="Dismiss").click()
    to_texture(page)
    assert page.evaluate(loaded) == 0

    # 1. Opened by a key; what is fetched
    page.keyboard.press("0")
    first = lit(page)
    assert violations(page) == []
    expect(page.locator("[data-part=lit-derived]")).to_have_text("derived, not measured")
    assert sum(url.endswith("/lit/three.min.js") for url in asked) == 1
    assert all(url.startswith(house.url) or url.startswith(("data:", "blob:")) for url in asked)
    maps = {match[1]: url for url in asked if (match := re.search(r"/lit/[0-9a-f]{64}/(\w+)", url))}
    assert set(maps) == {"colour", *MAPS}
    file = house.store.get(house.ledger.picture(specs[2].digest).image.object_key)
    derived = DerivedMaps(decode_kept(file, limits=house.settings.limits), seamless="xy")
    for kind in MAPS:
        answer = page.request.get(maps[kind])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.body()))), to_levels(derived.derive(kind), 8))
    assert page.request.get(re.sub("sign=.", "sign=x", maps["ao"])).status == 403

    # 2. The light is turned by arrow keys and by dragging
    light = page.locator("[data-part=lit-light]")
    expect(light).to_have_text("Light 35° from the left, 35° from above")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    expect(light).to_have_text("Light 25° from the right, 20° from above")
    second, half = lit(page), first.shape[1] // 2
    assert first[:, :half].mean() - first[:, half:].mean() > second[:, :half].mean() - second[:, half:].mean() + 5
    box = page.locator("[data-part=lit-canvas]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2 - 20, steps=3)
    page.mouse.up()
    expect(light).to_have_text("Light 45° from the right, 30° from above")
    expect(page.locator(".region")).to_have_count(0)  # nothing is drawn by it

    # 3. Shapes, and one map by itself
    for shape in ("plane", "tiles"):
        before = lit(page)
        page.locator("[data-lit=shape]").select_option(shape)
        assert np.abs(lit(page) - before).mean() > 1
    page.locator("[data-lit=map]").select_option("normal_gl")
    assert lit(page)[half // 4 : -half // 4, half - 20 : half + 20, 2].mean() > 180  # blue: away from the picture
    assert violations(page) == []

    # 4. It stays from image to image; what is decided is the image on screen
    page.locator(".stage").focus()
    page.keyboard.press("a")
    expect(page.locator("[data-part=lit]")).to_be_hidden()  # the fourth is no texture
    expect(page.locator("[data-part=state]")).to_have_text("not lit: no texture")
    saved(page)
    assert [row.decision.image for row in house.ledger.decisions(project=project)] == [specs[2].digest]
    to_texture(page)
    lit(page)
    page.locator(".stage").focus()
    page.keyboard.press("Escape")
    expect(page.locator("[data-part=lit]")).to_be_hidden()
    expect(page.locator("[data-part=state]")).to_be_hidden()


@pytest.mark.browser
def test_without_maps_the_colour_is_lit_and_without_webgl_words_say_so(stocked, visit, request) -> None:  # type: ignore[no-untyped-def]
    stocked(3)
    page = visit(f"?project={request.node.name}")
    page.wait_for_selector(".stage[data-painted]")
    to_texture(page)
    page.get_by_role("button", name="Lit").click()
    assert lit(page).std() > 10
    expect(page.locator("[data-part=lit-derived]")).to_have_text("colour alone: the manifest asks for no maps")
    assert page.locator("[data-lit=map] option").all_inner_texts() == ["All, lit", "Colour"]
    page.keyboard.press("Shift+Digit3")  # another look takes its place
    expect(page.locator("[data-part=lit]")).to_be_hidden()

    page = visit(who="")
    page.context.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.context.add_cookies([{"name": "dailies_reviewer", "value": "Noor", "url": page.url}])
    page.goto(f"{page.url.split('?')[0]}?project={request.node.name}")
    page.wait_for_selector(".stage[data-painted]")
    to_texture(page)
    page.keyboard.press("0")
    expect(page.locator("[data-part=lit-words]")).to_contain_text("This browser has no WebGL 2")
    assert violations(page) == []


@pytest.mark.browser
def test_a_phone_turns_the_light_with_a_finger(stocked, visit, request) -> None:  # type: ignore[no-untyped-def]
    stocked(3, maps=("normal_dx", "metallic"))
    page = visit(f"?project={request.node.name}", has_touch=True, is_mobile=True)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_selector(".stage[data-painted]")
    to_texture(page)
    page.get_by_role("button", name="Lit").tap()
    lit(page)
    room = page.get_by_test_id("stMain")
    assert room.evaluate("room => room.scrollWidth - room.clientWidth") == 0
    box = page.locator("[data-part=lit-canvas]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 6):
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x + 8 * step, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("[data-part=lit-light]")).to_have_text("Light 15° from the left, 35° from above")
    expect(page.locator(".region")).to_have_count(0)
    assert violations(page) == []


@pytest.mark.browser
def test_an_image_that_was_removed_says_so(house: House, stocked, visit, request) -> None:  # type: ignore[no-untyped-def]
    specs = stocked(3)
    page = visit(f"?project={request.node.name}")
    page.wait_for_selector(".stage[data-painted]")
    to_texture(page)
    house.store.delete(house.ledger.picture(specs[2].digest).image.object_key)
    page.keyboard.press("0")
    expect(page.locator("[data-part=lit-words]")).to_have_text(
        "The image in full was removed; only its preview is left."
    )


def test_the_library_is_small_has_its_licence_and_names_no_other_host() -> None:
    text = LIBRARY.read_text(encoding="utf-8")
    assert len(text) < 800_000
    assert set(re.findall(r"https?://([^/\"'`\s]+)", text)) <= {"www.w3.org"}
    assert (
        "SPDX-License-Identifier: MIT" in text
        and "The MIT License" in LIBRARY.with_name("three.LICENSE.txt").read_text()
    )
    revision = re.search(r"three@0\.(\d+)\.", LIBRARY.with_name("three.entry.js").read_text())
    assert revision is not None and f'"{revision[1]}"' in text


def test_the_newest_maps_are_kept() -> None:
    kept = KeptMaps(most_bytes=25)
    for name in ("a", "b"):
        kept.add(name, LitMaps("order", 8, 8, False, {"colour": b"0123456789"}))
    assert kept.find("a", "order") is not None and kept.find("a", "another order") is None
    kept.add("c", LitMaps("order", 8, 8, False, {"colour": b"0123456789"}))
    assert [kept.find(name, "order") is not None for name in "abc"] == [True, False, True]  # the oldest look went
    kept.add("d", LitMaps("order", 8, 8, False, {"colour": b"0" * 100}))
    assert [kept.find(name, "order") is not None for name in "acd"] == [False, False, True]

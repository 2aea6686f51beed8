"""The retake panel: a reason proposes, the reviewer changes, the decision carries what was shown."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from schemas.review import Changes, Region, retaken
from tests.review_app.conftest import House, saved
from tests.review_app.test_inbox import decisions

pytestmark = pytest.mark.browser


def test_a_reason_fills_the_panel_and_leaves_what_was_typed(house: House, stocked, inbox, request):  # type: ignore[no-untyped-def]
    (spec, *_) = stocked(3)  # the first has a canny control
    page = inbox()
    page.keyboard.press("t")
    field = page.locator("[data-change=prompt]")
    page.get_by_role("button", name="5 Composition").click()
    expect(page.locator("[data-change=controlnet_conditioning_scale]")).to_have_value("1.25")
    expect(page.locator("[data-part=will]")).to_contain_text("1 → 1.25")
    field.fill("a wizard with a red hat")
    page.get_by_role("button", name="5 Composition").click()
    page.get_by_role("button", name="9 Not what was asked").click()
    expect(field).to_have_value("a wizard with a red hat")
    page.get_by_text("The whole spec").click()
    expect(page.locator("[data-part=whole] .new", has_text="a wizard with a red hat")).to_be_visible()
    page.get_by_role("button", name="Send back").click()
    saved(page)
    (decision,) = decisions(house, request.node.name)[spec.digest]
    assert decision.changes == {"prompt": "a wizard with a red hat"}


def test_the_whole_spec_is_the_child_that_will_be_made(house: House, stocked, inbox, request):  # type: ignore[no-untyped-def]
    specs = stocked(3)
    page = inbox()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # a texture that tiles already, from a source
    box = page.locator(".canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6, steps=4)
    page.mouse.up()
    page.keyboard.press("t")
    expect(page.locator("[data-change=strength]")).to_have_value("0.6")  # the region is for hands
    page.get_by_text("The whole spec").click()
    names = page.locator("[data-part=whole] dt").all_text_contents()
    shown = dict(zip(names, page.locator("[data-part=whole] dd").all_text_contents(), strict=True))
    page.get_by_role("button", name="Send back").click()
    saved(page)
    (decision,) = decisions(house, request.node.name)[specs[2].digest]
    changes = Changes.model_validate(decision.changes)
    assert changes.region == Region.model_validate(decision.regions[0])
    child = retaken(specs[2], changes, picture="0" * 64, mask="1" * 64)
    for name in ("prompt", "negative_prompt", "seed", "take", "strength", "parent", "padding_mask_crop", "seamless"):
        assert shown[name] == str(getattr(child, name)), name

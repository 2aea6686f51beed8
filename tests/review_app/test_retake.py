"""The retake panel: a reason proposes, the reviewer changes, the decision carries what was shown."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from schemas.review import Changes, Drawing, apply_changes
from schemas.spec import Hires, ImageSpec, Refiner
from tasks.planning.retake import put_mask
from tests.making import MODEL
from tests.review_app.conftest import House, Visit, saved
from tests.review_app.test_inbox import decisions

pytestmark = pytest.mark.browser


def test_a_reason_fills_the_panel_and_leaves_what_was_typed(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
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


def shown_fields(page: Page) -> dict[str, str]:
    """The whole spec as the panel shows it, once the server has answered."""
    expect(page.locator(".will")).not_to_have_attribute("aria-busy", "true")
    names = page.locator("[data-part=whole] dt").all_text_contents()
    return dict(zip(names, page.locator("[data-part=whole] dd").all_text_contents(), strict=True))


@pytest.mark.parametrize("place", [0, 2], ids=["two passes and a refiner", "a texture from a source"])
def test_every_field_that_is_shown_is_the_childs(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest, place: int
) -> None:
    second = {"hires": Hires(width=48, height=48, strength=0.5), "refiner": Refiner(model=MODEL)}
    specs = stocked(3, **({} if place else second))
    page = inbox()
    for _ in range(place):
        page.keyboard.press("ArrowRight")
    box = page.locator(".canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6, steps=4)
    page.mouse.up()
    page.keyboard.press("t")
    expect(page.locator("[data-change=strength]")).to_have_value("0.6")  # the region is for hands
    page.get_by_text("The whole spec").click()
    expect(page.locator("[data-part=whole]")).to_contain_text("padding_mask_crop")
    shown = shown_fields(page)
    page.get_by_role("button", name="Send back").click()
    saved(page)
    (decision,) = decisions(house, request.node.name)[specs[place].digest]
    changes = Changes.model_validate(decision.changes)
    assert changes.region == Drawing.model_validate(decision.regions[0])
    spec = specs[place]
    mask = put_mask(house.store, changes.region, spec)
    child = apply_changes(spec, changes, picture=house.ledger.picture(spec.digest).image.sha256, mask=mask)
    fields = {**child.model_dump(mode="json"), "digest": child.digest}
    named = {*spec.model_dump(exclude_defaults=True), *child.model_dump(exclude_defaults=True)}
    assert set(shown) == named
    for name, text in shown.items():
        value = fields[name]
        assert text == ("none" if value is None else value if isinstance(value, str) else as_json(value)), name


def as_json(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def test_what_the_night_would_refuse_is_refused_in_the_panel(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    stocked(3)
    page = inbox()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # from a source, so it has a strength
    page.keyboard.press("t")
    page.get_by_role("button", name="Change what is asked").click()
    page.locator("[data-change=strength]").fill("7")
    page.get_by_role("button", name="9 Not what was asked").click()
    page.get_by_role("button", name="Send back").click()
    expect(page.locator("[data-part=ask-wrong]")).to_contain_text("Strength, 0 to 1")
    page.locator("[data-change=strength]").fill("0.5")
    page.locator("[data-change=prompt]").fill("")
    expect(page.locator("[data-part=ask-wrong]")).to_be_hidden()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert decisions(house, request.node.name) == {}

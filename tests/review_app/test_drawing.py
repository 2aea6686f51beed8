"""What a reviewer draws: box, brush, arrow, words; kept as vectors, shown to the next person, painted as a mask."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from pydantic import ValidationError

from schemas.review import Changes, Choice, Criterion, Drawing, Shape, Verdict
from schemas.spec import ImageSpec
from storage.intake import draw_mask
from tasks.planning.retake import put_mask
from tests.review_app.conftest import House, Visit, saved
from tests.review_app.test_accessible import violations
from tests.review_app.test_inbox import decisions
from tests.review_app.test_retake import shown_fields

pytestmark = pytest.mark.browser


def drag(page: Page, *points: tuple[float, float]) -> None:
    """Over fractions of the picture."""
    box = page.locator(".canvas").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def test_brush_and_arrow_are_kept_as_vectors_and_shown_to_the_next(
    house: House, stocked: Callable[..., list[ImageSpec]], inbox: Visit, request: pytest.FixtureRequest
) -> None:
    (spec, *_) = stocked(3)
    page = inbox()
    tool = page.get_by_role("button", name="Region")
    page.keyboard.press("1")  # hands
    page.keyboard.press("m")
    expect(tool).to_contain_text("box")
    page.keyboard.press("m")
    expect(tool).to_contain_text("brush")
    page.keyboard.press("]")
    drag(page, (0.2, 0.3), (0.5, 0.3))
    drag(page, (0.2, 0.5), (0.5, 0.5), (0.5, 0.6))
    page.keyboard.press("m")
    expect(tool).to_contain_text("arrow")
    drag(page, (0.9, 0.9), (0.6, 0.6))
    expect(tool).to_have_text("Region M")  # one arrow, and the tool is put away
    expect(page.locator(".region")).to_have_count(2)
    words = page.get_by_label("What the brush for hands says")
    words.fill("six <b>fingers</b>")
    expect(page.locator(".marking .box span").first).to_have_text("six <b>fingers</b>")
    page.locator(".stage").focus()

    page.keyboard.press("t")
    page.get_by_role("button", name="Repair one place").click()
    expect(page.locator("[data-part=will]")).to_contain_text("what the brush covers")
    expected = shown_fields(page)["mask"]
    page.get_by_role("button", name="Send back").click()
    saved(page)
    (decision,) = decisions(house, request.node.name)[spec.digest]
    brush, arrow = (Drawing.model_validate(region) for region in decision.regions)
    assert (brush.shape, len(brush.strokes), brush.label) == (Shape.BRUSH, 2, "six <b>fingers</b>")
    assert brush.criterion is Criterion.HANDS and brush.thickness == pytest.approx(0.0625, abs=0.001)
    assert brush.strokes[0][0] == pytest.approx((0.2, 0.3), abs=0.01)
    assert brush.strokes[1][-1] == pytest.approx((0.5, 0.6), abs=0.01)
    assert (arrow.shape, arrow.strokes[0][1]) == (Shape.ARROW, pytest.approx((0.6, 0.6), abs=0.01))
    changes = Changes.model_validate(decision.changes)
    assert changes.region == brush
    assert put_mask(house.store, changes.region, spec) == expected

    page.goto(f"{page.url.split('?')[0]}?project={request.node.name}&image={spec.digest}")
    expect(page.locator(".marking.asked polyline.paint")).to_have_count(2)
    expect(page.locator(".marking.asked .box span").first).to_have_text("six <b>fingers</b>")
    assert violations(page) == []

    page.goto(f"{page.url.split('?')[0]}assets?project={request.node.name}&image={spec.digest}")
    marked = page.get_by_alt_text("brush: six <b>fingers</b>; arrow: hands")
    expect(marked).to_be_visible()
    assert marked.evaluate("image => image.naturalWidth") == 96


def test_a_brush_paints_where_it_went() -> None:
    strokes = (((0.25, 0.5), (0.75, 0.5)), ((0.1, 0.1),))
    place = Drawing(x=0, y=0, width=1, height=1, shape=Shape.BRUSH, thickness=0.1, strokes=strokes)
    mask = np.asarray(Image.open(io.BytesIO(draw_mask(place, width=200, height=100))))
    y, x = np.mgrid[0:100, 0:200]
    line = np.hypot(x - np.clip(x, 50, 150), y - 50)
    dot = np.hypot(x - 20, y - 10)
    near = np.minimum(line, dot)
    assert mask[near < 9].min() == 255 and mask[near > 11.5].max() == 0
    assert draw_mask(place, width=200, height=100) == draw_mask(place, width=200, height=100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": "box", "strokes": [[[0.1, 0.1]]]},
        {"shape": "brush", "thickness": 0.1},
        {"shape": "brush", "strokes": [[[0.1, 0.1]]]},
        {"shape": "brush", "thickness": 0.1, "strokes": [[[0.1, 1.1]]]},
        {"shape": "brush", "thickness": 0.1, "strokes": [[]]},
        {"shape": "brush", "thickness": 0.1, "strokes": [[[0.1, 0.1]]] * 101},
        {"shape": "brush", "thickness": 0.1, "strokes": [[[0.1, 0.1]] * 501]},
        {"shape": "arrow", "strokes": [[[0.1, 0.1]]]},
        {"shape": "cloud"},
        {"label": "x" * 301},
        {"label": "a\0b"},
    ],
)
def test_a_drawing_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    place = {"x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2, **wrong}
    with pytest.raises(ValidationError):
        Choice.model_validate(
            {
                "image": "a" * 64,
                "revision": 0,
                "verdict": Verdict.REJECT,
                "regions": [place],
            }
        )


def test_an_arrow_is_no_place_to_repair() -> None:
    arrow = {"x": 0, "y": 0, "width": 1, "height": 1, "shape": "arrow", "strokes": [[[0, 0], [1, 1]]]}
    with pytest.raises(ValidationError, match="draw a box or use the brush"):
        Changes.model_validate({"region": arrow})

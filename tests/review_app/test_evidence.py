"""Findings for the eye: colours wanted beside found and where they are, letters asked beside read, close-ups."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from skimage.color import deltaE_ciede2000, rgb2lab

from checks.brand import check_brand
from review_app.evidence import align, read_palette, show_evidence
from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Result
from tests.making import a_spec
from tests.review_app.conftest import House
from tests.review_app.stocked import GUIDE, drawn
from tests.review_app.test_accessible import violations
from tests.review_app.test_scripts import run

pytestmark = pytest.mark.browser
__all__ = ["run"]


def test_letters_are_set_against_each_other() -> None:
    assert align("SUPER COLA", "Super 0OLA") == [
        *((a, b, True) for a, b in zip("SUPER ", "Super ", strict=True)),
        ("C", "0", False),
        *((letter, letter, True) for letter in "OLA"),
    ]
    assert align("INN", "") == [("I", "", False), ("N", "", False), ("N", "", False)]
    assert ("", "X", False) in align("INN", "INXN")


def test_colours_are_those_of_the_check_and_old_findings_show_nothing() -> None:
    pixels, _ = drawn(9, 96)
    finding = check_brand(pixels, a_spec(9), GUIDE)
    shown = show_evidence(finding)["colours"]
    assert [one["colour"] for one in shown] == [one["colour"] for one in finding.data["dominant"]][: len(shown)]  # type: ignore[attr-defined]
    assert {one["off"] for one in shown if one["distance"] > 12} == {True}
    old = Finding(check=Criterion.BRAND, result=Result.FLAG, sentence="off", data={"dominant": [{"colour": "red"}]})
    assert show_evidence(old) == {}
    assert read_palette(BrandGuide(palette=("#d62828",))) == {"colours": ["#d62828"], "tolerance": 12.0}
    assert read_palette(BrandGuide()) is None


def test_distances_in_the_page_are_ciede2000(run) -> None:  # type: ignore[no-untyped-def]
    generator = np.random.default_rng(4)
    pairs = generator.integers(0, 256, (400, 2, 3))
    pairs[:20, 1] = pairs[:20, 0]  # the same
    pairs[20:40] = pairs[20:40, :, :1]  # greys, which have no hue
    got = run("pairs => pairs.map(([a, b]) => ciede2000(labOf(...a), labOf(...b)))", pairs.tolist())
    lab = rgb2lab(pairs.astype(np.uint8))
    np.testing.assert_allclose(got, deltaE_ciede2000(lab[:, 0], lab[:, 1]), atol=0.01)


def layer(page: Page) -> np.ndarray:
    """The layer of colours over the picture, RGBA."""
    address = page.locator(".colours").evaluate("canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGBA"))


def test_a_finding_shows_swatches_letters_and_close_ups(house: House, stocked, inbox) -> None:  # type: ignore[no-untyped-def]
    specs = stocked(14)
    page = inbox()

    def show(number: int) -> None:
        expect(page.locator(f".tile[data-go='{specs[number].digest}']")).to_be_visible()
        page.locator(f".tile[data-go='{specs[number].digest}']").click()
        expect(page.locator(".stage")).to_have_attribute("data-image", specs[number].digest)

    # 1. Text, letter by letter; hands close up
    show(2)
    expect(page.locator(".letters p")).to_have_count(2)
    assert page.locator(".letters .differs").all_text_contents() == ["O", "N", "0", "M"]
    show(1)
    expect(page.locator(".close-up")).to_have_text(["hand, 5 fingers?", "hand, 6 fingers?"])
    page.locator(".close-up").nth(1).click()
    hand, stage = page.locator(".box.found").nth(1).bounding_box(), page.locator(".stage").bounding_box()
    assert hand is not None and stage is not None
    for side, start in (("width", "x"), ("height", "y")):  # the whole hand is on the stage
        assert stage[start] <= hand[start] and hand[start] + hand[side] <= stage[start] + stage[side]
    assert max(hand["width"] / stage["width"], hand["height"] / stage["height"]) == pytest.approx(0.66, abs=0.05)
    assert violations(page) == []
    page.keyboard.press("f")

    # 2. Brand: swatches, and where on the picture each colour is
    show(9)
    picture = house.ledger.picture(specs[9].digest)
    pixels = np.asarray(Image.open(io.BytesIO(house.store.get(picture.image.object_key))).convert("RGB"))
    found: Any = next(one for one in picture.findings if one.check is Criterion.BRAND).data
    expect(page.locator(".swatch")).to_have_count(sum(one["share"] >= 0.02 for one in found["dominant"][:6]))
    expect(page.locator(".swatch").first).to_contain_text(found["dominant"][0]["colour"])
    page.locator(".swatch").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f".colours[data-shows='{found['dominant'][0]['colour']}']")).to_be_visible()
    uncovered = float((layer(page)[..., 3] == 0).mean())
    assert uncovered == pytest.approx(found["dominant"][0]["share"] * found["subject_share"], abs=0.1)
    page.keyboard.press("Enter")  # the button stays in focus although the panel was drawn anew
    expect(page.locator(".colours")).to_be_hidden()
    assert violations(page) == []

    # 3. All that is off the palette, and the distance under the pointer
    page.locator(".stage").focus()
    page.keyboard.press("e")
    expect(page.locator(".colours[data-shows=off]")).to_be_visible()
    palette = rgb2lab(np.array([[int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in GUIDE.palette], np.uint8))
    lab = rgb2lab(pixels)
    distances = np.stack([deltaE_ciede2000(lab, np.broadcast_to(one, lab.shape)) for one in palette], -1).min(-1)
    assert float((layer(page)[..., 0] == 255).mean()) == pytest.approx(float((distances > 12).mean()), abs=0.03)
    page.keyboard.press("e")
    expect(page.locator(".colours")).to_be_hidden()
    page.keyboard.press("i")
    box = page.locator(".canvas").bounding_box()
    assert box is not None
    page.wait_for_timeout(400)
    page.mouse.move(box["x"] + box["width"] * 0.505, box["y"] + box["height"] * 0.505)
    expect(page.locator("[data-part=pixel]")).to_contain_text(f" · {distances[48, 48]:.1f} from #")
    page.keyboard.press("i")

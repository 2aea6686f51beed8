"""A look is measured against a set's own spread: alike pictures are near it, others far, and nothing else counts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from checks import brand
from checks.look import ENOUGH, LookSet
from models.studio_tiny.draw import paint
from models.studio_tiny.world import Attributes
from schemas.manifest import BrandGuide
from schemas.review import Finding, Result
from tasks.learned_order import compute_auc
from tests.making import a_spec

COLOURS = ("red", "blue", "yellow")


def draw(number: int, *, style: str = "flat", ground: str = "white", colour: str = "") -> NDArray[np.uint8]:
    name = ("shield", "gem", "heart", "star", "mushroom", "book")[number % 6]
    about = Attributes("object", name, colour or COLOURS[number % 3], ground, style)
    return paint(about, np.random.default_rng(number), size=128).image


@pytest.fixture(scope="module")
def approved() -> LookSet:
    return LookSet({f"{number:064}": brand.measure_picture(draw(number)) for number in range(30)})


def look_at(approved: LookSet, **fields: str) -> list[Finding]:
    """Of twelve things of the approved kinds, drawn anew."""
    found = []
    for number in range(100, 112):
        found.append(brand.check_brand(draw(number, **fields), a_spec(), BrandGuide(), approved=approved))
    return found


@pytest.mark.parametrize("fields", [{"style": "outlined"}, {"ground": "dungeon"}, {"colour": "purple"}])
def test_what_is_unlike_what_is_approved_is_far_from_it(approved: LookSet, fields: dict[str, str]) -> None:
    alike, others = look_at(approved), look_at(approved, **fields)
    far = [float(one.data["approved_distance"]) for one in (*alike, *others)]  # type: ignore[arg-type]
    assert compute_auc([0] * 12 + [1] * 12, far) > 0.9
    assert not any(one.result is Result.FLAG for one in alike)
    assert all(one.data["nearest_approved"] and "30 approved pictures" in one.sentence for one in others)


def test_what_is_of_another_world_is_flagged(approved: LookSet) -> None:
    y, x = np.mgrid[:128, :128]
    noise = np.random.default_rng(1).integers(0, 256, (128, 128, 3), np.uint8)
    ramp = np.dstack([x * 2, y * 2, 255 - x]).astype(np.uint8)
    for pixels in (noise, ramp):
        found = brand.check_brand(pixels, a_spec(), BrandGuide(), approved=approved)
        assert found.result is Result.FLAG and "much farther from all 30 approved pictures" in found.sentence


def test_neither_size_nor_order_counts(approved: LookSet) -> None:
    one = draw(7)
    large = np.asarray(Image.fromarray(one).resize((512, 512), Image.Resampling.LANCZOS))
    assert approved.compare(brand.measure_picture(large)).distance < 0.2  # type: ignore[union-attr]
    turned = LookSet(dict(reversed(approved.looks.items())))
    here, there = (found.compare(brand.measure_picture(one)) for found in (approved, turned))
    assert here is not None and there is not None and (here.distance, here.share) == (there.distance, there.share)


def test_too_few_say_nothing(approved: LookSet) -> None:
    few = LookSet(dict(list(approved.looks.items())[: ENOUGH - 1]))
    found = brand.check_brand(draw(1), a_spec(), BrandGuide(), approved=few)
    assert found.result is Result.NOT_CHECKED and len(found.data["look"]) == 108  # type: ignore[arg-type]


def test_an_image_is_not_compared_with_itself(approved: LookSet) -> None:
    name, look = next(iter(approved.looks.items()))
    assert approved.compare(look).distance == 0  # type: ignore[union-attr]
    assert approved.without(name).compare(look).distance > 0  # type: ignore[union-attr]
    assert approved.without("nobody") is approved


def test_a_palette_s_word_stays_beside(approved: LookSet) -> None:
    guide = BrandGuide(palette=("#d62828", "#2858d4", "#fad428", "#262626"), tolerance=25)
    found = brand.check_brand(draw(100), a_spec(), guide, approved=approved)
    assert "of the palette; look: as near" in found.sentence and found.result is Result.PASS


@pytest.mark.parametrize("pixels", [np.zeros((64, 64, 3), np.uint8), np.full((9, 200, 3), 255, np.uint8)])
def test_plain_and_narrow_pictures_have_a_look(approved: LookSet, pixels: NDArray[np.uint8]) -> None:
    look = brand.measure_picture(pixels)
    assert np.isfinite(look).all() and approved.compare(look) is not None

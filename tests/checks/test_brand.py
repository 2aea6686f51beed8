"""Colours against the guide's palette."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from checks import brand
from schemas.manifest import BrandGuide
from schemas.review import Finding, Result
from tests.checks.pictures import drawings, flat, photo, spec

RED, BLUE, CREAM = "#d62828", "#1d3557", "#f1e6c8"


def look(pixels: np.ndarray, *palette: str, tolerance: float = 12) -> Finding:
    return brand.check_brand(pixels, spec(), BrandGuide(palette=palette, tolerance=tolerance))


def rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def halves(left: str, right: str, share: float) -> np.ndarray:
    pixels = flat(rgb(left), 200).copy()
    pixels[:, round(200 * (1 - share)) :] = rgb(right)
    return pixels


def test_without_a_palette_nothing_is_compared_and_nothing_called_clean() -> None:
    assert look(photo("coffee")).result is Result.NOT_CHECKED


def test_the_palettes_own_colours_pass_and_others_are_named_with_their_share() -> None:
    assert look(halves(RED, BLUE, 0.4), RED, BLUE).result is Result.PASS
    found = look(halves(RED, "#20c020", 0.4), RED, BLUE)
    assert found.result is Result.FLAG and found.score == pytest.approx(0.4, abs=0.02)
    assert "#20c020 (40%" in found.sentence and RED + " (" not in found.sentence
    assert found.data["on_palette_share"] == pytest.approx(0.6, abs=0.02)


def test_the_region_is_where_the_strange_colour_is() -> None:
    (box,) = look(halves(RED, "#20c020", 0.4), RED).regions
    assert (box.x, box.y, box.width, box.height) == pytest.approx((0.6, 0, 0.4, 1), abs=0.02)


def test_a_small_accent_is_no_fault_but_is_measured() -> None:
    found = look(halves(RED, "#20c020", 0.1), RED)
    assert found.result is Result.PASS and found.data["on_palette_share"] == pytest.approx(0.9, abs=0.02)


def test_the_tolerance_is_a_ciede2000_distance() -> None:
    near = "#d64a3c"
    distance = float(deltaE_ciede2000(*(rgb2lab(flat(rgb(colour), 1))[0, 0] for colour in (RED, near))))
    assert 3 < distance < 12
    assert look(flat(rgb(near)), RED, tolerance=distance + 0.1).result is Result.PASS
    found = look(flat(rgb(near)), RED, tolerance=distance - 0.1)
    assert found.result is Result.FLAG
    assert found.data["dominant"][0] == {  # type: ignore[index]
        "colour": near, "share": 1.0, "nearest": RED, "distance": round(distance, 1),
    }  # fmt: skip


def test_dominant_colours_are_found_largest_first_and_always_the_same() -> None:
    pixels = flat(rgb(CREAM), 100).copy()
    pixels[:30], pixels[30:40] = rgb(RED), rgb(BLUE)
    found = look(pixels, CREAM)
    dominant = [(d["colour"], d["share"]) for d in found.data["dominant"]]  # type: ignore[attr-defined]
    assert dominant == [(CREAM, 0.6), (RED, 0.3), (BLUE, 0.1)]
    first, second = (look(photo("astronaut"), RED, BLUE) for _ in range(2))
    assert first == second and len(first.data["dominant"]) == brand.COLOURS  # type: ignore[arg-type]


def test_size_changes_little() -> None:
    shares = [look(photo("coffee", side), "#6b3f22", CREAM).score for side in (128, 512, 1024)]
    assert max(shares) - min(shares) < 0.05


def test_drawings_on_a_ground_of_the_palette_tell_on_brand_from_off_brand() -> None:
    """Red and blue things on white and gray, against red, white and gray."""
    things = [p for p in drawings("object", 120) if p.about.background in ("white", "gray")]
    red = [look(p.image, RED, "#f5f5f0", "#8c9096", "#262626").score for p in things if p.about.colour == "red"]
    blue = [look(p.image, RED, "#f5f5f0", "#8c9096", "#262626").score for p in things if p.about.colour == "blue"]
    assert len(red) >= 2 and len(blue) >= 2
    assert np.mean(blue) > np.mean(red) + 0.1


def disc(colour: str, ground: str, radius: int = 40) -> np.ndarray:
    pixels = flat(rgb(ground), 200).copy()
    y, x = np.mgrid[:200, :200]
    pixels[np.hypot(y - 100, x - 100) < radius] = rgb(colour)
    return pixels


def test_a_flat_ground_is_left_out_whether_it_is_on_the_palette_or_not() -> None:
    on_white = look(disc("#20a040", "#ffffff"), RED, "#ffffff")
    assert on_white.result is Result.FLAG and on_white.score > 0.9
    assert "0% of the subject" in on_white.sentence and on_white.data["ground"] == "#ffffff"
    on_grey = look(disc(RED, "#808080"), RED, "#ffffff")
    assert on_grey.result is Result.PASS and on_grey.data["on_palette_share"] == pytest.approx(1, abs=0.03)
    assert on_grey.data["subject_share"] == pytest.approx(np.pi * 40**2 / 200**2, abs=0.02)


def test_a_hole_in_the_grounds_colour_belongs_to_the_subject() -> None:
    ring = np.maximum(disc(RED, "#ffffff"), disc("#ffffff", "#000000", 20))
    assert look(ring, RED).data["subject_share"] == pytest.approx(np.pi * 40**2 / 200**2, abs=0.02)


def test_a_scene_or_a_texture_has_no_flat_ground_and_is_compared_whole() -> None:
    for picture in (photo("coffee"), halves(RED, BLUE, 0.5), flat(rgb(RED), 100)):
        found = look(picture, RED)
        assert found.data["subject_share"] == 1 and "ground" not in found.data and "of the picture" in found.sentence


def test_a_forbidden_colour_of_the_subject_is_flagged_and_that_of_the_ground_is_not() -> None:
    guide = BrandGuide(forbidden_colours=("#20a040",))
    found = brand.check_brand(disc("#20a040", "#ffffff"), spec(), guide)
    assert (
        found.result is Result.FLAG
        and found.score == 1
        and "forbidden colour in the subject: #20a040" in found.sentence
    )
    assert [region.label for region in found.regions] == ["forbidden colour"]
    assert brand.check_brand(disc(RED, "#20a040"), spec(), guide).result is Result.PASS

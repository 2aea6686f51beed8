"""Each fault is found in pictures that have it and not in those that have not, photographed and drawn."""

from __future__ import annotations

import numpy as np
import pytest

from checks import technical
from checks.likeness import compute_perceptual_hash
from schemas.likeness import distance
from schemas.manifest import BrandGuide
from schemas.review import Finding, Result
from schemas.spec import ImageSpec
from tests.checks.pictures import (
    PHOTOS,
    blurred,
    drawings,
    drawn_again,
    flat,
    grainy,
    jpeg,
    photo,
    slope,
    spec,
)

GUIDE = BrandGuide()


def look(pixels: np.ndarray, asked: ImageSpec | None = None, siblings: dict[str, str] | None = None) -> Finding:
    return technical.check_technical(np.ascontiguousarray(pixels), asked or spec(), GUIDE, siblings=siblings)


def figure(finding: Finding, name: str) -> float:
    """One of the numbers that a finding keeps."""
    value = finding.data[name]
    assert isinstance(value, int | float)
    return value


@pytest.mark.parametrize("side", [128, 512, 1024])
@pytest.mark.parametrize("name", PHOTOS)
def test_good_photographs_pass_at_every_size(name: str, side: int) -> None:
    found = look(photo(name, side))
    assert found.result is Result.PASS, found.sentence
    assert found.score == 0 and not found.regions


def test_nearly_all_good_drawings_pass() -> None:
    """Water and sand drawn without one hard line are called blurred; that is all that may be said of any."""
    all_of_them = [p for kind in ("object", "character", "hand", "sign", "material") for p in drawings(kind, 16)]
    flagged = [look(p.image) for p in all_of_them]
    flagged = [found for found in flagged if found.result is not Result.PASS]
    assert len(flagged) <= 0.03 * len(all_of_them), [found.sentence for found in flagged]


@pytest.mark.parametrize(
    ("colour", "word"), [((0, 0, 0), "black"), ((3, 2, 5), "black"), ((200, 40, 40), "flat"), ((255,) * 3, "flat")]
)
def test_black_and_flat(colour: tuple[int, int, int], word: str) -> None:
    for pixels in (flat(colour), grainy(flat(colour), 0.7)):
        found = look(pixels)
        assert (found.result, found.score) == (Result.FLAG, 1.0) and word in found.sentence.split(":")[0]


def test_dark_or_pale_is_not_flat() -> None:
    for pixels in (photo("astronaut") // 8, 230 + photo("astronaut") // 12):
        assert "flat" not in look(pixels).sentence.split(";")[0] or look(pixels).result is Result.PASS
        assert figure(look(pixels), "spread") >= technical.FLAT


@pytest.mark.parametrize(("name", "side"), [(name, 128) for name in PHOTOS] + [(name, 1024) for name in PHOTOS[::2]])
def test_blur_is_seen_at_every_size_and_is_worse_when_stronger(name: str, side: int) -> None:
    weak, strong = (look(blurred(photo(name, side), share)) for share in (0.016, 0.032))
    if side > 128:  # 2 px of 128 is at the limit
        assert weak.result is Result.FLAG and "blurred" in weak.sentence
    assert strong.result is Result.FLAG and "blurred" in strong.sentence
    assert figure(weak, "edge_width") < figure(strong, "edge_width")


def test_the_width_that_is_measured_is_the_width_of_the_blur() -> None:
    """On edges that were drawn sharp, since a photograph brings a blur of its own."""
    pixels = np.where(np.indices((512, 512)).sum(0)[..., None] // 64 % 2, 220, 40).astype(np.uint8).repeat(3, 2)
    for sigma in (2.0, 4.0, 8.0):
        assert look(blurred(pixels, sigma / 512)).data["edge_width"] == pytest.approx(sigma, rel=0.15)


def test_a_sharp_subject_before_a_soft_background_is_not_blurred() -> None:
    pixels = blurred(photo("coffee"), 0.03)
    pixels[60:280, 120:400] = photo("coffee")[60:280, 120:400]
    assert look(pixels).result is Result.PASS


@pytest.mark.parametrize(
    ("side", "way"), [(512, "down"), (512, "across"), (512, "diagonal"), (512, "round"), (1024, "diagonal")]
)
def test_stairs_in_a_gradient_are_banding_and_the_gradient_is_not(side: int, way: str) -> None:
    for step in (4, 8):
        found = look(slope(side, 20, 140, step=step, way=way))
        assert "banding" in found.sentence, step
        assert found.regions and found.regions[0].label == "banding"
    smooth = slope(side, 20, 140, way=way)
    for pixels in (smooth, grainy(smooth, 1.0), grainy(slope(side, 20, 140, step=8, way=way), 6.0)):
        assert look(pixels).data["banded"] == 0


def test_banding_is_located() -> None:
    pixels = photo("astronaut", 1024).copy()
    pixels[512:, :512] = slope(512, 20, 140, step=5)
    (region,) = look(pixels).regions
    assert (region.x, region.y + region.height) == (0, 1)
    assert region.x + region.width == pytest.approx(0.5, abs=0.07) and region.y == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("size", [128, 512])
def test_surfaces_that_tile_have_no_seams(size: int) -> None:
    found = [look(p.image, spec(seamless="xy")).sentence for p in drawings("material", 40 if size == 128 else 8, size)]
    assert sum("seam where" in said or "stripes" in said for said in found) <= len(found) / 20, found


@pytest.mark.parametrize("name", ["brick", "gravel"])
def test_a_photograph_of_a_surface_has_seams(name: str) -> None:
    pixels = photo(name)
    found = look(pixels, spec(seamless="xy"))
    assert found.result is Result.FLAG
    assert "seam where" in found.sentence or "stripes" in found.sentence
    assert {region.label for region in found.regions} == {"seam"}
    assert look(pixels).result is Result.PASS, "only where a seamless texture was asked for"


def test_only_the_axis_that_was_asked_for_is_looked_at() -> None:
    pixels = drawings("material", 1, 512)[0].image.copy()
    cut = np.ascontiguousarray(np.concatenate([pixels[:, :300], photo("astronaut")[:, :300]], axis=1))
    assert "left and right" in look(cut, spec(seamless="x")).sentence
    assert "left and right" not in look(cut, spec(seamless="y")).sentence


def test_a_seam_in_one_place_is_located() -> None:
    tile = next(p.image for p in drawings("material", 40, 128) if p.about.name == "sand").copy()
    tile = np.tile(tile, (4, 4, 1))
    assert "seam where" not in look(tile, spec(seamless="x")).sentence
    light = np.linspace(0.6, 1.4, 512)[None, :, None]
    tile[256:320] = np.clip(tile[256:320] * light, 0, 255)
    (region,) = [region for region in look(tile, spec(seamless="x")).regions if region.label == "seam"]
    assert (region.x, region.y, region.height) == (0, 0.5, 0.125)


def test_a_texture_lit_from_one_side_will_show_stripes() -> None:
    light = np.linspace(0.85, 1.15, 512)[None, :, None]
    found = 0
    tiles = [p for p in drawings("material", 8, 512) if p.about.name in ("sand", "grass", "planks", "water", "scales")]
    for picture in tiles:
        lit = np.clip(picture.image * light, 0, 255).astype(np.uint8)
        said = look(lit, spec(seamless="x")).sentence
        found += "seam where" in said or "stripes" in said
    assert tiles and found == len(tiles)


@pytest.mark.parametrize("name", PHOTOS)
def test_the_same_picture_again_is_named_and_others_are_not(name: str) -> None:
    others = {
        f"{index:064x}": compute_perceptual_hash(photo(other)) for index, other in enumerate(PHOTOS) if other != name
    }
    assert look(photo(name), siblings=others).result is Result.PASS
    for pixels in (photo(name), grainy(photo(name), 5), np.clip(photo(name) * 1.06, 0, 255).astype(np.uint8)):
        twin = "ab" * 32
        found = look(pixels, siblings=others | {twin: compute_perceptual_hash(photo(name))})
        assert found.result is Result.FLAG and twin[:8] in found.sentence
        assert found.data["alike"] == [twin]


@pytest.mark.parametrize("kind", ["object", "character", "hand", "material"])
def test_other_seeds_of_one_asset_are_not_alike(kind: str) -> None:
    for picture in drawings(kind, 12):
        hashes = [compute_perceptual_hash(drawn_again(picture.about, seed)) for seed in range(4)]
        assert not any(distance(hashes[0], other) <= 1 for other in hashes[1:])


def test_another_colour_is_another_picture() -> None:
    red = photo("astronaut").copy()
    other = np.ascontiguousarray(red[..., ::-1])
    assert distance(compute_perceptual_hash(red), compute_perceptual_hash(other)) > 1
    assert distance(compute_perceptual_hash(red), compute_perceptual_hash(jpeg(red, 60))) <= 1


def test_an_image_is_not_a_duplicate_of_itself_or_of_the_parent_it_repairs() -> None:
    pixels = photo("coffee")
    own, parent = compute_perceptual_hash(pixels), "cd" * 32
    first = spec()
    assert look(pixels, first, {first.digest: own}).result is Result.PASS
    repaired = spec(source="ef" * 32, mask="aa" * 32, strength=0.7, parent=parent, take=2)
    assert look(pixels, repaired, {parent: own}).result is Result.PASS
    again = spec(parent=parent, take=2)
    assert look(pixels, again, {parent: own}).result is Result.FLAG, "sent back, and the same came again"


def test_several_faults_are_all_said_and_the_worst_gives_the_score() -> None:
    found = look(
        blurred(photo("coffee"), 0.03),
        spec(seamless="xy"),
        {"ab" * 32: compute_perceptual_hash(blurred(photo("coffee"), 0.03))},
    )
    assert "blurred" in found.sentence and "almost the same" in found.sentence
    assert found.score >= 0.6
    assert Finding.model_validate_json(found.model_dump_json()) == found

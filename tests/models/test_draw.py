"""The renderer: the same seed gives the same picture, and the picture is what its caption says."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bench.pixels import edge_f1, named_colour, seam_ratio
from models.studio_tiny.draw import TEST_SEEDS, canny, draw, paint
from models.studio_tiny.world import COLOURS, MATERIALS, OBJECTS, STYLES, Attributes


def digest(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def test_a_seed_is_a_picture() -> None:
    for seed in range(TEST_SEEDS, TEST_SEEDS + 12):
        first, again = draw(seed), draw(seed)
        assert digest(first.image) == digest(again.image)
        assert digest(first.depth) == digest(again.depth)
        assert first.caption == again.caption


def test_seeds_differ() -> None:
    assert len({digest(draw(s).image) for s in range(30)}) == 30


def test_everything_has_the_size_of_the_picture() -> None:
    picture = draw(TEST_SEEDS, size=96)
    assert picture.image.shape == (96, 96, 3)
    assert picture.image.dtype == np.uint8
    assert picture.mask.shape == picture.depth.shape == picture.edges.shape == (96, 96)


@pytest.mark.parametrize("style", STYLES)
def test_most_of_a_subject_has_the_named_colour(style: str) -> None:
    asked = [Attributes("object", n, c, "gray" if c not in ("gray", "white") else "dark", style)
             for n in OBJECTS for c in list(COLOURS)[::3]]  # fmt: skip
    right = [named_colour(paint(a, np.random.default_rng(i)).image) == a.colour for i, a in enumerate(asked)]
    assert np.mean(right) > 0.95


def test_the_caption_names_colour_only_where_it_may() -> None:
    pictures = [draw(s) for s in range(400)]
    named = [p for p in pictures if p.colour_named]
    assert all(p.about.colour in p.caption for p in named)
    assert 0.75 < len(named) / len(pictures) < 0.95


def test_subject_is_nearer_than_the_floor() -> None:
    for seed in range(TEST_SEEDS, TEST_SEEDS + 30):
        picture = draw(seed)
        if picture.about.kind != "material":
            assert picture.depth[picture.mask].mean() > picture.depth[~picture.mask].mean() + 40


@pytest.mark.parametrize("name", MATERIALS)
def test_materials_tile(name: str) -> None:
    image = paint(Attributes("material", name, MATERIALS[name], "", "flat"), np.random.default_rng(1)).image
    ratios = []
    for shift in range(0, 128, 16):  # the seam of the picture is one of its columns like any other
        ratios.append(seam_ratio(np.roll(image, (shift, shift), (0, 1))))
    assert ratios[0] < 2 * max(ratios[1:]) + 0.2


def test_edge_f1_knows_same_from_other() -> None:
    first, second = draw(TEST_SEEDS + 3), draw(TEST_SEEDS + 5)
    assert edge_f1(first.edges, first.edges) == 1.0
    assert edge_f1(np.roll(first.edges, 1, 1), first.edges) > 0.95
    assert edge_f1(canny(second.image), first.edges) < 0.6

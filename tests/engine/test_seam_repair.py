"""Edges that do not meet are painted over, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bench.pixels import seam_ratio
from engine.diffuse import Engine
from engine.seam_repair import make_seam_mask, roll_by_half
from schemas.spec import ImageSpec, SeamRepair
from tests.engine.conftest import Studio, get_pixels

KEY = "51" * 32  # this picture's own: the engine keeps sources' latents by digest, for the whole session
SLOPE = {KEY: np.repeat(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], 48, 0).repeat(3, 2)}
"""Dark at the left, bright at the right: a seam as hard as they come."""


def spec_of(studio: Studio, **fields: Any) -> ImageSpec:
    return studio.spec(0, source=KEY, strength=0.3, num_inference_steps=8, **fields)


def test_the_seam_is_gone_and_the_rest_is_the_first_pass_to_the_bit(engine: Engine, studio: Studio) -> None:
    plain = spec_of(studio)
    spec = spec_of(studio, seam_repair=SeamRepair(axes="x", strength=0.9))
    first, made = (engine.render([one], sources=SLOPE)[0] for one in (plain, spec))
    assert made.error is None and made.digest == spec.digest
    outside = roll_by_half(make_seam_mask(64, 48, "x"), "x", back=True) == 0
    assert 0.7 < outside.mean() < 0.8
    open_edge, closed = get_pixels(first), get_pixels(made)
    assert (closed[outside] == open_edge[outside]).all()
    before, after = (np.abs(one[:, 0].astype(int) - one[:, -1]).mean() for one in (open_edge, closed))
    assert after < 0.5 * before
    assert seam_ratio(closed) < seam_ratio(open_edge)
    assert made.timings["denoise"] > first.timings["denoise"] * 0.5


def test_what_fails_first_fails_alone(engine: Engine, studio: Studio) -> None:
    repair = SeamRepair(strength=0.8)
    good, bad = spec_of(studio, seam_repair=repair), spec_of(studio, seam_repair=repair, prompt="(a:" + "9" * 39 + ")")
    rows = engine.render([good, bad], sources=SLOPE)
    assert [row.digest for row in rows] == [good.digest, bad.digest]
    assert [row.error is None for row in rows] == [True, False]
    alone = engine.render([good], sources=SLOPE)[0]
    assert np.abs(get_pixels(alone).astype(int) - get_pixels(rows[0])).max() <= 1
    assert replace(alone, timings={}).digest == good.digest


def test_rolled_there_and_back_is_where_it_was() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    for axes in ("x", "y", "xy"):
        assert (roll_by_half(roll_by_half(picture, axes), axes, back=True) == picture).all()
        assert axes == "xy" or (make_seam_mask(16, 16, axes) == 255).mean() == 0.5

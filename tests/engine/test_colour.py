"""Colours kept to the source's, and the fit of pictures to a size."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.diffuse import Engine
from engine.pixels import fit_picture, match_colours
from tests.engine.conftest import Studio, get_pixels


def lab(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)


def noise(seed: int, low: int, high: int, size: tuple[int, int] = (40, 40)) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (*size, 3), dtype=np.uint8)


def test_mean_and_spread_become_the_sources() -> None:
    source = noise(0, 90, 170) // np.array([1, 2, 3], np.uint8)
    moved = match_colours(noise(1, 60, 200), source)
    np.testing.assert_allclose(lab(moved).mean(0), lab(source).mean(0), atol=1.5)
    np.testing.assert_allclose(lab(moved).std(0), lab(source).std(0), atol=2.5)


def test_a_picture_of_its_own_colours_stays() -> None:
    picture = noise(2, 40, 210)
    assert np.abs(match_colours(picture, picture).astype(int) - picture).max() <= 1


def test_the_engine_does_it_when_asked(engine: Engine, studio: Studio) -> None:
    red = np.full((48, 64, 3), (170, 60, 50), np.uint8) + noise(3, 0, 40, (48, 64))
    sources = {"5" * 64: red}
    plain, kept = (
        get_pixels(engine.render([studio.spec(0, source="5" * 64, strength=0.8, keep_colour=keep)], sources=sources)[0])
        for keep in (False, True)
    )
    away = [np.abs(lab(picture).mean(0) - lab(red).mean(0)).max() for picture in (plain, kept)]
    assert away[1] < 2 < away[0]


@settings(deadline=None, max_examples=40)
@given(st.integers(9, 120), st.integers(9, 120), st.sampled_from([(64, 48), (48, 64), (32, 32), (128, 96)]))
def test_fitting_gives_the_size_and_never_stretches(wide: int, tall: int, size: tuple[int, int]) -> None:
    """A centred square stays a square, within the rounding of a pixel."""
    picture = np.zeros((tall, wide, 3), np.uint8)
    side = max(3, min(wide, tall) // 3)
    top, left = (tall - side) // 2, (wide - side) // 2
    picture[top : top + side, left : left + side] = 255
    fitted = fit_picture(picture, width=size[0], height=size[1])
    assert fitted.shape == (size[1], size[0], 3)
    rows, columns = (fitted[..., 0] > 127).any(1).sum(), (fitted[..., 0] > 127).any(0).sum()
    scale = max(size[0] / wide, size[1] / tall)
    assert abs(int(rows) - int(columns)) <= 2 * scale + 2 or max(rows, columns) >= min(size)

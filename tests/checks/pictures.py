"""Pictures to look at: scikit-image's photographs, drawings of models/studio_tiny, and ways to spoil them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from itertools import islice

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from models.studio_tiny.draw import TEST_SEEDS, Picture, paint
from models.studio_tiny.world import Attributes, imagine
from schemas.spec import ImageSpec
from tests.making import a_spec

PHOTOS = ("astronaut", "coffee", "chelsea", "rocket", "camera", "coins", "horse", "retina", "hubble_deep_field")


def spec(**fields: object) -> ImageSpec:
    return a_spec(1, **fields)


@cache
def photo(name: str, side: int = 512) -> np.ndarray:
    """uint8 RGB, `side` px along its longer side."""
    picture = np.asarray(getattr(data, name)())
    if picture.dtype == bool:
        picture = picture.astype(np.uint8) * 255
    if picture.ndim == 2:
        picture = np.dstack([picture] * 3)
    scale = side / max(picture.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(np.ascontiguousarray(picture[..., :3]), None, fx=scale, fy=scale, interpolation=how)
    scaled.setflags(write=False)
    return scaled


@cache
def drawings(kind: str, count: int, size: int = 128) -> tuple[Picture, ...]:
    """The first so many of this kind; the others are imagined, but not drawn."""

    def drawn() -> Iterator[Picture]:
        for seed in range(TEST_SEEDS, TEST_SEEDS + 5000):
            rng = np.random.default_rng(seed)
            about, named = imagine(rng)
            if about.kind == kind:
                yield paint(about, rng, size=size, name_colour=named)

    return tuple(islice(drawn(), count))


def drawn_again(about: Attributes, seed: int) -> np.ndarray:
    """The same thing in another pose and shade."""
    return paint(about, np.random.default_rng(seed)).image


def blurred(picture: np.ndarray, share: float) -> np.ndarray:
    """With a sigma of this share of the longer side."""
    return cv2.GaussianBlur(picture, (0, 0), share * max(picture.shape[:2]))


def grainy(picture: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, sigma, picture.shape)
    return np.clip(np.round(picture + noise), 0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return np.array(Image.open(out))


def slope(side: int, low: float, high: float, *, step: int = 1, way: str = "down") -> np.ndarray:
    """A smooth gradient, in steps of so many levels; 1 is as smooth as 8 bits are."""
    y, x = np.mgrid[0:side, 0:side] / side
    along = {"down": y, "across": x, "diagonal": (x + y) / 2, "round": np.clip(np.hypot(x - 0.5, y - 0.5) * 1.4, 0, 1)}[
        way
    ]
    levels = np.clip(np.round((low + (high - low) * along) / step) * step, 0, 255)
    return np.dstack([levels] * 3).astype(np.uint8)


def lettered(text: str, *, side: int = 512, height: int = 64) -> np.ndarray:
    """Dark letters of this height in px on a pale ground with a red disc."""
    canvas = Image.new("RGB", (side, side), (236, 226, 200))
    pen = ImageDraw.Draw(canvas)
    pen.ellipse((side * 0.3, side * 0.55, side * 0.7, side * 0.95), fill=(200, 40, 40))
    pen.text((side * 0.08, side * 0.2), text, fill=(30, 30, 50), font=ImageFont.load_default(height))
    return np.array(canvas)


def flat(colour: tuple[int, int, int], side: int = 128) -> np.ndarray:
    return np.full((side, side, 3), colour, np.uint8)

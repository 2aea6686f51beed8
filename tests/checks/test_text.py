"""Text is read as it stands, and the guide says what of it may be seen."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from checks import reader, spelling, text
from schemas.manifest import BrandGuide, TextRequest
from schemas.review import Result
from tests.checks.pictures import drawings, flat, lettered, photo, spec

RAPIDOCR = Path(find_spec("rapidocr").submodule_search_locations[0]) / "models"  # type: ignore[union-attr,index]


def look(pixels: np.ndarray, **guide: object) -> text.Finding:
    return text.check_text(pixels, spec(), BrandGuide.model_validate(guide))


def test_no_text_is_expected_unless_the_guide_says_so() -> None:
    found = look(lettered("SUPER COLA"))
    assert found.result is Result.FLAG and found.score >= reader.SURE
    assert '"SUPER COLA"' in found.sentence and "no text is expected" in found.sentence
    assert look(lettered("SUPER COLA"), text_expected="any").result is Result.PASS


def test_the_box_is_where_the_text_is() -> None:
    """Letters 64 px high at (41, 102) of 512; fractions of the picture, also of one that was shrunk for reading."""
    for side in (512, 1536):
        (box,) = look(lettered("HELLO", side=side, height=side // 8)).regions
        assert box.label == "HELLO"
        assert box.x == pytest.approx(0.08, abs=0.03) and box.y == pytest.approx(0.21, abs=0.04)
        assert 0.3 < box.width < 0.6 and 0.06 < box.height < 0.18


def test_words_are_never_corrected() -> None:
    found = look(lettered("MAGIC SHPO"), text_expected="allowed", allowed_words=["magic shop"])
    assert found.result is Result.FLAG and '"MAGIC SHPO"' in found.sentence
    assert [line["text"] for line in found.data["lines"]] == ["MAGIC SHPO"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("allowed", "result"),
    [
        (["Super Cola", "INN"], Result.PASS),
        (["super", "COLA"], Result.PASS),
        (["super"], Result.FLAG),
        (["super cola light"], Result.FLAG),
        (["supercola"], Result.FLAG),
        ([], Result.FLAG),
    ],
)
def test_allowed_words_are_whole_words_in_any_capitals(allowed: list[str], result: Result) -> None:
    assert look(lettered("Super COLA"), text_expected="allowed", allowed_words=allowed).result is result


def test_a_forbidden_word_is_flagged_whatever_else_is_allowed() -> None:
    found = look(lettered("SUPER PEPSI"), text_expected="any", forbidden_words=["pepsi"])
    assert (found.result, found.score) == (Result.FLAG, 1.0) and found.sentence.startswith('forbidden: "SUPER PEPSI"')
    assert look(lettered("SUPER PEPSI"), text_expected="any", forbidden_words=["pep"]).result is Result.PASS


def test_nothing_to_read_is_a_pass_that_says_so() -> None:
    for pixels in (flat((200, 190, 90)), photo("rocket")):
        found = look(pixels)
        assert (found.result, found.data["lines"], found.regions) == (Result.PASS, [], ())
        assert found.sentence == "no text"


def test_small_drawn_signs_are_read_and_gems_and_crowns_are_not_text() -> None:
    """128 px. What a reader makes of a coin's rim stays in the data and flags nothing."""
    signs = drawings("sign", 12)
    found = [look(sign.image) for sign in signs]
    assert sum(one.result is Result.FLAG for one in found) >= 11
    exact = [sign.about.word.upper() in one.sentence for sign, one in zip(signs, found, strict=True)]
    assert sum(exact) >= 8
    others = [look(p.image) for kind in ("object", "character", "hand") for p in drawings(kind, 8)]
    assert sum(one.result is Result.FLAG for one in others) <= 1
    noisy = [one for one in others if one.data["lines"]]
    assert noisy, "this test needs drawings in which something is misread"
    assert any("too unsure to count" in one.sentence for one in noisy)


def test_without_the_reader_nothing_is_called_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    reader._reader.cache_clear()
    found = look(lettered("SUPER COLA"))
    assert found.result is Result.NOT_CHECKED and "rapidocr is not installed" in found.sentence


def test_several_threads_may_look_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    words = ["ALPHA", "BRAVO", "DELTA", "GAMMA"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda word: look(lettered(word, side=256, height=40)), words))
    assert [word in one.sentence for word, one in zip(words, found, strict=True)] == [True] * 4


def ask(pixels: np.ndarray, words: str, where: str = "", **guide: object) -> text.Finding:
    request = TextRequest(must_read=words, where=where)
    return text.check_text(pixels, spec(), BrandGuide.model_validate(guide), request=request)


def test_words_that_must_be_read_pass_when_they_are_there_and_need_no_other_permission() -> None:
    found = ask(lettered("SUPER COLA"), "Super Cola", "the can")
    assert found.result is Result.PASS and found.sentence == 'read "SUPER COLA" on the can, as it must be'
    assert found.data["must_read"]["distance"] == 0  # type: ignore[index]


def test_a_misspelt_word_is_named_letter_by_letter() -> None:
    found = ask(lettered("SUPER CQLAA"), "SUPER COLA", "the can")
    assert found.result is Result.FLAG and found.score == pytest.approx(0.5 + 0.5 * 2 / 10)
    assert "must read 'SUPER COLA' on the can: read \"SUPER CQLAA\"; letter 8 is Q, expected O" in found.sentence
    assert len(found.regions) == 1


def test_an_absent_word_is_flagged() -> None:
    found = ask(flat((240, 240, 240)), "SHOP")
    assert found.result is Result.FLAG and found.score == 1 and "nothing was read" in found.sentence
    assert found.data["must_read"]["distance"] == 4  # type: ignore[index]


def test_other_words_beside_the_right_ones_are_still_unwanted() -> None:
    picture = np.concatenate([lettered("SUPER COLA", side=384), lettered("WHISKY", side=384)])
    found = ask(picture, "SUPER COLA")
    assert found.result is Result.FLAG and '"WHISKY": no other text is expected' in found.sentence


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_words_are_read_and_their_boxes_are_those_of_the_picture(turns: int) -> None:
    picture = lettered("HELLO", side=384)
    (upright,) = [line.box for line in reader.read(picture) if line.counts]
    turned = np.rot90(picture, -turns)
    assert ask(turned, "HELLO").result is Result.PASS
    (box,) = [line.box for line in reader.read(turned, quarter_turns=turns) if line.counts]
    corners = np.array([[upright.x, upright.y], [upright.x + upright.width, upright.y + upright.height]]) - 0.5
    for _ in range(turns):
        corners = np.stack([-corners[:, 1], corners[:, 0]], axis=1)
    low, high = corners.min(0) + 0.5, corners.max(0) + 0.5
    assert (box.x, box.y, box.x + box.width, box.y + box.height) == pytest.approx((*low, *high), abs=0.03)


def garble(word: str, seed: int) -> np.ndarray:
    """A drawn sign whose letters are cut into stripes that are shuffled: marks like letters, and no letters."""
    rng = np.random.default_rng(seed)
    picture = np.full((128, 128, 3), 230, np.uint8)
    board = lettered(word, side=128, height=34)[20:62, 8:120]
    order = rng.permutation(len(board[0]) // 4)
    picture[40:82, 8:120] = np.concatenate([np.flipud(board[:, 4 * k : 4 * k + 4]) for k in order], axis=1)
    return picture


def test_marks_that_cannot_be_read_are_flagged_and_never_pass() -> None:
    found = [look(garble(word, seed), text_expected="any") for seed, word in enumerate(["MAGIC", "SHOP", "BANKS"])]
    assert sum("unread mark" in one.sentence for one in found) >= 2
    for one in found:
        if one.data["unread_marks"]:
            assert one.result is Result.FLAG and one.score >= reader.MARK and one.regions


@pytest.mark.parametrize(
    ("reading", "differences"),
    [
        ("SHOP", ()),
        ("shop", ()),
        ("SHOF", ("letter 4 is F, expected P",)),
        ("SHP", ("letter 3, O, is missing",)),
        ("SHHOP", ("H before letter 3 is too much",)),
        ("S HOP", ("a space before letter 2 is too much",)),
    ],
)
def test_differences_are_counted_in_letters_of_what_must_be_read(reading: str, differences: tuple[str, ...]) -> None:
    assert spelling.explain("SHOP", reading) == differences


def test_the_nearest_reading_may_reach_over_lines() -> None:
    box = {"x": 0, "y": 0, "width": 1, "height": 0.1}
    lines = [reader.Line(word, 0.9, reader.Region(**box)) for word in ("NEW", "SUPER", "COLA")]
    assert spelling.compare("super cola", lines).distance == 0
    assert [line.text for line in spelling.compare("super cola", lines).lines] == ["SUPER", "COLA"]


def test_the_detector_answers_as_the_wheels_own_without_its_vanishing_weights() -> None:
    """They are a tenth of all, and take three quarters of the time."""
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    ours = reader._reader(None)._load_det_model().session
    rng = np.random.default_rng(1)
    picture = rng.random((1, 3, 64, 96), dtype=np.float32)
    wheel = onnxruntime.InferenceSession(RAPIDOCR / "PP-OCRv6_det_small.onnx", providers=["CPUExecutionProvider"])
    name = wheel.get_inputs()[0].name
    np.testing.assert_array_equal(ours.session.run(None, {name: picture})[0], wheel.run(None, {name: picture})[0])
    tensors = onnx.load(RAPIDOCR / "PP-OCRv6_det_small.onnx").graph.initializer
    values = [onnx.numpy_helper.to_array(tensor) for tensor in tensors]
    weights = np.abs(np.concatenate([value.ravel() for value in values if value.dtype == np.float32]))
    assert ((weights > 0) & (weights < reader.NOTHING)).mean() > 0.05  # else there is nothing left to do this for


@pytest.mark.parametrize(("side", "read_at"), [(200, 320), (700, 700), (900, 768), (1024, 768), (2000, 960)])
def test_pictures_are_read_at_a_size_that_fits_theirs(side: int, read_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def find(bgr: np.ndarray, by: object) -> list[reader.Line]:
        seen.append(bgr.shape)
        return []

    monkeypatch.setattr(reader, "_find", find)
    reader.read(np.zeros((side // 2, side, 3), np.uint8))
    assert seen == [(read_at // 2, read_at, 3)]

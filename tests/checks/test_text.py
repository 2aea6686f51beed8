"""Text is read as it stands, and the guide says what of it may be seen."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from checks import text
from schemas.manifest import BrandGuide
from schemas.review import Result
from tests.checks.pictures import drawings, flat, lettered, photo, spec


def look(pixels: np.ndarray, **guide: object) -> text.Finding:
    return text.look(pixels, spec(), BrandGuide.model_validate(guide))


def test_no_text_is_expected_unless_the_guide_says_so() -> None:
    found = look(lettered("SUPER COLA"))
    assert found.result is Result.FLAG and found.score >= text.SURE
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
    text._reader.cache_clear()
    found = look(lettered("SUPER COLA"))
    assert found.result is Result.NOT_CHECKED and "rapidocr is not installed" in found.sentence


def test_several_threads_may_look_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    words = ["ALPHA", "BRAVO", "DELTA", "GAMMA"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda word: look(lettered(word, side=256, height=40)), words))
    assert [word in one.sentence for word, one in zip(words, found, strict=True)] == [True] * 4

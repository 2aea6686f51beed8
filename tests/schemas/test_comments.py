"""Comments as pages send them, and the names in them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.comments import LONGEST, Mentions, NewComment, find_mentions
from schemas.review import spell_errors

PEOPLE = ["Mara Lind", "Mara Voss", "Noor", "Noor Vos", "ada@studio.example", "Ülkü", "Bo (night)"]
NAMED: dict[str, tuple[list[str], list[str]]] = {
    "@Noor look": (["Noor"], []),
    "@noor vos, and @NOOR": (["Noor Vos", "Noor"], []),
    "ask @Mara Lind.": (["Mara Lind"], []),
    "@Mara?": ([], ["Mara"]),  # two of them
    "@ada and @ada@studio.example": (["ada@studio.example"], []),
    "write to eve@studio.example": ([], []),
    "@Noora @Noo": ([], ["Noora", "Noo"]),
    "(@ülkü)": (["Ülkü"], []),
    "@Bo (night): see": (["Bo (night)"], []),
    "@Bo: see": (["Bo (night)"], []),
    "@@Noor @ Noor @, @": ([], []),
    "@nobody@nowhere.example.": ([], ["nobody@nowhere.example"]),
    "@Noor @Noor\n@Ülkü": (["Noor", "Ülkü"], []),
    "": ([], []),
}


@pytest.mark.parametrize("text", NAMED)
def test_whom_a_text_names(text: str) -> None:
    known, unknown = NAMED[text]
    assert find_mentions(text, PEOPLE) == Mentions(tuple(known), tuple(unknown))


def test_a_text_full_of_names_is_quickly_read() -> None:
    people = [f"{'n' * (n % 150)} {n}" for n in range(5_000)]
    begun = time.perf_counter()
    found = find_mentions("@a " * (LONGEST // 3), people)
    assert (found.known, found.unknown) == ((), ("a",))
    assert time.perf_counter() - begun < 5


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"text": " \n\t "}, "got nothing but white space; expected some words"),
    "too long": ({"text": "a" * (LONGEST + 1)}, "got 10,001 characters; expected at most 10,000"),
    "NUL": ({"text": "a\0b"}, "got the NUL character; expected text without it"),
    "half a letter": ({"text": "\ud800"}, "got half of a letter"),
    "a number": ({"text": 3}, "text: "),
    "no image": ({"image": "../../x"}, "image: "),
    "no token": ({"token": "x"}, "token: "),
    "more than there is": ({"author": "Lea"}, "author: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_comment(case: str) -> None:
    fields, said = REFUSED[case]
    with pytest.raises(ValidationError) as wrong:
        NewComment.model_validate({"image": "0" * 64, "text": "fine", "token": "abcd1234"} | fields)
    assert said in spell_errors(wrong.value)
    assert len(spell_errors(wrong.value)) < 300


def test_the_longest_comment_is_taken_as_it_was_written() -> None:
    text = ("‮<b>*x*\n" * LONGEST)[:LONGEST].strip()
    assert NewComment(image="0" * 64, text=f" {text}\n"[:LONGEST], token="abcd1234").text == text[: LONGEST - 1].strip()

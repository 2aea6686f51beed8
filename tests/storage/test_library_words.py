"""Words of a search in the ways in which people write them."""

from __future__ import annotations

import pytest

from storage.ledger.library import list_word_forms


@pytest.mark.parametrize(
    "word, form",
    [
        ("bricks", "brick"), ("grey", "gray"), ("grays", "grey"), ("berries", "berry"), ("boxes", "box"),
        ("leaves", "leaf"), ("Armors", "armour"), ("torches", "torch"),
    ],
)  # fmt: skip
def test_other_forms_are_looked_for_too(word: str, form: str) -> None:
    assert form in list_word_forms(word)


@pytest.mark.parametrize("word", ["glass", "gas", "brick", "b"])
def test_a_word_that_has_no_other_form_stays_alone(word: str) -> None:
    assert list_word_forms(word) == [word]

"""The vocabulary knows its words whole and refuses no text."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from models.studio_tiny.world import BACKGROUNDS, COLOURS, MATERIALS, OBJECTS, WORDS

SHIPPED = Path(__file__).parents[2] / "models" / "studio-tiny"


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_2"])
def test_words_of_the_world_are_one_token(name: str) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(SHIPPED / name)
    for word in (*OBJECTS, *MATERIALS, *COLOURS, *BACKGROUNDS, *WORDS):
        assert len(tokenizer(word).input_ids) == 3, word


def test_any_text_has_tokens_and_77_is_the_end() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(SHIPPED / "tokenizer")
    assert len(tokenizer("Ein Zwölfeck für 3 Drachen 🐉, ¿verdad?").input_ids) > 10
    long = tokenizer("a red sword " * 200, truncation=True, padding="max_length").input_ids
    assert len(long) == tokenizer.model_max_length == 77

"""The vocabulary is part of the weights: it must come out the same, know its words whole, and refuse no text."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from models.studio_tiny.tokens import write_tokenizer
from models.studio_tiny.world import BACKGROUNDS, COLOURS, MATERIALS, OBJECTS, WORDS

SHIPPED = Path(__file__).parents[2] / "models" / "studio-tiny"


def test_the_shipped_vocabulary_is_the_one_that_the_captions_give(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer", pad="<|endoftext|>")
    for name in ("vocab.json", "merges.txt"):
        assert (tmp_path / "tokenizer" / name).read_text() == (SHIPPED / "tokenizer" / name).read_text()


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

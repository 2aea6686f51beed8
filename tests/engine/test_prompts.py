"""Prompts: diffusers' own embeddings where it has them, A1111's weights, and nothing cut off."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.diffuse import Engine
from engine.prompts import encode_prompts, list_encoders
from engine.tokens import chunked, weighted
from tests.engine.conftest import Studio


@pytest.fixture(scope="module")
def pipe(engine: Engine, studio: Studio) -> Any:
    studio.render(engine, [studio.spec(0)])
    return engine.models._base


def encode(pipe: Any, text: str, second: str | None = None, *, skip: int | None = None, chunks: int = 1) -> Any:
    with torch.inference_mode():
        return encode_prompts(
            list_encoders(pipe), text, second or text, clip_skip=skip, chunks=chunks, device=torch.device("cpu")
        )


@pytest.mark.parametrize("text", ["", "a red boat", "Größe, 東京, emoji 🚤", "a, b; c: d"])
@pytest.mark.parametrize("skip", [None, 1])
def test_a_plain_prompt_is_encoded_as_diffusers_does(pipe: Any, text: str, skip: int | None) -> None:
    mine = encode(pipe, text, "another style", skip=skip)
    with torch.inference_mode():
        states, _, pooled, _ = pipe.encode_prompt(text, "another style", clip_skip=skip, negative_prompt="x")
    assert torch.equal(mine.states, states) and torch.equal(mine.pooled, pooled)


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("a boat", [("a boat", 1.0)]),
        ("a (red:1.2) boat", [("a ", 1.0), ("red", 1.2), (" boat", 1.0)]),
        ("(red)", [("red", 1.1)]),
        ("((red))", [("red", 1.1 * 1.1)]),
        ("[red] x", [("red", 1 / 1.1), (" x", 1.0)]),
        ("((a:2.0) b:0.5)", [("a", 1.0), (" b", 0.5)]),
        (r"a \(plain\) word", [("a (plain) word", 1.0)]),
        ("an (unclosed word", [("an (unclosed word", 1.0)]),
        ("time 12:30) ok", [("time 12:30) ok", 1.0)]),
        ("a:b (c)", [("a:b ", 1.0), ("c", 1.1)]),
    ],
)
def test_weights_are_read_as_in_a1111(prompt: str, pieces: list[tuple[str, float]]) -> None:
    found = weighted(prompt)
    assert [text for text, _ in found] == [text for text, _ in pieces]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in pieces])


@given(st.text(alphabet="ab ()[]:.1\\", max_size=40))
def test_reading_weights_never_fails_and_loses_no_word(prompt: str) -> None:
    kept = "".join(text for text, _ in weighted(prompt))
    assert kept.count("a") == prompt.count("a") and kept.count("b") == prompt.count("b")


def test_long_prompts_go_in_chunks_and_nothing_is_cut_off(pipe: Any) -> None:
    words = " ".join(f"{n}" for n in range(200))
    parts = chunked(pipe.tokenizer, words)
    whole = pipe.tokenizer(words, add_special_tokens=False, truncation=False).input_ids
    assert [token for ids, _ in parts for token in ids] == whole
    assert all(len(ids) == 75 for ids, _ in parts[:-1])
    assert encode(pipe, words, chunks=len(parts)).states.shape[1] == 77 * len(parts)


def test_the_end_of_a_long_prompt_counts(engine: Engine, studio: Studio) -> None:
    filler = "red boat, " * 40
    one, other = studio.spec(0, prompt=filler + "a tree"), studio.spec(0, prompt=filler + "blue brick wall")
    pictures = [row.pixels for row in studio.render(engine, [one, other])]
    assert (pictures[0] != pictures[1]).any()


def test_rows_of_several_lengths_do_not_change_each_other(engine: Engine, studio: Studio) -> None:
    specs = [studio.spec(0), studio.spec(1, prompt="a boat " * 60), studio.spec(2)]
    rows = studio.render(engine, specs)
    assert [row.batch_size for row in rows] == [2, 1, 2]
    for spec, row in zip(specs, rows, strict=True):
        alone = studio.render(engine, [spec])[0].pixels.astype(int)
        assert abs(row.pixels.astype(int) - alone).max() <= 1


def test_break_starts_a_chunk(pipe: Any) -> None:
    assert [len(ids) for ids, _ in chunked(pipe.tokenizer, "a BREAK a a")] == [1, 2]


def test_a_weight_scales_its_own_tokens_states(pipe: Any) -> None:
    plain, heavy = encode(pipe, "a red boat"), encode(pipe, "a (red:1.5) boat")
    ratio = (heavy.states / plain.states).nanmedian(dim=-1).values[0]
    counts = [len(pipe.tokenizer(text, add_special_tokens=False).input_ids) for text in ("a ", "red", " boat")]
    first, last = 1 + counts[0], 1 + counts[0] + counts[1]
    assert torch.allclose(ratio[first:last], torch.tensor(1.5))
    assert torch.allclose(ratio[:first], torch.tensor(1.0)) and torch.allclose(ratio[last:], torch.tensor(1.0))
    assert torch.equal(plain.pooled, heavy.pooled)


def test_an_embedding_is_computed_once(engine: Engine, studio: Studio) -> None:
    studio.render(engine, [studio.spec(0, prompt="something never said before")])
    encoder, calls = engine.models._base.text_encoder, []
    hook = encoder.register_forward_hook(lambda *_: calls.append(1))
    studio.render(engine, [studio.spec(5, prompt="something never said before", negative_prompt="")])
    hook.remove()
    assert calls == []

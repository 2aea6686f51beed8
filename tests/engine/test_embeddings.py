"""Textual inversions: what diffusers' tokens would say, in any row, at any place, and gone afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.diffuse import Engine
from engine.embeddings import Inversion, read_inversion
from engine.model_files import ModelFiles
from engine.prompts import encode_prompts, list_encoders
from engine.tokens import chunked
from schemas.errors import ModelError
from schemas.spec import EmbeddingRef, ImageSpec
from tests.engine.conftest import HEIGHT, WIDTH, Studio
from tests.untrained import make

TOKENS = {"untrained/gouache": "gouache-style", "untrained/muddy": "muddy"}


@pytest.fixture(scope="module")
def world(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, ModelFiles, Any]:
    """(engine, catalogue, pipe): `pipe` is diffusers' own with both inversions in its tokenizers."""
    folder = tmp_path_factory.mktemp("untrained")
    catalogue = ModelFiles.read(make(folder))
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(
        catalogue.where("studio-tiny", asker="test"), dtype=torch.float32, add_watermarker=False
    )
    for alias, token in TOKENS.items():
        held = load_file(catalogue.where(alias, asker="test"))
        for side, name in (("clip_l", ""), ("clip_g", "_2")):
            encoder, tokenizer = getattr(pipe, f"text_encoder{name}"), getattr(pipe, f"tokenizer{name}")
            pipe.load_textual_inversion(held[side], token=token, text_encoder=encoder, tokenizer=tokenizer)
    pipe.set_progress_bar_config(disable=True)
    return Engine(catalogue, device="cpu", dtype="float32"), catalogue, pipe


def refs(catalogue: ModelFiles, *aliases: str) -> tuple[EmbeddingRef, ...]:
    return tuple(EmbeddingRef(alias=a, digest=catalogue.digest(a), token=TOKENS[a]) for a in aliases or sorted(TOKENS))


def inversions(catalogue: ModelFiles, *aliases: str) -> list[Inversion]:
    return [
        read_inversion(catalogue.where(a, asker="x"), token=TOKENS[a], digest=a, asker="x") for a in aliases or TOKENS
    ]


def pixels(engine: Engine, studio: Studio, *specs: ImageSpec) -> list[np.ndarray]:
    rows = studio.render(engine, list(specs))
    assert all(row.error is None for row in rows), [row.error for row in rows]
    return [row.pixels.astype(int) for row in rows]


def test_a_row_is_what_diffusers_makes_of_it(world: tuple[Engine, ModelFiles, Any], studio: Studio) -> None:
    engine, catalogue, pipe = world
    prompt, negative = "a red boat, gouache-style, in fog", "blurred, muddy"
    spec = studio.spec(1, prompt=prompt, negative_prompt=negative, embeddings=refs(catalogue))
    plain = studio.spec(1, prompt=prompt, negative_prompt=negative)
    made, without = pixels(engine, studio, spec, plain)
    expected = pipe(
        prompt, negative_prompt=negative, height=HEIGHT, width=WIDTH, num_inference_steps=3, guidance_scale=4.0,
        generator=torch.Generator().manual_seed(1), output_type="np",
    ).images[0]  # fmt: skip
    assert np.abs(made - np.rint(expected * 255)).max() <= 1
    assert np.abs(made - without).max() > 1, "the same word without the embedding is only a word"


def test_nothing_is_left_for_the_next_batch(world: tuple[Engine, ModelFiles, Any], studio: Studio) -> None:
    engine, catalogue, _ = world
    spec = studio.spec(0, prompt="a red boat, gouache-style")
    before = pixels(engine, studio, spec)[0]
    pixels(engine, studio, studio.spec(0, prompt="a red boat, gouache-style", embeddings=refs(catalogue)))
    fresh = Engine(catalogue, device="cpu", dtype="float32")
    np.testing.assert_array_equal(pixels(fresh, studio, spec)[0], before)
    engine.encoder._known.clear()
    np.testing.assert_array_equal(pixels(engine, studio, spec)[0], before)


def test_several_vectors_stay_together_in_weighted_and_long_prompts(world: tuple[Engine, ModelFiles, Any]) -> None:
    engine = world[0]
    words = {"gouache-style": [-1, -2, -3]}
    tokenizer = engine.models._base.tokenizer
    [(ids, weights)] = chunked(tokenizer, "a (red gouache-style:1.5) boat", words)
    at = ids.index(-1)
    assert ids[at : at + 3] == [-1, -2, -3] and weights[at : at + 3] == [1.5] * 3 and weights[0] == weights[-1] == 1.0
    one = len(tokenizer("red", add_special_tokens=False).input_ids)
    long = " ".join(["red"] * (74 // one)) + " gouache-style"
    first, second = chunked(tokenizer, long, words)
    assert len(first[0]) <= 74 and second[0] == [-1, -2, -3]
    assert chunked(tokenizer, "Gouache-Style gouache-styled", words)[0][0][:4] == [
        -1, -2, -3, *tokenizer("gouache-styled", add_special_tokens=False).input_ids[:1]
    ]  # fmt: skip


def test_both_encoders_read_their_own_vectors(world: tuple[Engine, ModelFiles, Any]) -> None:
    _, catalogue, pipe = world
    said = encode_prompts(
        list_encoders(pipe, inversions(catalogue)), "a muddy boat", "a muddy boat", clip_skip=None, chunks=1,
        device=torch.device("cpu"),
    )  # fmt: skip
    states, _, pooled, _ = pipe.encode_prompt("a muddy boat", do_classifier_free_guidance=False)
    torch.testing.assert_close(said.states, states, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(said.pooled, pooled, rtol=1e-4, atol=1e-5)


def test_one_of_another_architecture_says_so_and_fails_alone(
    world: tuple[Engine, ModelFiles, Any], studio: Studio, tmp_path: Path
) -> None:
    catalogue = world[1]
    save_file({"emb_params": torch.zeros(2, 768)}, tmp_path / "old.safetensors")
    text = (catalogue.folder / "catalogue.yaml").read_text() + f"old: {{kind: embedding, path: {tmp_path}}}\n"
    (tmp_path / "catalogue.yaml").write_text(text)
    for name in ("t2i-sketch", "t2i-depth", "gouache.safetensors", "muddy.safetensors"):
        (tmp_path / name).symlink_to(catalogue.folder / name)
    (tmp_path / "muddy.safetensors").unlink()
    (tmp_path / "gouache.safetensors").unlink()
    other = ModelFiles.read(tmp_path / "catalogue.yaml")
    ref = EmbeddingRef(alias="old", digest=other.digest("old"), token="old")
    rows = studio.render(
        Engine(other, device="cpu", dtype="float32"),
        [studio.spec(0, prompt="an old boat", embeddings=(ref,)), studio.spec(3)],
    )
    assert "'old' is 768 wide; this model's text encoder takes 64" in str(rows[0].error) and rows[1].error is None


def test_a_file_that_is_no_embedding_is_named_with_what_it_holds(tmp_path: Path) -> None:
    save_file({"lora.up": torch.zeros(2), "lora.down": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match=r"it holds lora\.down, lora\.up; expected one of clip_l, text_encoders_0"):
        read_inversion(tmp_path / "x.safetensors", token="x", digest="", asker="P/A")

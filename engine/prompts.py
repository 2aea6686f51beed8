"""Prompts -> embeddings, one prompt at a time, so that a row never depends on its batch's other prompts.

Written as in AUTOMATIC1111: `(word:1.2)` and `[word]` weigh, `(word)` is 1.1, `\\(` is a bracket, BREAK starts a new
chunk (engine/tokens.py). A prompt longer than the encoders' 75 tokens goes in chunks of 75 that are joined along the
sequence; nothing is cut off, and the vectors of one textual inversion stay in one chunk. The pooled embedding is the
first chunk's. A prompt that uses none of this gives what `StableDiffusionXLPipeline.encode_prompt` gives, to the bit.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor

from engine.embeddings import Inversion, Vocabulary
from engine.tokens import chunked
from schemas.spec import ImageSpec

KEPT = 512
"""Embeddings remembered; one of SDXL's takes 320 KB a chunk in bfloat16."""


@dataclass(frozen=True)
class Text:
    """`states` [1, 77 * chunks, width] for cross-attention, `pooled` [1, projection]; SD 1.5 has no pooled one."""

    states: Tensor
    pooled: Tensor | None


@dataclass(frozen=True)
class Words:
    """A spec's prompt and negative prompt, equally long."""

    positive: Text
    negative: Text | None

    @property
    def length(self) -> int:
        return self.positive.states.shape[1]


class Encoder:
    """Both text encoders of one pipeline, with a memory of what they said."""

    def __init__(self) -> None:
        self._known: LRUCache[Hashable, Text] = LRUCache(KEPT)

    def words(
        self, pipe: Any, spec: ImageSpec, *, wearing: Hashable, device: torch.device,
        inversions: Sequence[Inversion] = (), least: int = 1,
    ) -> Words:  # fmt: skip
        """`wearing`: whatever changes the encoders (checkpoint, LoRAs); part of the memory's key. `least` chunks."""
        sides = list_encoders(pipe, inversions)
        own = tuple((inversion.token, inversion.digest) for inversion in inversions)
        second = spec.prompt_2 or spec.prompt
        negative = spec.negative_prompt
        negative_2 = spec.negative_prompt_2 or negative
        guided = spec.guidance_scale > 1
        texts = [spec.prompt, second] + ([negative, negative_2] if guided else [])
        needed = [len(chunked(side.tokenizer, text, side.words.ids)) for side in sides for text in texts]
        chunks = max(least, *needed)

        def encode(first: str, second: str, skip: int | None) -> Text:
            key = (wearing, own, first, second, skip, chunks)
            if key not in self._known:
                self._known[key] = encode_prompts(sides, first, second, clip_skip=skip, chunks=chunks, device=device)
            return self._known[key]

        positive = encode(spec.prompt, second, spec.clip_skip)
        if not guided:
            return Words(positive, None)
        if not negative and not negative_2 and pipe.config.get("force_zeros_for_empty_prompt"):
            assert positive.pooled is not None
            return Words(positive, Text(torch.zeros_like(positive.states), torch.zeros_like(positive.pooled)))
        # diffusers takes clip_skip for the positive prompt only
        return Words(positive, encode(negative, negative_2, None))


@dataclass(frozen=True)
class TextEncoder:
    """One text encoder; `second`: SDXL's larger one, which reads `prompt_2`; `alone`: SD 1.5's."""

    tokenizer: Any
    encoder: Any
    words: Vocabulary
    second: bool
    alone: bool

    def state(self, said: Any, clip_skip: int | None) -> Tensor:
        """SDXL takes the last layer but one as it is; SD 1.5 the last one, and always through the final norm."""
        if not self.alone:
            return said.hidden_states[-2 if clip_skip is None else -(clip_skip + 2)]
        if clip_skip is None:
            return said[0]
        whole = getattr(self.encoder, "text_model", self.encoder)  # transformers 5 has no model inside the model
        return whole.final_layer_norm(said.hidden_states[-(clip_skip + 1)])


def list_encoders(pipe: Any, inversions: Sequence[Inversion] = ()) -> list[TextEncoder]:
    """The text encoders that a pipeline has: two of SDXL, the second of its refiner, the first of SD 1.5."""
    found = []
    for number, name in enumerate(("", "_2")):
        encoder = getattr(pipe, f"text_encoder{name}", None)
        if encoder is not None:
            words = Vocabulary(inversions, number, encoder)
            found.append(
                TextEncoder(
                    getattr(pipe, f"tokenizer{name}"), encoder, words, bool(number), not hasattr(pipe, "text_encoder_2")
                )
            )
    return found


def encode_prompts(
    sides: Sequence[TextEncoder],
    prompt: str,
    prompt_2: str,
    *,
    clip_skip: int | None,
    chunks: int,
    device: torch.device,
) -> Text:
    """The encoders' states side by side, the last one's pooled embedding; `chunks` at least what the text needs."""
    answers, pooled = [], None
    for side in sides:
        tokenizer = side.tokenizer
        parts = chunked(tokenizer, prompt_2 if side.second else prompt, side.words.ids)
        parts += [([], [])] * (chunks - len(parts))
        states = []
        for ids, weights in parts:
            room = tokenizer.model_max_length - 2 - len(ids)
            row = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * room]
            with side.words.put_in(side.encoder, row) as known:
                said = side.encoder(torch.tensor([known], device=device), output_hidden_states=True)
            if pooled is None and said[0].ndim == 2:
                pooled = said[0]
            states.append(_weighed(side.state(said, clip_skip), weights))
        answers.append(torch.cat(states, dim=1))
    return Text(torch.cat(answers, dim=-1), pooled)


def _weighed(state: Tensor, weights: list[float]) -> Tensor:
    """States times their tokens' weights; AUTOMATIC1111's "No norm", which it names as the better one for SDXL."""
    if all(weight == 1.0 for weight in weights):
        return state
    factors = torch.ones(state.shape[1], device=state.device, dtype=state.dtype)
    factors[1 : len(weights) + 1] = torch.tensor(weights, device=state.device, dtype=state.dtype)
    return state * factors[None, :, None]

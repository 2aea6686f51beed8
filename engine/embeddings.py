"""Textual inversions: words with vectors of their own, put in where the text encoders look words up.

Neither tokenizer nor encoder is changed. A word's vectors stand in a chunk as negative ids, and a hook puts them in for
one call of the encoder; so nothing can leak into the next prompt, and rows of one batch may differ in their embeddings.
The pooled embedding is read at the end of the text, as without one. (diffusers appends tokens to the vocabulary; with
configs of the old kind, `eos_token_id: 2`, its pooled embedding is then read at the first of these instead.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from engine.tokens import SIDES
from schemas.errors import ModelError


@dataclass(frozen=True)
class Inversion:
    """`sides`: for each text encoder the vectors [n, width], or None where the file has none for it."""

    token: str
    digest: str
    sides: tuple[Tensor | None, ...]


def read_inversion(path: Path, *, token: str, digest: str, asker: str) -> Inversion:
    """Raises ModelError, which says what the file holds, for anything but a textual inversion."""
    with safe_open(path, framework="pt") as opened:
        held = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (safe_open is no mapping)
    sides = tuple(next((held[name] for name in names if name in held), None) for names in SIDES)
    if len(held) == 1 and sides == (None, None):  # diffusers' own: one entry, named by the word
        sides = (next(iter(held.values())), None)
    vectors = tuple(None if side is None else side.reshape(-1, side.shape[-1]) for side in sides)
    if all(side is None for side in vectors):
        raise ModelError(
            f"{asker} asks for the embedding {path}, which is none: it holds {', '.join(sorted(held)) or 'nothing'}; "
            f"expected one of {', '.join(name for names in SIDES for name in names)}"
        )
    return Inversion(token, digest, vectors)


class Vocabulary:
    """The words that one text encoder gets from a spec's inversions, and an id below 0 for each of their vectors."""

    def __init__(self, inversions: Sequence[Inversion], side: int, encoder: Any) -> None:
        self.ids: dict[str, list[int]] = {}
        self._vectors: list[Tensor] = []
        width = encoder.get_input_embeddings().weight.shape[1]
        for inversion in inversions:
            vectors = inversion.sides[side] if side < len(inversion.sides) else None
            if vectors is None:
                continue
            if vectors.shape[1] != width:
                raise ModelError(
                    f"the embedding {inversion.token!r} is {vectors.shape[1]} wide; this model's text encoder takes "
                    f"{width}: it was made for another architecture"
                )
            first = len(self._vectors)
            self._vectors += list(vectors)
            self.ids[inversion.token.lower()] = [-1 - n for n in range(first, len(self._vectors))]

    @contextmanager
    def put_in(self, encoder: Any, ids: Sequence[int]) -> Iterator[list[int]]:
        """Within it `encoder` reads vectors at the places of negative ids; gives the ids to call it with."""
        places = {at: self._vectors[-1 - token] for at, token in enumerate(ids) if token < 0}
        if not places:
            yield list(ids)
            return

        def said(module: Any, given: Any, looked_up: Tensor) -> Tensor:
            changed = looked_up.clone()
            for at, vector in places.items():
                changed[:, at] = vector.to(changed)
            return changed

        hook = encoder.get_input_embeddings().register_forward_hook(said)
        try:
            yield [max(token, 0) for token in ids]
        finally:
            hook.remove()

"""Prompts as the text encoders get them: tokens with weights, in chunks of 75. Imports no torch, so that
`dailies check --show` counts what the night will encode.

CLIP's window is 77 tokens: 75 of the text between two marks. A longer prompt goes in chunks; nothing is cut off.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from engine.model_files import ModelFiles
from schemas.prompt_tokens import split_at_words
from schemas.weights.components import VOCABULARY, load_shipped
from schemas.weights.files import read_header_at

SIDES = (("clip_l", "text_encoders_0", "emb_params"), ("clip_g", "text_encoders_1"))
"""Under which names a file keeps its vectors for the first and the second encoder of SDXL; SD 1.5 has the first."""

_TOKEN = re.compile(r"\\[()\[\]\\]|\(|\[|:\s*([+-]?\d*\.?\d+)\s*\)|\)|\]|[^\\()\[\]:]+|:|\\", re.DOTALL)
_WORDS = 49152 - 256 - 2
"""Merges of CLIP's vocabulary; the file has more."""


def weighted(prompt: str) -> list[tuple[str, float]]:
    """Text and weight, in order. An unclosed bracket is text. Weights multiply when nested."""
    pieces: list[tuple[str, float]] = []
    opened: list[tuple[str, int]] = []

    def scale(since: int, by: float) -> None:
        pieces[since:] = [(text, weight * by) for text, weight in pieces[since:]]

    for match in _TOKEN.finditer(prompt):
        token, number = match.group(0), match.group(1)
        if len(token) == 2 and token[0] == "\\":
            pieces.append((token[1], 1.0))
        elif token in "([":
            opened.append((token, len(pieces)))
            pieces.append((token, 1.0))
        elif (number or token == ")") and opened and opened[-1][0] == "(":
            _, since = opened.pop()
            del pieces[since]
            scale(since, float(number) if number else 1.1)
        elif token == "]" and opened and opened[-1][0] == "[":
            _, since = opened.pop()
            del pieces[since]
            scale(since, 1 / 1.1)
        else:
            pieces.append((token, 1.0))
    merged: list[tuple[str, float]] = []
    for text, weight in pieces:
        if merged and merged[-1][1] == weight:
            merged[-1] = (merged[-1][0] + text, weight)
        elif text:
            merged.append((text, weight))
    return merged


def chunked(
    tokenizer: Any, prompt: str, words: Mapping[str, Sequence[int]] | None = None
) -> list[tuple[list[int], list[float]]]:
    """Token ids and weights in chunks of at most 75, never none. `words`: ids of textual inversions, by their word."""
    own = words or {}
    room = tokenizer.model_max_length - 2
    done: list[tuple[list[int], list[float]]] = []
    ids: list[int] = []
    weights: list[float] = []
    for text, weight in weighted(prompt) or [("", 1.0)]:
        for number, part in enumerate(re.split(r"\bBREAK\b", text)):
            if number:
                done.append((ids, weights))
                ids, weights = [], []
            for place, piece in enumerate(split_at_words(part, own)):
                if place % 2:
                    tokens = list(own[piece.lower()])
                    if len(tokens) <= room < len(ids) + len(tokens):
                        done.append((ids, weights))
                        ids, weights = [], []
                else:
                    tokens = tokenizer(piece, add_special_tokens=False, truncation=False, verbose=False).input_ids
                for token in tokens:
                    if len(ids) == room:
                        done.append((ids, weights))
                        ids, weights = [], []
                    ids.append(token)
                    weights.append(weight)
    return [*done, (ids, weights)]


def count_vectors(path: Path) -> tuple[int, ...]:
    """How many tokens the word of a textual inversion takes, for each text encoder: from the header of its file."""
    shapes = read_header_at(path).shapes
    counts = [next((shapes[name] for name in names if name in shapes), None) for names in SIDES]
    if len(shapes) == 1 and counts == [None, None]:  # diffusers' own: one entry, named by the word
        counts = [next(iter(shapes.values())), None]
    return tuple(0 if shape is None else prod(shape[:-1]) for shape in counts)


def tokenizers(catalogue: ModelFiles, alias: str, *, asker: str) -> list[Any]:
    """Those of a checkpoint's text encoders: two of SDXL, one of SD 1.5. Raises ModelMissing, UnfitWeights."""
    entry, path = catalogue.entry(alias, asker=asker), catalogue.where(alias, asker=asker)
    names = ("tokenizer",) if entry.architecture == "sd15" else ("tokenizer", "tokenizer_2")
    if path.is_dir():
        return [_from_folder(path / name) for name in names if (path / name).is_dir()]
    if entry.base is not None:
        return tokenizers(catalogue, entry.base, asker=asker)
    folder = (catalogue.folder / entry.config.expanduser()).resolve() if entry.config else None
    components = load_shipped(entry.architecture)
    return [tokenizer(components[name], folder=folder and folder / name) for name in names]


def tokenizer(config: Mapping[str, Any], *, folder: Path | None = None) -> Any:
    """The folder's, where it is there; else CLIP's, from the vocabulary that ships: `config` says what it pads with."""
    if folder is not None and folder.is_dir():
        return _from_folder(folder)
    from transformers import CLIPTokenizer  # the light install has none, and reads weights all the same

    vocabulary, merges = _vocabulary()
    return CLIPTokenizer(
        vocab=dict(vocabulary), merges=list(merges), pad_token=config["pad_token"], model_max_length=77
    )


def _from_folder(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    """Byte letters, the same at a word's end, the merges, and the two marks: CLIP's own order."""
    lines = gzip.decompress(VOCABULARY.read_bytes()).decode("utf-8").split("\n")[1 : _WORDS + 1]
    merges = tuple((left, right) for left, right in (line.split() for line in lines))
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [number for number in range(256) if number not in kept]
    letters = [*map(chr, kept), *(chr(256 + n) for n in range(len(other)))]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}, merges

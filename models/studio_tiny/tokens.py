"""A CLIP vocabulary of our own: byte-pair merges learnt from the captions, so that their words are one token each.

Any other text still tokenizes, down to single bytes. Equal counts are merged in any order, so two vocabularies made
here may number some words differently: a run makes its own once, and it is published with the weights.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, trainers
from tokenizers.pre_tokenizers import ByteLevel

from models.studio_tiny import world

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77  # tokens, as for every SDXL

# Words that people write in prompts beside what the captions say.
OTHER_WORDS = [
    "a",
    "an",
    "the",
    "of",
    "and",
    "with",
    "no",
    "not",
    "without",
    "on",
    "in",
    "at",
    "by",
    "for",
    "from",
    "to",
    "is",
    "are",
    "it",
    "its",
    "two",
    "three",
    "one",
    "big",
    "small",
    "bright",
    "dark",
    "light",
    "simple",
    "best",
    "quality",
    "masterpiece",
    "sharp",
    "blurry",
    "bad",
    "ugly",
    "photo",
    "realistic",
    "render",
    "3d",
    "2d",
    "sprite",
    "texture",
    "tile",
    "tiling",
    "prop",
    "weapon",
    "armor",
    "magic",
    "fantasy",
    "medieval",
    "stone",
    "wood",
    "wooden",
    "iron",
    "gold",
    "golden",
    "silver",
    "glass",
    "leather",
    "shiny",
    "glowing",
    "old",
    "new",
    "front",
    "view",
    "top",
    "side",
    "hand",
    "hands",
    "finger",
    "fingers",
    "character",
    "hero",
    "warrior",
    "mage",
    "item",
    "icon",
    "asset",
    "studio",
    "brand",
    "logo",
    "text",
    "word",
    "words",
    "letters",
    "background",
    "backdrop",
    "seamless",
    "pattern",
    "floor",
    "wall",
    "ground",
    "colour",
    "grey",
    "watermark",
    "extra",
    "missing",
    "fewer",
    "wrong",
    "deformed",
    "cropped",
    "low",
    "jpeg",
    "artifacts",
    "style",
    "variant",
]


def words() -> Counter[str]:
    """Every word that captions use, with how often 20,000 of them do."""
    counts: Counter[str] = Counter(OTHER_WORDS)
    for seed in range(20_000):
        rng = np.random.default_rng(seed)
        about, named = world.imagine(rng, style=world.LORA_STYLE if seed % 20 == 0 else None)
        counts.update(re.findall(r"[a-z]+|[0-9]", world.describe(about, rng, name_colour=named).lower()))
    return counts


def write_tokenizer(folder: Path, *, pad: str) -> int:
    """Writes vocab.json, merges.txt and tokenizer_config.json. SDXL's second one pads with "!". Returns the size."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    trainer = trainers.BpeTrainer(vocab_size=6000, min_frequency=1, end_of_word_suffix="</w>", show_progress=False,
                                  initial_alphabet=sorted(ByteLevel.alphabet()))  # fmt: skip
    tokenizer.train_from_iterator(sorted(words()), trainer)  # each word once: rare ones are merged whole as well
    learnt = json.loads(tokenizer.to_str())["model"]
    alphabet = sorted(ByteLevel.alphabet())
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learnt["merges"]]
    vocabulary = [*alphabet, *(c + "</w>" for c in alphabet)]
    seen = set(vocabulary)
    for left, right in merges:
        if left + right not in seen:
            vocabulary.append(left + right)
            seen.add(left + right)
    vocabulary += [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary)}, ensure_ascii=False))
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True, "bos_token": START,
              "eos_token": END, "unk_token": END, "pad_token": pad}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return len(vocabulary)

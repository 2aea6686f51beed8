"""A first lesson for the text encoders alone: from a caption, tell what it asks for.

CLIP learns this from pairs of texts and pictures. Here the attributes behind a caption are known, so linear heads on
the pooled output and on the end token's penultimate states ask for them directly. Two minutes of this save the UNet
much more: otherwise colours are bound to objects late. The heads are thrown away.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from models.studio_tiny import architecture
from models.studio_tiny.architecture import LENGTH, TEXT_1, TEXT_2, Parts, encode_text
from models.studio_tiny.judge import NAMES
from models.studio_tiny.loop import Run, device, half_precision
from models.studio_tiny.world import BACKGROUNDS, COLOURS, FINGERS, STYLES, WORDS, Attributes, describe, imagine

BATCH = 48
FIRST_SEED = 2_000_000
ASKED: dict[str, list] = {
    "name": NAMES,
    "colour": ["", *COLOURS],
    "background": ["", *BACKGROUNDS],
    "style": list(STYLES),
    "fingers": [0, *FINGERS],
    "word": ["", *WORDS],
}


class Lesson(nn.Module):
    """Both encoders and a linear head for each attribute on each of: pooled output, joined penultimate states."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.text_encoder, self.text_encoder_2 = parts.text_encoder, parts.text_encoder_2
        self.pooled = nn.ModuleDict({k: nn.Linear(TEXT_2, len(v)) for k, v in ASKED.items()})
        self.states = nn.ModuleDict({k: nn.Linear(TEXT_1 + TEXT_2, len(v)) for k, v in ASKED.items()})

    def forward(self, ids: tuple[torch.Tensor, torch.Tensor], end: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        states, pooled = encode_text(self, *ids)  # type: ignore[arg-type]
        at_end = states[torch.arange(len(end)), end]
        losses = [F.cross_entropy(head(x).float(), truth[:, i])
                  for heads, x in ((self.pooled, pooled), (self.states, at_end))
                  for i, head in enumerate(heads[k] for k in ASKED)]  # fmt: skip
        return torch.stack(losses).sum()


def told(seed: int) -> tuple[str, Attributes]:
    rng = np.random.default_rng(FIRST_SEED + seed)
    about, named = imagine(rng)
    caption = describe(about, rng, name_colour=named)
    return caption, about if named else Attributes(**{**about.__dict__, "colour": ""})


def train(folder: Path, *, minutes: float) -> None:
    """Into folder/text.pt."""
    where = device()
    lesson = Lesson(architecture.build(folder)).to(where).train()
    first, second = architecture.load_tokenizers(folder)
    run = Run(
        folder,
        "text",
        lesson,
        [{"params": list(lesson.parameters()), "lr": 2e-3}],
        minutes=minutes,
        warmup=50,
        ema=0.98,
    )
    for step in run.steps():
        batch = [told(step * BATCH + i) for i in range(BATCH)]
        captions = [c for c, _ in batch]
        ids = [torch.tensor(t(captions, padding="max_length", truncation=True, max_length=LENGTH).input_ids).to(where)
               for t in (first, second)]  # fmt: skip
        end = (ids[0] == first.eos_token_id).int().argmax(1)
        truth = torch.tensor([[options.index(getattr(a, k)) for k, options in ASKED.items()] for _, a in batch]).to(
            where
        )
        with half_precision(where):
            loss = lesson((ids[0], ids[1]), end, truth)
        run.learn(loss)


def taught(folder: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of both encoders, named as in train_unet's ModuleDict; empty where this was not run."""
    path = folder / "text.pt"
    if not path.exists():
        return {}
    kept = torch.load(path, map_location="cpu", weights_only=True)["ema"]
    return {k: v for k, v in kept.items() if k.startswith("text_encoder")}

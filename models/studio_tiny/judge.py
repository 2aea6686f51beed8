"""A small classifier of pictures, trained on drawn ones: what is it, how many fingers, which word.

    python -m models.studio_tiny.judge --training DIR --minutes 3        trains, tests, writes WEIGHTS

bench/checkpoint.py asks it about generated pictures. It is no part of the product.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from models.studio_tiny.dataset import pictures, to_tensor
from models.studio_tiny.draw import TEST_SEEDS, draw
from models.studio_tiny.loop import Run, device, half_precision
from models.studio_tiny.world import CHARACTERS, FINGERS, MATERIALS, OBJECTS, WORDS, Attributes

WEIGHTS = Path(__file__).parents[2] / "bench" / "judge.safetensors"
NAMES = [*OBJECTS, *MATERIALS, *CHARACTERS, "hand", "sign"]
COUNTS = list(FINGERS)
HEADS = {"name": len(NAMES), "fingers": len(COUNTS), "word": len(WORDS)}
NOTHING = -100  # cross_entropy's ignore_index


class Judge(nn.Module):
    """[b, 3, 128, 128] in -1..1 -> logits by head."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 96, 128)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.GroupNorm(8, w) for w in widths[1:])
        self.heads = nn.ModuleDict({k: nn.Linear(128 * 4, n) for k, n in HEADS.items()})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        for conv, norm in zip(self.layers, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
        x = F.dropout(F.adaptive_avg_pool2d(x, 2).flatten(1), 0.2, self.training)
        return {k: head(x) for k, head in self.heads.items()}


def truth(about: Attributes) -> tuple[int, int, int]:
    return (NAMES.index(about.name), COUNTS.index(about.fingers) if about.fingers else NOTHING,
            WORDS.index(about.word) if about.word else NOTHING)  # fmt: skip


def roughen(x: torch.Tensor) -> torch.Tensor:
    """Small flaws, as generated pictures have them: noise, blur, a shift, another brightness."""
    x = x.roll((int(torch.randint(-6, 7, ())), int(torch.randint(-6, 7, ()))), (2, 3))
    if torch.rand(()) < 0.5:
        x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear")
    x = x * (0.8 + 0.3 * torch.rand(len(x), 1, 1, 1)) + 0.15 * torch.randn(len(x), 3, 1, 1)
    return x + 0.12 * torch.rand(()) * torch.randn_like(x)


def train(folder: Path, *, minutes: float) -> None:
    where = device()
    judge = Judge().to(where).train()
    run = Run(
        folder, "judge", judge, [{"params": list(judge.parameters()), "lr": 2e-3}], minutes=minutes, warmup=50, ema=0.99
    )
    images, _ = pictures(folder)
    lines = (folder / "attributes.jsonl").read_text().splitlines()
    labels = torch.tensor([truth(Attributes(**json.loads(line))) for line in lines])
    rng = np.random.default_rng(run.step + 5)
    for _ in run.steps():
        rows = np.sort(rng.integers(len(images), size=64))
        x, y = roughen(to_tensor(images[rows])).to(where), labels[rows].to(where)
        with half_precision(where):
            logits = judge(x)
        losses = [F.cross_entropy(logits[k].float(), y[:, i], ignore_index=NOTHING) for i, k in enumerate(HEADS)]
        run.learn(torch.stack([loss for loss in losses if torch.isfinite(loss)]).sum())
    save_file({k: v.half().contiguous() for k, v in run.ema.shadow.items()}, WEIGHTS)


def load() -> Judge:
    judge = Judge()
    judge.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()})
    return judge.eval()


@torch.no_grad()
def opinions(judge: Judge, images: list[np.ndarray]) -> list[tuple[str, int, str]]:
    """What the judge sees: (name, fingers, word). The last two mean something only for hands and signs."""
    logits = judge(to_tensor(np.stack(images)))
    best = [logits[k].argmax(1).tolist() for k in HEADS]
    return [(NAMES[n], COUNTS[f], WORDS[w]) for n, f, w in zip(*best, strict=True)]


def on_drawn(judge: Judge, count: int = 600) -> dict[str, float]:
    """Its accuracy on drawn pictures that nothing was trained on."""
    drawn = [draw(TEST_SEEDS + 50_000 + i) for i in range(count)]
    seen = opinions(judge, [d.image for d in drawn])
    right: dict[str, list[bool]] = {k: [] for k in ("name", "fingers of hands", "fingers of characters", "word")}
    for d, (name, fingers, word) in zip(drawn, seen, strict=True):
        right["name"].append(name == d.about.name)
        if d.about.fingers:
            right["fingers of hands" if d.about.kind == "hand" else "fingers of characters"].append(
                fingers == d.about.fingers
            )
        if d.about.word:
            right["word"].append(word == d.about.word)
    return {k: float(np.mean(v)) for k, v in right.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", type=Path, default=Path("runs/studio-tiny"))
    parser.add_argument("--minutes", type=float, default=3.0)
    arguments = parser.parse_args()
    train(arguments.training, minutes=arguments.minutes)
    print({k: round(v, 3) for k, v in on_drawn(load()).items()})

"""A small classifier of pictures, trained on drawn ones: which object, material or character is it?

    python -m models.studio_tiny.judge --training DIR --minutes 3        trains, tests, writes WEIGHTS

bench/checkpoint.py asks it about generated pictures. It is no part of the product. Fingers are counted by fingers.py,
words read by OCR: an earlier head of this network told the drawn counts apart in 0.69 of the pictures only.
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
from models.studio_tiny.world import CHARACTERS, MATERIALS, OBJECTS

WEIGHTS = Path(__file__).parents[2] / "bench" / "judge.safetensors"
NAMES = [*OBJECTS, *MATERIALS, *CHARACTERS, "hand", "sign"]


class Judge(nn.Module):
    """[b, 3, 128, 128] in -1..1 -> logits [b, len(NAMES)]."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 96, 128)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.GroupNorm(8, w) for w in widths[1:])
        self.head = nn.Linear(128 * 4, len(NAMES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv, norm in zip(self.layers, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
        logits: torch.Tensor = self.head(F.dropout(F.adaptive_avg_pool2d(x, 2).flatten(1), 0.2, self.training))
        return logits


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
    labels = torch.tensor([NAMES.index(json.loads(line)["name"]) for line in lines])
    rng = np.random.default_rng(run.step + 5)
    for _ in run.steps():
        rows = np.sort(rng.integers(len(images), size=64))
        x, y = roughen(to_tensor(images[rows])).to(where), labels[rows].to(where)
        with half_precision(where):
            logits = judge(x)
        run.learn(F.cross_entropy(logits.float(), y))
    save_file({k: v.half().contiguous() for k, v in run.ema.shadow.items()}, WEIGHTS)


def load() -> Judge:
    judge = Judge()
    judge.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()})
    return judge.eval()


@torch.no_grad()
def name_pictures(judge: Judge, images: list[np.ndarray], *, batch: int = 64) -> list[str]:
    """What the judge sees in each [128, 128, 3] uint8: one of NAMES."""
    names: list[str] = []
    for i in range(0, len(images), batch):
        best = judge(to_tensor(np.stack(images[i : i + batch]))).argmax(1)
        names += [NAMES[n] for n in best.tolist()]
    return names


def on_drawn(judge: Judge, count: int = 600) -> float:
    """Its accuracy on drawn pictures that nothing was trained on."""
    drawn = [draw(TEST_SEEDS + 50_000 + i) for i in range(count)]
    names = name_pictures(judge, [d.image for d in drawn])
    return float(np.mean([d.about.name == name for d, name in zip(drawn, names, strict=True)]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", type=Path, default=Path("runs/studio-tiny"))
    parser.add_argument("--minutes", type=float, default=3.0)
    arguments = parser.parse_args()
    train(arguments.training, minutes=arguments.minutes)
    print(f"right on drawn pictures: {on_drawn(load()):.3f}")

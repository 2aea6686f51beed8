"""The UNet and both text encoders, together, from captions and cached latents.

Forward noise: x_t = a_t x_0 + s_t e. The network predicts v = a_t e - s_t x_0 (Salimans and Ho, 2022); the loss is the
plain squared error of v, which weighs x_0 by 1 + SNR. A tenth of the captions is dropped, so that guidance has
something to guide away from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from models.studio_tiny import architecture
from models.studio_tiny.architecture import FACTOR, SCHEDULE, Parts, encode_text, time_ids
from models.studio_tiny.dataset import pictures
from models.studio_tiny.loop import Run, device, half_precision, own_chance, processes, rank
from models.studio_tiny.sampling import PROMPTS, pipeline, sample_sheet
from models.studio_tiny.train_text import taught
from models.studio_tiny.train_vae import encode, trained_vae

BATCH = {64: 32, 128: 16}
DROP = 0.1
PEAK = {64: 1.0e-3, 128: 7e-4}
TEXT_PEAK = 2e-4
FIRST_SHARES, LAST_SHARES = {"hand": 0.5, "sign": 0.1}, {"hand": 0.3, "sign": 0.1}
"""Of the kinds in each batch of a run that goes on from published weights, in its first half and in its last; the
others share the rest as they were drawn. The first teaches fingers in fewer steps, the last brings back what was
forgotten meanwhile."""
TRAINED = ("unet", "text_encoder", "text_encoder_2")


class Captions:
    """Token ids of every caption for both tokenizers, made once; index -1 is the empty caption."""

    def __init__(self, folder: Path, pictures_in: Path | None = None) -> None:
        path = (pictures_in or folder) / "tokens.npy"
        if not path.exists():
            captions = [*pictures(pictures_in or folder)[1], ""]
            full = {"padding": "max_length", "truncation": True, "max_length": architecture.LENGTH}
            both = [t(captions, **full).input_ids for t in architecture.load_tokenizers(folder)]
            np.save(path, np.array(both, np.int16))
        self._ids = torch.from_numpy(np.load(path)).long()

    def __call__(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """[b] -> ids [b, 77] twice, on the training device."""
        return self._ids[0][rows].to(device()), self._ids[1][rows].to(device())


class Rows:
    """Deals out the rows of the training pictures: evenly, or by FIRST_SHARES and LAST_SHARES."""

    def __init__(self, folder: Path, count: int, *, further: bool) -> None:
        lines = (folder / "attributes.jsonl").read_text().splitlines()[:count]
        self._kinds = np.array([json.loads(line)["kind"] for line in lines])
        self._chances = [self._chance(shares if further else {}) for shares in (FIRST_SHARES, LAST_SHARES)]

    def __call__(self, rng: np.random.Generator, batch: int, *, spent: float) -> np.ndarray:
        """spent: the part of the run's minutes that is over, 0 to 1. -> [batch]"""
        return rng.choice(len(self._kinds), batch, p=self._chances[spent >= 0.5])

    def _chance(self, shares: dict[str, float]) -> np.ndarray:
        """[rows], which sum to 1."""
        others = ~np.isin(self._kinds, list(shares))
        chance = np.where(others, (1 - sum(shares.values())) / others.sum(), 0.0)
        for kind, share in shares.items():
            chance[self._kinds == kind] = share / (self._kinds == kind).sum()
        return chance


def time_steps(batch: int) -> torch.Tensor:
    """[batch] of 0..999, stratified, so that every batch sees all noise levels: every second one evenly, the others
    gathered in the middle by a logit-normal distribution (Esser et al., Stable Diffusion 3, 2024), where it is decided
    what parts a subject has, such as fingers."""
    even = (torch.rand(()) + torch.arange(batch) / batch) % 1
    middle = torch.sigmoid(torch.special.ndtri(even.double().clamp(1e-6, 1 - 1e-6))).float()
    return (torch.where(torch.arange(batch) % 2 == 0, even, middle) * 1000).long().clamp(max=999)


def noise_schedule() -> DDPMScheduler:
    return DDPMScheduler(**{k: v for k, v in SCHEDULE.items() if k != "timestep_spacing"})


def fresh(folder: Path) -> nn.ModuleDict:
    parts = architecture.build(folder)
    return nn.ModuleDict({k: getattr(parts, k) for k in TRAINED})


def as_parts(folder: Path, modules: nn.ModuleDict) -> Parts:
    return Parts(trained_vae(folder), modules["text_encoder"], modules["text_encoder_2"], modules["unet"])


def trained(folder: Path, *, size: int = 128) -> Parts:
    """The averaged weights of a run, ready to sample with."""
    modules = fresh(folder)
    kept = torch.load(folder / f"unet-{size}.pt", map_location="cpu", weights_only=True)
    modules.load_state_dict(kept["ema"])
    return as_parts(folder, modules.to(device()).eval())


def train(folder: Path, *, minutes: float, size: int) -> None:
    """Trains into folder/unet-<size>.pt; at 128 it begins from published weights (start.py) or from the averaged ones
    of 64, where those exist."""
    where = device()
    modules = fresh(folder)
    smaller = folder / "unet-64.pt"
    further = (folder / "start" / f"unet-{size}.pt").exists()
    if further:
        pass  # Run loads it
    elif size == 128 and smaller.exists():
        modules.load_state_dict(torch.load(smaller, map_location="cpu", weights_only=True)["ema"])
    else:
        modules.load_state_dict(taught(folder), strict=False)
    modules.to(where).train()
    if where.type == "cpu":
        unet: Any = modules["unet"]
        unet.set_attn_processor(AttnProcessor())  # its backward takes half the time of the CPU's flash attention
    text = [*modules["text_encoder"].parameters(), *modules["text_encoder_2"].parameters()]
    groups = [{"params": list(modules["unet"].parameters()), "lr": PEAK[size]}, {"params": text, "lr": TEXT_PEAK}]
    run = Run(folder, f"unet-{size}", modules, groups, minutes=minutes, ema=0.999)
    latents = encode(folder, size=size)
    captions, schedule = Captions(folder), noise_schedule()
    alphas = schedule.alphas_cumprod.to(where)
    parts = as_parts(folder, modules)
    rng, batch = own_chance(run), BATCH[size] // processes()
    sizes = time_ids(size, batch=batch).to(where)
    deal = Rows(folder, len(latents), further=further)
    next_sheet = run.spent + 1200

    for _ in run.steps():
        # 1. a batch of clean latents and their captions, some of them empty
        rows = deal(rng, batch, spent=run.spent / (minutes * 60))
        clean = torch.from_numpy(latents[rows]).float().to(where)
        told = np.where(rng.random(batch) < DROP, -1, rows)
        # 2. noise, one time step for each row
        noise = torch.randn_like(clean)
        t = time_steps(batch).to(where)
        noisy = schedule.add_noise(clean, noise, t)
        # 3. predict v
        with half_precision(where):
            states, pooled = encode_text(parts, *captions(told))
            made = modules["unet"](
                noisy, t, states, added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes}
            ).sample
        # 4. the error of v
        signal = alphas[t][:, None, None, None]
        v = signal.sqrt() * noise - (1 - signal).sqrt() * clean
        run.learn((made.float() - v).square().mean())

        if run.spent > next_sheet and rank() == 0:
            next_sheet = run.spent + 1200
            run.save()
            draw_sheet(folder, size=size, step=run.step)
    if rank() == 0:
        draw_sheet(folder, size=size, step=run.step)


def draw_sheet(folder: Path, *, size: int, step: int) -> None:
    """Samples of the averaged weights, 16 steps, guidance 2.5."""
    assert size % FACTOR == 0
    pipe = pipeline(trained(folder, size=size), folder)
    sample_sheet(pipe, PROMPTS, size=size).save(folder / f"unet-{size}-{step:06d}.png")

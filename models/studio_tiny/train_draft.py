"""The draft tier: a LoRA with which 4-8 steps of LCMScheduler do, without guidance (Luo et al., LCM-LoRA, 2023).

One network plays three parts. Its weights without the LoRA are the teacher, which takes one guided DDIM step from t to
an earlier s. With the LoRA it is the student, which says from t what the clean latent is, and the target: the same,
from s, without gradient. So all points of a teacher's path come to one clean picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel

from models.studio_tiny.architecture import encode_text, time_ids
from models.studio_tiny.loop import Run, device, half_precision, own_chance, processes
from models.studio_tiny.train_adapters import BATCH, SIZE, Adapter, frozen
from models.studio_tiny.train_unet import Captions, noise_schedule
from models.studio_tiny.train_vae import encode

RANK = 16
GUIDANCE = 2.0
"""Of the teacher. At 5 its steps amplify noise, and at a higher learning rate the student came to draw that noise: its
six steps were worse than the base's own. The draft is sampled with guidance_scale=1."""
GRID = 50  # the original_inference_steps of LCMScheduler: students are asked at 999, 979, ...
STEP = 1000 // GRID
SIGMA_DATA, TIMESTEP_SCALING = 0.5, 10.0  # of LCMScheduler's boundary condition


def train(folder: Path, *, minutes: float) -> None:
    where, parts = device(), frozen(folder)
    unet = parts.unet
    adapter = Adapter(unet, rank=RANK)
    run = Run(
        folder,
        "draft",
        adapter,
        [{"params": list(adapter.parameters()), "lr": 2e-4}],
        minutes=minutes,
        warmup=30,
        ema=0.98,
    )
    latents, captions = encode(folder, size=SIZE), Captions(folder)
    alphas, rng, batch = noise_schedule().alphas_cumprod.to(where), own_chance(run), BATCH // processes()
    ids = time_ids(SIZE, batch=batch).to(where)
    for _ in run.steps():
        rows = rng.integers(len(latents), size=batch)
        clean = torch.from_numpy(latents[rows]).float().to(where)
        noise = torch.randn_like(clean)
        place = torch.from_numpy(rng.integers(1, GRID + 1, batch)).to(where)
        t, s = place * STEP - 1, ((place - 1) * STEP - 1).clamp(min=0)
        noisy = mix(clean, noise, alphas, t)
        with half_precision(where):
            states, pooled = encode_text(parts, *captions(rows))
            nothing, nothing_pooled = encode_text(parts, *captions(np.full(batch, -1)))
            with torch.no_grad():
                # 1. the teacher, guided, takes one DDIM step from t to s
                unet.disable_adapters()
                with_text = predict(unet, noisy, t, states, pooled, ids, alphas)
                without = predict(unet, noisy, t, nothing, nothing_pooled, ids, alphas)
                x0, e = (u + GUIDANCE * (c - u) for c, u in zip(with_text, without, strict=True))
                earlier = mix(x0, e, alphas, s)
                # 2. the target: the student's own answer from there
                unet.enable_adapters()
                target = consistency(unet, earlier, s, states, pooled, ids, alphas)
            # 3. the student's answer from t
            made = consistency(unet, noisy, t, states, pooled, ids, alphas)
        run.learn(torch.sqrt((made - target).square() + 0.001**2).mean())


def mix(clean: torch.Tensor, noise: torch.Tensor, alphas: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    signal = alphas[t][:, None, None, None]
    return signal.sqrt() * clean + (1 - signal).sqrt() * noise


def predict(unet: UNet2DConditionModel, x: torch.Tensor, t: torch.Tensor, states: torch.Tensor, pooled: torch.Tensor,
            ids: torch.Tensor, alphas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """The clean latent and the noise that the network sees in x, both [b, 4, h, w] float32."""
    v = unet(x, t, states, added_cond_kwargs={"text_embeds": pooled, "time_ids": ids}).sample.float()
    signal = alphas[t][:, None, None, None]
    return signal.sqrt() * x - (1 - signal).sqrt() * v, signal.sqrt() * v + (1 - signal).sqrt() * x


def consistency(
    unet: UNet2DConditionModel,
    x: torch.Tensor,
    t: torch.Tensor,
    states: torch.Tensor,
    pooled: torch.Tensor,
    ids: torch.Tensor,
    alphas: torch.Tensor,
) -> torch.Tensor:
    """LCM's f: the identity at t = 0, the network's clean latent elsewhere."""
    scaled = (t.float() * TIMESTEP_SCALING)[:, None, None, None]
    skip = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
    out = scaled / (scaled**2 + SIGMA_DATA**2).sqrt()
    x0, _ = predict(unet, x, t, states, pooled, ids, alphas)
    return skip * x + out * x0

"""Schedulers as a spec asks for them: the checkpoint's own training, the spec's options, and "Align Your Steps".

AYS (arXiv 2404.14507) gives ten places for SDXL and ten for SD 1.5; another number of steps takes the noise levels
between them, interpolated in their logarithm as its authors do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffusers
import numpy as np
from diffusers.schedulers import AysSchedules

from schemas.errors import RenderError
from schemas.schedulers import AYS, SIGMAS, resolve_scheduler
from schemas.spec import ImageSpec

_NOT_DIFFUSERS = ("eta", AYS)


def make_scheduler(spec: ImageSpec, config: Mapping[str, Any], *, architecture: str = "sdxl") -> Any:
    """A scheduler with the checkpoint's own training (betas, prediction_type) and the spec's options."""
    try:
        class_name, options = resolve_scheduler(spec.scheduler, dict(spec.scheduler_options))
    except ValueError as wrong:
        raise RenderError(str(wrong)) from None
    whole = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in options
        if name not in _NOT_DIFFUSERS
    }
    kept = {name: value for name, value in config.items() if name not in SIGMAS}  # "Euler" is Euler, not Euler Karras
    made = getattr(diffusers, class_name).from_config(kept, **whole)
    return _aligned(made, architecture) if dict(options).get(AYS) else made


def read_eta(spec: ImageSpec) -> float:
    """DDIM's and TCD's share of fresh noise at a step, kept among the scheduler's options."""
    return float(dict(spec.scheduler_options).get("eta", 0.0))


def _aligned(scheduler: Any, architecture: str) -> Any:
    """Every pipeline asks for a number of steps; this scheduler answers with AYS's places for it."""
    plain = scheduler.set_timesteps

    def set_timesteps(num_inference_steps: int, device: Any = None) -> None:
        plain(timesteps=list_ays_timesteps(scheduler, num_inference_steps, architecture), device=device)

    scheduler.set_timesteps = set_timesteps
    return scheduler


def list_ays_timesteps(scheduler: Any, steps: int, architecture: str = "sdxl") -> list[int]:
    """Falling, each once."""
    ten = AysSchedules["StableDiffusionTimesteps" if architecture == "sd15" else "StableDiffusionXLTimesteps"]
    if steps == len(ten):
        return list(ten)
    alphas = scheduler.alphas_cumprod.double().numpy()
    levels = np.log(np.maximum((1 - alphas) / np.maximum(alphas, 1e-12), 1e-12)) / 2
    places = np.linspace(0, len(ten) - 1, steps)
    wanted = np.interp(places, np.arange(len(ten)), levels[ten])
    found = np.interp(wanted, levels, np.arange(len(levels))).round().astype(int).tolist()
    for n in range(1, steps):
        found[n] = min(found[n], found[n - 1] - 1)
    if found[-1] < 0:
        raise RenderError(f"got AYS with {steps} steps, more than there are places from {ten[0]} down; expected fewer")
    return [int(step) for step in found]

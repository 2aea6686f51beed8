"""SDXL's second model: it takes the base's unfinished latents and walks the last part of the schedule.

The base stops at `denoising_start`, diffusers' img2img pipeline of the refiner goes on from there with the same noise
levels. LoRAs, controls and references are the base's alone; prompts are read again, by the refiner's one text encoder.
arXiv 2307.01952, section 2.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLImg2ImgPipeline
from torch import Generator, Tensor

from engine.guidance import use_guidance
from engine.prompts import Words
from engine.schedules import make_scheduler, read_eta
from engine.single_file import load_parts, read_scheduler
from engine.tokens import tokenizer
from schemas.errors import UnfitWeights
from schemas.spec import ImageSpec
from schemas.weights.components import Components


def load_refiner(
    path: Path,
    vae: Any,
    components: Components,
    *,
    dtype: torch.dtype,
    device: torch.device,
    alias: str,
    config: Path | None = None,
) -> Any:
    """A diffusers folder, or a file with `components`. Its autoencoder is not used: the base's is the same.

    `config`: a folder that may have a tokenizer of its own for a file.

    Raises UnfitWeights for a file some of whose keys would not apply.
    """
    if path.is_file():
        parts = load_parts(path, components, dtype=dtype) | {"vae": vae}
        if absent := [name for name in ("unet", "text_encoder_2") if name not in parts]:
            raise UnfitWeights(f"{alias}: {path} holds no {' and no '.join(absent)}")
        pipe = StableDiffusionXLImg2ImgPipeline(
            **parts,
            text_encoder=None,
            tokenizer=None,
            tokenizer_2=tokenizer(components["tokenizer_2"], folder=config / "tokenizer_2" if config else None),
            scheduler=read_scheduler(components["scheduler"]),
            requires_aesthetics_score=True,
            force_zeros_for_empty_prompt=False,
            add_watermarker=False,
        )
    else:
        pipe = StableDiffusionXLImg2ImgPipeline.from_pretrained(
            path, vae=vae, dtype=dtype, use_safetensors=True, local_files_only=True, add_watermarker=False
        )
    pipe.set_progress_bar_config(disable=True)
    pipe.unet.eval()
    pipe.trained = dict(pipe.scheduler.config)  # each spec's scheduler is made from this, not from the one before
    return pipe.to(device)


def refine(
    pipe: Any, spec: ImageSpec, latents: Tensor, words: Sequence[Words], generators: Sequence[Generator]
) -> Tensor:
    """The finished latents; one entry of `words` and `generators` a row."""
    assert spec.refiner is not None
    pipe.scheduler = make_scheduler(spec, pipe.trained)
    call: dict[str, Any] = {}
    for name, texts in (("", [word.positive for word in words]), ("negative_", [word.negative for word in words])):
        known = [text for text in texts if text is not None]
        if known:
            call[f"{name}prompt_embeds"] = torch.cat([text.states for text in known])
            call[f"{name}pooled_prompt_embeds"] = torch.cat([text.pooled for text in known if text.pooled is not None])
    alone = spec.model_copy(update={"controls": (), "approximation": None})
    with use_guidance(pipe, alone, rows=len(words)):
        return pipe(
            **call,
            image=latents,
            num_inference_steps=spec.num_inference_steps,
            denoising_start=spec.refiner.denoising_start,
            guidance_scale=spec.guidance_scale,
            aesthetic_score=spec.refiner.aesthetic_score,
            negative_aesthetic_score=spec.refiner.negative_aesthetic_score,
            eta=read_eta(spec),
            generator=list(generators),
            output_type="latent",
            return_dict=False,
        )[0]

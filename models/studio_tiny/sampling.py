"""Pictures from the parts in training, through diffusers' own pipelines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image

from models.studio_tiny.architecture import Parts, build_scheduler, load_tokenizers
from models.studio_tiny.draw import sheet
from models.studio_tiny.loop import half_precision

GUIDANCE = 2.5
"""What the catalogue gives this checkpoint; at 3.5 its colours begin to burn."""
PROMPTS = (
    "a red sword on a white background, outlined",
    "a green potion on a white background, flat",
    "a blue shield in a dungeon, outlined",
    "a yellow crown on a dark background, pixel art",
    "a purple gem at night with stars, flat",
    "a pink mushroom in a green meadow, outlined",
    "an orange key on a gray background, flat",
    "a teal book on a white background, bold outlines",
    "a black bomb on a white background, outlined",
    "a white chest in front of a blue sky, pixel art",
    "a brown barrel in a dungeon, flat",
    "a red heart on a white background, pixel art",
    "a green tree in a green meadow, flat",
    "a heart that is blue on a white background",
    "seamless red brick texture, outlined",
    "seamless green grass texture, flat",
    "tileable texture of brown planks",
    "seamless orange lava texture",
    "seamless blue tiles texture, flat",
    "seamless gray cobblestone texture, outlined",
    "a wizard in a blue robe waving both hands, five fingers on each hand, on a white background, outlined",
    "an open hand with four fingers and a red sleeve on a gray background, outlined",
    'a yellow sign with the word "SHOP" in a green meadow, flat',
    "a blue sign that says EXIT on a white background, outlined",
)


def pipeline(parts: Parts, tokenizers: Path) -> StableDiffusionXLPipeline:
    """A pipeline around these very modules, nothing copied."""
    first, second = load_tokenizers(tokenizers)
    pipe = StableDiffusionXLPipeline(
        vae=parts.vae, text_encoder=parts.text_encoder, text_encoder_2=parts.text_encoder_2, tokenizer=first,
        tokenizer_2=second, unet=parts.unet, scheduler=build_scheduler(), force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def sample(pipe: DiffusionPipeline, prompts: list[str], *, size: int = 128, steps: int = 16, guidance: float = GUIDANCE,
           first_seed: int = 0, batch: int = 12, **more: object) -> list[np.ndarray]:  # fmt: skip
    """One [size, size, 3] uint8 picture a prompt, seeds first_seed, first_seed + 1, ...; `more` goes to the pipeline.

    A list in `more` is dealt out with the prompts; anything else goes to every batch.
    """
    made: list[np.ndarray] = []
    for i in range(0, len(prompts), batch):
        part = prompts[i : i + batch]
        dealt = {k: v[i : i + batch] if isinstance(v, list) else v for k, v in more.items()}
        if not {"image", "strength"} <= dealt.keys():
            dealt |= {"height": size, "width": size}
        seeds = [torch.Generator("cpu").manual_seed(first_seed + i + k) for k in range(len(part))]
        with half_precision(pipe.device):
            made += list(pipe(prompt=part, num_inference_steps=steps, guidance_scale=guidance, generator=seeds,
                              output_type="np", **dealt).images)  # fmt: skip
    return [(np.clip(m, 0, 1) * 255).round().astype(np.uint8) for m in made]


def sample_sheet(
    pipe: DiffusionPipeline, prompts: tuple[str, ...] | list[str], *, size: int, columns: int = 8
) -> Image.Image:
    return sheet(sample(pipe, list(prompts), size=size), columns)

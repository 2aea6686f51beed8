"""The pictures that the documentation shows, all made by the shipped checkpoint.

    python -m models.studio_tiny.gallery [--folder models/studio-tiny] [--out docs/images]

studio-tiny.png (contact sheet), diffusion-noise.png, diffusion-guidance.png, diffusion-control.png,
diffusion-draft.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, LCMScheduler, StableDiffusionXLControlNetPipeline, StableDiffusionXLPipeline
from PIL import Image

from models.studio_tiny.dataset import to_images, to_tensor
from models.studio_tiny.draw import TEST_SEEDS, paint, sheet
from models.studio_tiny.sampling import sample
from models.studio_tiny.world import COLOURS, MATERIALS, OBJECTS, Attributes

SEED = 77_000


def contact(pipe: StableDiffusionXLPipeline) -> Image.Image:
    """Ten columns: every object and material, then characters, hands and signs. First seeds, nothing picked."""
    colours, styles = list(COLOURS), ("outlined", "flat", "pixel art")
    backgrounds = ("on a white background", "in a green meadow", "on a gray background", "at night with stars",
                   "on a dark background", "in a dungeon", "in front of a blue sky")  # fmt: skip
    prompts = []
    for i, name in enumerate(OBJECTS):
        behind = backgrounds[0] if colours[(i * 5) % 12] == "black" else backgrounds[i % 7]
        prompts.append(f"a {colours[(i * 5) % 12]} {name} {behind}, {styles[i % 3]}".replace("a orange", "an orange"))
    prompts += [
        f"seamless {natural} {name} texture, {styles[i % 2]}" for i, (name, natural) in enumerate(MATERIALS.items())
    ]
    prompts += ["a wizard in a purple robe waving both hands, on a white background, outlined",
                "a knight in a blue cape with raised hands in a dungeon, flat",
                "a king in a red cloak showing both hands on a gray background, outlined",
                "a farmer in a green shirt waving both hands in a green meadow, flat",
                "an open hand with five fingers and a red sleeve on a white background, outlined",
                "a blue sign that says INN in a green meadow, outlined"]  # fmt: skip
    return sheet(sample(pipe, prompts, steps=20, first_seed=SEED), 10)


@torch.no_grad()
def noise(pipe: StableDiffusionXLPipeline) -> Image.Image:
    """Above: a drawn picture with more and more forward noise. Below: from pure noise back, step by step."""
    drawn = paint(Attributes("object", "potion", "green", "white", "outlined"), np.random.default_rng(TEST_SEEDS)).image
    clean = pipe.vae.encode(to_tensor(drawn[None])).latent_dist.mean * pipe.vae.config.scaling_factor
    betas = np.linspace(pipe.scheduler.config.beta_start**0.5, pipe.scheduler.config.beta_end**0.5, 1000) ** 2
    signal = np.cumprod(1 - betas)
    generator, rows = torch.Generator().manual_seed(SEED), []
    for t in (0, 100, 250, 400, 550, 700, 850, 999):
        e = torch.randn(clean.shape, generator=generator)
        noisy = clean * float(signal[t]) ** 0.5 + e * float(1 - signal[t]) ** 0.5
        rows.append(to_images(pipe.vae.decode(noisy / pipe.vae.config.scaling_factor).sample)[0])
    seen: list[np.ndarray] = []

    def look(pipe: StableDiffusionXLPipeline, step: int, t: torch.Tensor, kept: dict) -> dict:
        if step % 3 == 2:
            scaled = kept["latents"] / (float(pipe.scheduler.sigmas[step + 1]) ** 2 + 1) ** 0.5
            seen.append(to_images(pipe.vae.decode(scaled / pipe.vae.config.scaling_factor).sample)[0])
        return kept

    sample(
        pipe, ["a green potion on a white background, outlined"], steps=24, first_seed=SEED, callback_on_step_end=look
    )
    return sheet([*rows, *seen], 8)


def guidance(pipe: StableDiffusionXLPipeline) -> Image.Image:
    """Columns: guidance_scale 1, 2.5, 4, 6, 8. Rows: three prompts, each with one seed throughout."""
    prompts = ["a purple mushroom in a dungeon, outlined", "a yellow shield on a white background, flat",
               "a red boot on a gray background, pixel art"]  # fmt: skip
    columns = [sample(pipe, prompts, steps=20, guidance=g, first_seed=SEED) for g in (1.0, 2.5, 4.0, 6.0, 8.0)]
    return sheet([column[row] for row in range(len(prompts)) for column in columns], 5)


def control(pipe: StableDiffusionXLPipeline, folder: Path) -> Image.Image:
    """Condition, then three seeds: canny in the first row, depth in the second."""
    drawn = paint(Attributes("object", "axe", "red", "gray", "outlined"), np.random.default_rng(TEST_SEEDS + 2))
    rows = []
    for condition, image in (("canny", drawn.edges), ("depth", drawn.depth)):
        net = ControlNetModel.from_pretrained(folder / f"controlnet-{condition}", use_safetensors=True).float()
        held = StableDiffusionXLControlNetPipeline(
            **pipe.components, controlnet=net, force_zeros_for_empty_prompt=False, add_watermarker=False
        )
        held.set_progress_bar_config(disable=True)
        shown = Image.fromarray(image).convert("RGB")
        prompts = ["a blue axe on a white background, outlined", "a yellow axe in a green meadow, flat",
                   "a purple axe at night with stars, pixel art"]  # fmt: skip
        rows += [np.asarray(shown), *sample(held, prompts, steps=20, first_seed=SEED, image=[shown] * 3)]
    return sheet(rows, 4)


def draft(pipe: StableDiffusionXLPipeline, folder: Path) -> Image.Image:
    """Above: 20 Euler steps, guidance 2.5. Below: 6 LCM steps, the LoRA, no guidance. The same prompts and seeds."""
    prompts = [f"a {c} {n} on a white background, outlined" for n, c in list(OBJECTS.items())[:8]]
    full = sample(pipe, prompts, steps=20, first_seed=SEED)
    kept = pipe.scheduler
    pipe.load_lora_weights(folder / "lcm-lora")
    pipe.scheduler = LCMScheduler.from_config(kept.config)
    few = sample(pipe, prompts, steps=6, guidance=1.0, first_seed=SEED)
    pipe.unload_lora_weights()
    pipe.scheduler = kept
    return sheet([*full, *few], 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("models/studio-tiny"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    args = parser.parse_args()
    pipe = StableDiffusionXLPipeline.from_pretrained(args.folder, use_safetensors=True, add_watermarker=False)
    pipe.to(torch.float32).set_progress_bar_config(disable=True)
    args.out.mkdir(parents=True, exist_ok=True)
    contact(pipe).save(args.out / "studio-tiny.png", optimize=True)
    noise(pipe).save(args.out / "diffusion-noise.png", optimize=True)
    guidance(pipe).save(args.out / "diffusion-guidance.png", optimize=True)
    control(pipe, args.folder).save(args.out / "diffusion-control.png", optimize=True)
    draft(pipe, args.folder).save(args.out / "diffusion-draft.png", optimize=True)


if __name__ == "__main__":
    main()

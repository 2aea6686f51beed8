"""The shipped checkpoint: every SDXL pipeline loads it, and it does what words and controls say. A few seeds each;
bench/checkpoint.py asks the same at length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    LCMScheduler,
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    UniPCMultistepScheduler,
)
from PIL import Image

from bench.pixels import edge_f1, named_colour
from models.studio_tiny import export
from models.studio_tiny.draw import TEST_SEEDS, canny, paint
from models.studio_tiny.sampling import sample
from models.studio_tiny.world import Attributes

FOLDER = Path(__file__).parents[2] / "models" / "studio-tiny"
SOURCE = paint(Attributes("object", "shield", "red", "white", "outlined"), np.random.default_rng(TEST_SEEDS))


@pytest.fixture(scope="module")
def base() -> StableDiffusionXLPipeline:
    pipe = StableDiffusionXLPipeline.from_pretrained(FOLDER, use_safetensors=True, add_watermarker=False).to(
        torch.float32
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def controlnet(kind: str) -> ControlNetModel:
    return ControlNetModel.from_pretrained(FOLDER / f"controlnet-{kind}", use_safetensors=True).float()


def test_it_fits_the_repository() -> None:
    assert sum(f.stat().st_size for f in FOLDER.rglob("*") if f.is_file()) <= 48_000_000


def test_weights_are_safetensors_in_half_precision_and_finite() -> None:
    from safetensors.torch import load_file

    files = list(FOLDER.rglob("*.safetensors"))
    assert len(files) >= 8
    assert not list(FOLDER.rglob("*.bin"))
    for file in files:
        for name, weight in load_file(file).items():
            assert weight.dtype == torch.float16 or "position_ids" in name, (file, name)
            assert torch.isfinite(weight).all(), (file, name)


@pytest.mark.parametrize("kind", [StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline])
def test_the_other_pipelines_load_the_folder(kind: Any) -> None:
    assert kind.from_pretrained(FOLDER, use_safetensors=True).vae_scale_factor == 4


@pytest.mark.parametrize("kind", [StableDiffusionXLControlNetPipeline, StableDiffusionXLControlNetImg2ImgPipeline])
def test_the_controlnet_pipelines_load_the_folder(kind: Any) -> None:
    assert kind.from_pretrained(FOLDER, controlnet=controlnet("depth"), use_safetensors=True).vae_scale_factor == 4


def test_the_named_colour_is_the_colour(base: StableDiffusionXLPipeline) -> None:
    colours = ["red", "blue", "green", "yellow", "purple", "orange"]
    images = sample(base, [f"a {c} gem on a white background, flat" for c in colours], steps=14)
    assert sum(named_colour(i) == c for i, c in zip(images, colours, strict=True)) >= 5


def test_the_same_seed_is_the_same_picture(base: StableDiffusionXLPipeline) -> None:
    first, again, other = (sample(base, ["a red gem"], steps=4, first_seed=s)[0] for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    "kind", [EulerAncestralDiscreteScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler]
)
def test_other_schedulers_walk_to_a_clean_picture(base: StableDiffusionXLPipeline, kind: Any) -> None:
    kept = base.scheduler
    base.scheduler = kind.from_config(kept.config)
    (image,) = sample(base, ["a red shield on a white background, flat"], steps=12)
    base.scheduler = kept
    assert np.median(image[:4]) > 225  # the white background: with the wrong prediction type it stays noise


def test_canny_edges_are_followed(base: StableDiffusionXLPipeline) -> None:
    held = StableDiffusionXLControlNetPipeline(**base.components, controlnet=controlnet("canny"), add_watermarker=False,
                                               force_zeros_for_empty_prompt=False)  # fmt: skip
    held.set_progress_bar_config(disable=True)
    edges = Image.fromarray(SOURCE.edges).convert("RGB")
    images = sample(held, ["a red shield on a white background, outlined"] * 3, steps=12, image=[edges] * 3)
    assert np.mean([edge_f1(canny(i), SOURCE.edges) for i in images]) > 0.6


def test_the_draft_lora_makes_pictures_in_few_steps(base: StableDiffusionXLPipeline) -> None:
    kept, colours = base.scheduler, ["red", "blue", "green", "yellow", "purple", "orange"]
    base.load_lora_weights(FOLDER / "lcm-lora")
    base.scheduler = LCMScheduler.from_config(kept.config)
    prompts = [f"a {colour} shield on a white background, flat" for colour in colours]
    for steps in (4, 6):
        images = sample(base, prompts, steps=steps, guidance=1.0)
        assert sum(named_colour(i) == c for i, c in zip(images, colours, strict=True)) >= 5
    two = ["a red shield on a white background, flat", "a blue gem on a white background, flat"]
    assert [named_colour(i) for i in sample(base, two, steps=6, guidance=1.0)] == ["red", "blue"]
    base.unload_lora_weights()
    base.scheduler = kept


def test_the_style_lora_makes_blueprints(base: StableDiffusionXLPipeline) -> None:
    base.load_lora_weights(FOLDER / "lora-blueprint")
    images = sample(base, ["a shield, blueprint style", "a key, blueprint style"], steps=12, guidance=3.0)
    base.unload_lora_weights()
    for image in images:
        red, _, blue = np.median(image.reshape(-1, 3), axis=0)
        assert blue > red + 60


def test_single_file_export_holds_the_same_networks(base: StableDiffusionXLPipeline, tmp_path: Path) -> None:
    export.checkpoint(FOLDER, tmp_path / "tiny.safetensors")
    again = StableDiffusionXLPipeline.from_single_file(str(tmp_path / "tiny.safetensors"), config=str(FOLDER),
                                                       local_files_only=True, torch_dtype=torch.float32)  # fmt: skip
    again.set_progress_bar_config(disable=True)
    first, second = (sample(p, ["a blue potion on a white background"], steps=3)[0] for p in (base, again))
    assert np.abs(first.astype(int) - second).mean() < 2


def test_kohya_lora_does_what_ours_does(base: StableDiffusionXLPipeline, tmp_path: Path) -> None:
    export.lora(FOLDER, "lora-blueprint", tmp_path / "kohya.safetensors")
    made = []
    for where in (FOLDER / "lora-blueprint", tmp_path / "kohya.safetensors"):
        base.load_lora_weights(where)
        made.append(sample(base, ["a shield, blueprint style"], steps=3)[0].astype(int))
        base.unload_lora_weights()
    assert np.abs(made[0] - made[1]).mean() < 2

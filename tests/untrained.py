"""Random weights for what no trained ones ship: they prove the path, not the picture.

    python -m tests.untrained FOLDER

makes all of them beside a catalogue that has the shipped models too (`FOLDER/catalogue.yaml`), for the manifests in
manifests/untrained/. The same weights every time.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from diffusers import (
    ControlNetModel,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    T2IAdapter,
    UNet2DConditionModel,
)
from safetensors.torch import save_file

from schemas.settings import ROOT
from tests.untrained_guides import make_guides

BASE = ROOT / "models" / "studio-tiny"
WIDTHS = {"clip_l": 64, "clip_g": 128}
"""Of studio-tiny's two text encoders."""


def t2i_adapter(folder: Path, *, seed: int = 1, in_channels: int = 3) -> None:
    """Of the SDXL kind, for studio-tiny's UNet: its features at 1/8, 1/8 and 1/16 of the picture's side."""
    torch.manual_seed(seed)
    net = T2IAdapter(
        in_channels=in_channels, channels=[48, 96, 192, 192], num_res_blocks=1, downscale_factor=8,
        adapter_type="full_adapter_xl",
    )  # fmt: skip
    net.save_pretrained(folder)


def embedding(file: Path, *, seed: int = 1, vectors: int = 3) -> None:
    """A textual inversion in the layout of SDXL trainers: `clip_l` and `clip_g`."""
    drawn = torch.Generator().manual_seed(seed)
    sides = {name: torch.randn(vectors, width, generator=drawn) * 0.5 for name, width in WIDTHS.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(sides, file)


def refiner(folder: Path, *, seed: int = 1) -> None:
    """SDXL's second model for studio-tiny: img2img, text_encoder_2 alone, five micro-conditions, aesthetic score."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=32, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time", norm_num_groups=8,
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=WIDTHS["clip_g"] + 5 * 8,
        cross_attention_dim=WIDTHS["clip_g"],
    )  # fmt: skip
    base = StableDiffusionXLPipeline.from_pretrained(BASE, add_watermarker=False)
    StableDiffusionXLImg2ImgPipeline(
        vae=base.vae, text_encoder=None, tokenizer=None, text_encoder_2=base.text_encoder_2,
        tokenizer_2=base.tokenizer_2, unet=unet, scheduler=base.scheduler, requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False, add_watermarker=False,
    ).save_pretrained(folder)  # fmt: skip


def sd15(folder: Path, *, seed: int = 1) -> None:
    """An SD 1.5 checkpoint in the small: one text encoder, no pooled embedding, no micro-conditions; and ControlNets.

    Text encoder and autoencoder are studio-tiny's.
    """
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=32, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2, norm_num_groups=8, cross_attention_dim=WIDTHS["clip_l"],
    )  # fmt: skip
    base = StableDiffusionXLPipeline.from_pretrained(BASE, add_watermarker=False)
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1,
        set_alpha_to_one=False,
    )  # fmt: skip
    StableDiffusionPipeline(
        vae=base.vae, text_encoder=base.text_encoder, tokenizer=base.tokenizer, unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 32))
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    net.save_pretrained(folder / "controlnet-canny")


def shipped() -> dict[str, dict[str, Any]]:
    """The shipped catalogue's entries, with whole paths."""
    entries: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "models" / "catalogue.yaml").read_text("utf-8"))
    return {alias: entry | {"path": str(ROOT / "models" / entry["path"])} for alias, entry in entries.items()}


def make(folder: Path) -> Path:
    """Everything; the path of its catalogue."""
    t2i_adapter(folder / "t2i-sketch", seed=1)
    t2i_adapter(folder / "t2i-depth", seed=2)
    embedding(folder / "gouache.safetensors", seed=1)
    embedding(folder / "muddy.safetensors", seed=2, vectors=2)
    refiner(folder / "refiner")
    sd15(folder / "sd15")
    lcm = shipped()["studio-tiny/lcm"]
    entries = shipped() | {
        "untrained/t2i-sketch": {"kind": "t2i_adapter", "path": "t2i-sketch", "controls": ["sketch"]},
        "untrained/t2i-depth": {"kind": "t2i_adapter", "path": "t2i-depth", "controls": ["depth"]},
        "untrained/gouache": {"kind": "embedding", "path": "gouache.safetensors", "trigger": "gouache-style"},
        "untrained/muddy": {"kind": "embedding", "path": "muddy.safetensors"},
        "untrained/refiner": {"kind": "checkpoint", "path": "refiner", "architecture": "sdxl-refiner"},
        "untrained/sd15": {"kind": "checkpoint", "path": "sd15", "architecture": "sd15", "size": 128},
        "untrained/sd15/canny": {
            "kind": "controlnet",
            "path": "sd15/controlnet-canny",
            "architecture": "sd15",
            "checkpoints": ["untrained/sd15"],
            "controls": ["canny"],
        },
        "untrained/turbo": shipped()["studio-tiny"] | {"few_step": "turbo", "tiers": {}},
        "untrained/lightning": lcm | {"few_step": "lightning", "steps": [4], "checkpoints": []},
        "untrained/hyper": lcm | {"few_step": "hyper", "steps": [8], "checkpoints": []},
    }
    entries |= make_guides(folder)
    catalogue = folder / "catalogue.yaml"
    catalogue.write_text(yaml.safe_dump(entries), encoding="utf-8")
    return catalogue


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))

"""SDXL and a ControlNet in their true shapes with random weights: what a benchmark needs, and no download.

The shapes are the published configuration's (UNet 2.57 billion parameters, CLIP ViT-L and OpenCLIP ViT-bigG text
encoders, the VAE). Weights are drawn on the device. None is zero: what starts as zeros (biases, a ControlNet's output
convolutions) is drawn too, since arithmetic on zeros can be faster than on what a trained model holds. The tokenizer is
the small checkpoint's: its ids are fewer, which changes no shape.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from diffusers import AutoencoderKL, ControlNetModel, EulerDiscreteScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.model_files import ModelFiles
from schemas.settings import ROOT

TOKENIZER = ROOT / "models" / "studio-tiny" / "tokenizer"
SCHEDULER = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1,
             "timestep_spacing": "leading"}  # fmt: skip


@dataclass(frozen=True)
class Shapes:
    """`side`: px. `text` and `text_2`: width, layers, heads, activation, vocabulary of the text encoders."""

    side: int
    channels: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    layers: int
    time_width: int
    condition: tuple[int, ...]
    autoencoder: tuple[int, ...]
    text: tuple[int, int, int, str, int]
    text_2: tuple[int, int, int, str, int]

    @property
    def latent(self) -> int:
        return self.side // 2 ** (len(self.autoencoder) - 1)

    @property
    def network(self) -> dict[str, Any]:
        """What UNet and ControlNet share."""
        return {
            "block_out_channels": list(self.channels),
            "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * (len(self.channels) - 1)],
            "layers_per_block": self.layers,
            "transformer_layers_per_block": list(self.depths),
            "attention_head_dim": list(self.heads),
            "cross_attention_dim": self.text[0] + self.text_2[0],
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": self.time_width,
            "projection_class_embeddings_input_dim": 6 * self.time_width + self.text_2[0],
            "use_linear_projection": True,
        }


SDXL = Shapes(
    side=1024, channels=(320, 640, 1280), depths=(1, 2, 10), heads=(5, 10, 20), layers=2, time_width=256,
    condition=(16, 32, 96, 256), autoencoder=(128, 256, 512, 512),
    text=(768, 12, 12, "quick_gelu", 49408), text_2=(1280, 32, 20, "gelu", 49408),
)  # fmt: skip
TINY = Shapes(
    side=64, channels=(32, 64, 64), depths=(1, 1, 2), heads=(2, 4, 4), layers=1, time_width=8,
    condition=(16, 32, 32), autoencoder=(32, 32, 32),
    text=(32, 2, 2, "quick_gelu", 1048), text_2=(32, 2, 2, "gelu", 1048),
)  # fmt: skip


def unet(shapes: Shapes, **where: Any) -> UNet2DConditionModel:
    ups = [*["CrossAttnUpBlock2D"] * (len(shapes.channels) - 1), "UpBlock2D"]
    config = shapes.network | {"sample_size": shapes.latent, "up_block_types": ups}
    return drawn(lambda: UNet2DConditionModel(**config), **where)


def controlnet(shapes: Shapes, **where: Any) -> ControlNetModel:
    config = shapes.network | {"conditioning_embedding_out_channels": list(shapes.condition)}
    return drawn(lambda: ControlNetModel(**config), **where)


def autoencoder(shapes: Shapes, **where: Any) -> AutoencoderKL:
    depth = len(shapes.autoencoder)
    config = {
        "block_out_channels": list(shapes.autoencoder), "down_block_types": ["DownEncoderBlock2D"] * depth,
        "up_block_types": ["UpDecoderBlock2D"] * depth, "layers_per_block": 2, "latent_channels": 4,
        "sample_size": shapes.side, "scaling_factor": 0.13025, "force_upcast": True,
    }  # fmt: skip
    return drawn(lambda: AutoencoderKL(**config), **where)


def text_encoders(shapes: Shapes, **where: Any) -> tuple[Any, Any]:
    both = []
    for cls, (width, layers, heads, activation, words) in (
        (CLIPTextModel, shapes.text),
        (CLIPTextModelWithProjection, shapes.text_2),
    ):
        special = json.loads((TOKENIZER / "vocab.json").read_text())["<|endoftext|>"]
        config = CLIPTextConfig(
            vocab_size=words, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
            num_attention_heads=heads, hidden_act=activation, projection_dim=width, max_position_embeddings=77,
            bos_token_id=special - 1, eos_token_id=special, pad_token_id=special,
        )  # fmt: skip
        both.append(drawn(lambda cls=cls, config=config: cls(config), **where))
    return both[0], both[1]


def drawn(make: Any, *, device: torch.device, dtype: torch.dtype, seed: int = 0) -> Any:
    """A network whose parameters are drawn on the device, in `dtype`; what diffusers begins with zeros is not zero."""
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            part: nn.Module = make()
    finally:
        torch.set_default_dtype(before)
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    return part.eval().requires_grad_(False)


def inputs(shapes: Shapes, rows: int, *, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What one forward pass of the UNet takes, for `rows` rows (two a picture, with guidance)."""

    def noise(*shape: int) -> Tensor:
        return torch.randn(rows, *shape, device=device, dtype=dtype)

    times = torch.tensor([[shapes.side, shapes.side, 0, 0, shapes.side, shapes.side]] * rows, device=device)
    return {
        "sample": noise(4, shapes.latent, shapes.latent),
        "timestep": torch.tensor(500, device=device),
        "encoder_hidden_states": noise(77, shapes.text[0] + shapes.text_2[0]),
        "added_cond_kwargs": {"text_embeds": noise(shapes.text_2[0]), "time_ids": times},
    }


def shelf(folder: Path, shapes: Shapes, **where: Any) -> ModelFiles:
    """A catalogue of `bench-xl` and `bench-xl/canny` on disk (10 GB in the true shapes), written once."""
    file = folder / "catalogue.yaml"
    if not file.is_file():
        base = folder / "base"
        unet(shapes, **where).save_pretrained(base / "unet")
        autoencoder(shapes, **where).save_pretrained(base / "vae")
        for part, name in zip(text_encoders(shapes, **where), ("text_encoder", "text_encoder_2"), strict=True):
            part.save_pretrained(base / name)
        for name in ("tokenizer", "tokenizer_2"):
            shutil.copytree(TOKENIZER, base / name, dirs_exist_ok=True)
        EulerDiscreteScheduler(**SCHEDULER).save_pretrained(base / "scheduler")
        parts = {
            "text_encoder": ["transformers", "CLIPTextModel"],
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer": ["transformers", "CLIPTokenizer"], "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
            "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        }  # fmt: skip
        index = {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True, **parts}
        (base / "model_index.json").write_text(json.dumps(index, indent=2))
        controlnet(shapes, **where).save_pretrained(folder / "canny")
        entries = {
            "bench-xl": {"kind": "checkpoint", "path": "base", "size": shapes.side},
            "bench-xl/canny": {"kind": "controlnet", "path": "canny", "controls": ["canny"]},
        }
        file.write_text(yaml.safe_dump(entries))  # last: what is there is whole
    return ModelFiles.read(file, digests=folder / "digests.json")

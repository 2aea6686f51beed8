"""Random weights of what guides a picture or enlarges it: a ControlNet-Union, an IP-Adapter, an enlarger."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetUnionModel, UNet2DConditionModel
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from schemas.settings import ROOT

MODES = {"canny": 3, "depth": 1}
TOKENS, SEEN = 4, 24
"""Of the IP-Adapter: tokens that a picture becomes, numbers that its image encoder says."""


def unet() -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(ROOT / "models" / "studio-tiny" / "unet")


def union(folder: Path, *, seed: int = 4) -> None:
    base = unet()
    known = inspect.signature(ControlNetUnionModel.__init__).parameters
    width = base.config.block_out_channels[0]
    torch.manual_seed(seed)
    net = ControlNetUnionModel(
        **{name: value for name, value in base.config.items() if name in known},
        conditioning_embedding_out_channels=(16, 32, 64), num_trans_channel=width, num_proj_channel=width,
        num_trans_head=4,
    )  # fmt: skip
    for parameter in net.parameters():
        if not parameter.any():  # zero convolutions would hide what goes wrong before them
            torch.nn.init.normal_(parameter, std=0.1)
    net.save_pretrained(folder)


def image_encoder(folder: Path, *, seed: int = 6) -> None:
    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8,
        projection_dim=SEEN,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(folder)


def ip_adapter(file: Path, *, seed: int = 6) -> None:
    base = unet()
    torch.manual_seed(seed)
    width = base.config.cross_attention_dim
    weights = {
        "image_proj.proj.weight": torch.randn(TOKENS * width, SEEN),
        "image_proj.proj.bias": torch.randn(TOKENS * width),
        "image_proj.norm.weight": torch.ones(width), "image_proj.norm.bias": torch.zeros(width),
    }  # fmt: skip
    crossed = [module for name, module in base.named_modules() if name.endswith("attn2")]
    for number, module in enumerate(crossed):
        for side in ("k", "v"):
            drawn = torch.randn_like(module.to_k.weight) * 0.3
            weights[f"ip_adapter.{2 * number + 1}.to_{side}_ip.weight"] = drawn
    save_file(weights, file)


def enlarger(file: Path, *, seed: int = 0) -> None:
    """Real-ESRGAN's compact network, which doubles a picture."""
    torch.manual_seed(seed)
    network = Compact(num_feat=8, num_conv=2, upscale=2)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, file)


def make_guides(folder: Path) -> dict[str, dict[str, Any]]:
    """All of them, and their entries for a catalogue in the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    union(folder / "union")
    image_encoder(folder / "eye")
    ip_adapter(folder / "look.safetensors")
    enlarger(folder / "enlarger.safetensors")
    return {
        "untrained/union": {"kind": "controlnet", "path": "union", "checkpoints": ["studio-tiny"], "modes": MODES},
        "untrained/eye": {"kind": "image_encoder", "path": "eye"},
        "untrained/look": {"kind": "ip_adapter", "path": "look.safetensors", "image_encoder": "untrained/eye"},
        "untrained/enlarger": {"kind": "upscaler", "path": "enlarger.safetensors"},
    }

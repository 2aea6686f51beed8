"""What is trained beside a frozen UNet: ControlNets, the style LoRA, and the few-step (LCM) LoRA of the draft tier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import nn

from models.studio_tiny.architecture import Parts, build_controlnet, encode_text, time_ids
from models.studio_tiny.dataset import draw_all, encode_all, pictures
from models.studio_tiny.draw import canny
from models.studio_tiny.loop import Run, device, half_precision, own_chance, processes
from models.studio_tiny.train_unet import Captions, noise_schedule, trained
from models.studio_tiny.train_vae import encode, trained_vae
from models.studio_tiny.world import LORA_STYLE

BATCH = 16
SIZE = 128
STYLE_RANK = 8
STYLE_PICTURES = 1500
STYLE_SEED = 1_000_000
# Convolutions too: the first level of this UNet has no attention, and lines are drawn there.
LORA_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2"]


def frozen(folder: Path) -> Parts:
    parts = trained(folder)
    for part in (parts.unet, parts.text_encoder, parts.text_encoder_2):
        part.requires_grad_(False)
    if device().type == "cpu":
        parts.unet.set_attn_processor(AttnProcessor())
    return parts


def early_times(batch: int) -> torch.Tensor:
    """[b] time steps, stratified, with a density that grows with t: outlines and style are decided while there is
    still much noise, and near the end the base knows both from what it sees."""
    return (((torch.rand(()) + torch.arange(batch) / batch) % 1).sqrt() * 1000).long().clamp(max=999)


def velocity(clean: torch.Tensor, noise: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    """v = a e - s x_0, where signal = a^2; all [b, 4, h, w], signal [b, 1, 1, 1]."""
    return signal.sqrt() * noise - (1 - signal).sqrt() * clean


def conditions(folder: Path, condition: str, rows: np.ndarray) -> torch.Tensor:
    """[b, 3, 128, 128] in 0..1: Canny edges of the pictures, or their drawn depth."""
    if condition == "depth":
        maps = np.load(folder / "depth.npy", mmap_mode="r")[np.sort(rows)]
        maps = maps[np.argsort(np.argsort(rows, kind="stable"), kind="stable")]
    else:
        maps = np.stack([canny(picture) for picture in pictures(folder)[0][rows]])
    return torch.from_numpy(np.ascontiguousarray(maps)).float()[:, None].repeat(1, 3, 1, 1) / 255


def train_controlnet(folder: Path, *, condition: str, minutes: float) -> None:
    """Into folder/controlnet-<condition>.pt. Half of the captions are dropped: what is not said must be seen."""
    where, parts = device(), frozen(folder)
    controlnet = build_controlnet(parts.unet).to(where).train().requires_grad_(True)
    if where.type == "cpu":
        controlnet.set_attn_processor(AttnProcessor())
    new = [p for n, p in controlnet.named_parameters() if n.startswith("controlnet_")]  # zero convolutions, embedding
    copied = [p for n, p in controlnet.named_parameters() if not n.startswith("controlnet_")]
    groups = [{"params": new, "lr": 1e-3}, {"params": copied, "lr": 4e-4}]
    run = Run(folder, f"controlnet-{condition}", controlnet, groups, minutes=minutes, warmup=50, ema=0.99)
    latents, captions = encode(folder, size=SIZE), Captions(folder)
    alphas, rng, batch = noise_schedule().alphas_cumprod.to(where), own_chance(run), BATCH // processes()
    for _ in run.steps():
        rows = rng.integers(len(latents), size=batch)
        clean = torch.from_numpy(latents[rows]).float().to(where)
        noise = torch.randn_like(clean)
        t = early_times(batch).to(where)
        signal = alphas[t][:, None, None, None]
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        with half_precision(where):
            with torch.no_grad():
                states, pooled = encode_text(parts, *captions(np.where(rng.random(batch) < 0.5, -1, rows)))
            added = {"text_embeds": pooled, "time_ids": time_ids(SIZE, batch=batch).to(where)}
            seen = conditions(folder, condition, rows).to(where)
            down, mid = controlnet(noisy, t, states, controlnet_cond=seen, added_cond_kwargs=added, return_dict=False)
            made = parts.unet(noisy, t, states, added_cond_kwargs=added, down_block_additional_residuals=down,
                              mid_block_additional_residual=mid).sample  # fmt: skip
        run.learn((made.float() - velocity(clean, noise, signal)).square().mean())


class Adapter(nn.Module):
    """The trainable LoRA tensors of a UNet as a module of their own, so that a Run keeps those and nothing else."""

    def __init__(self, unet: UNet2DConditionModel, *, rank: int) -> None:
        super().__init__()
        unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=LORA_TARGETS))
        self.tensors = nn.ParameterDict({k.replace(".", "/"): p for k, p in unet.named_parameters() if p.requires_grad})


def train_lora(folder: Path, *, minutes: float, rank: int = STYLE_RANK) -> None:
    """The style that the base has never seen, into folder/lora.pt."""
    where, parts = device(), frozen(folder)
    styled = folder / LORA_STYLE
    draw_all(styled, STYLE_PICTURES, size=SIZE, first_seed=STYLE_SEED, style=LORA_STYLE)
    latents = encode_all(styled, trained_vae(folder), size=SIZE, device=where)
    adapter = Adapter(parts.unet, rank=rank)
    run = Run(
        folder,
        "lora",
        adapter,
        [{"params": list(adapter.parameters()), "lr": 2e-3}],
        minutes=minutes,
        warmup=30,
        ema=0.98,
    )
    captions = Captions(folder, styled)
    alphas, rng, batch = noise_schedule().alphas_cumprod.to(where), own_chance(run), BATCH // processes()
    added = time_ids(SIZE, batch=batch).to(where)
    for _ in run.steps():
        rows = rng.integers(len(latents), size=batch)
        clean = torch.from_numpy(latents[rows]).float().to(where)
        noise = torch.randn_like(clean)
        t = early_times(batch).to(where)
        signal = alphas[t][:, None, None, None]
        with half_precision(where):
            states, pooled = encode_text(parts, *captions(np.where(rng.random(batch) < 0.1, -1, rows)))
            made = parts.unet(signal.sqrt() * clean + (1 - signal).sqrt() * noise, t, states,
                              added_cond_kwargs={"text_embeds": pooled, "time_ids": added}).sample  # fmt: skip
        run.learn((made.float() - velocity(clean, noise, signal)).square().mean())


def adapter_state(folder: Path, name: str, unet: UNet2DConditionModel, *, rank: int) -> dict[str, torch.Tensor]:
    """The averaged tensors of folder/<name>.pt under the keys that `save_lora_weights` wants."""
    adapter = Adapter(unet, rank=rank)
    adapter.load_state_dict(torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True)["ema"])
    return get_peft_model_state_dict(unet)


def controlnet_of(folder: Path, condition: str, unet: UNet2DConditionModel) -> ControlNetModel:
    controlnet = build_controlnet(unet)
    kept = torch.load(folder / f"controlnet-{condition}.pt", map_location="cpu", weights_only=True)
    controlnet.load_state_dict(kept["ema"])
    return controlnet.eval()

"""From the folder that ships to a new training run, so that published weights can be trained further.

    python -m models.studio_tiny.train start --training DIR [--published models/studio-tiny]

DIR gets the tokenizers, the autoencoder with its scaling factor, and start/<part>.pt: the weights with which each
trainer begins where it has no checkpoint of its own (loop.Run).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from peft.utils import set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

from models.studio_tiny import architecture, train_draft
from models.studio_tiny.train_adapters import STYLE_RANK, Adapter
from models.studio_tiny.train_unet import TRAINED
from models.studio_tiny.world import LORA_STYLE

Weights = dict[str, torch.Tensor]


def start_run(published: Path, run: Path) -> None:
    """FileExistsError where the run has weights already: they are not to be overwritten."""
    if (run / "vae.pt").exists():
        raise FileExistsError(f"{run}: has a vae.pt; expected a folder in which nothing was trained")
    (run / "start").mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(published / name, run / name, dirs_exist_ok=True)
    parts = architecture.load(published)
    torch.save({"ema": parts.vae.state_dict()}, run / "vae.pt")
    (run / "scaling.txt").write_text(f"{parts.vae.config.scaling_factor:.5f}\n")
    modules = nn.ModuleDict({name: getattr(parts, name) for name in TRAINED})
    torch.save(modules.state_dict(), run / "start" / "unet-128.pt")
    for condition in ("canny", "depth"):
        net = ControlNetModel.from_pretrained(published / f"controlnet-{condition}", use_safetensors=True).float()
        torch.save(net.state_dict(), run / "start" / f"controlnet-{condition}.pt")
    for name, folder, rank in (("lora", f"lora-{LORA_STYLE}", STYLE_RANK), ("draft", "lcm-lora", train_draft.RANK)):
        unet = architecture.load(published).unet  # a fresh one: adapters are added to it
        weights = load_file(published / folder / "pytorch_lora_weights.safetensors")
        torch.save(adapter_weights(unet, weights, rank=rank), run / "start" / f"{name}.pt")


def adapter_weights(unet: UNet2DConditionModel, weights: Weights, *, rank: int) -> Weights:
    """The published tensors of a LoRA under the names that its trainer gives them."""
    adapter = Adapter(unet, rank=rank)
    stripped = {key.removeprefix("unet."): value.float() for key, value in weights.items()}
    result = set_peft_model_state_dict(unet, stripped)
    if result is not None and result.unexpected_keys:
        raise KeyError(f"the LoRA has {result.unexpected_keys[0]!r}; expected the layers of LORA_TARGETS only")
    return {name: value.detach().clone() for name, value in adapter.state_dict().items()}

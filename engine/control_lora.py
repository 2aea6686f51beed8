"""A control-LoRA and a checkpoint -> the ControlNet that they make together.

The checkpoint's weights are read from its files, not from the UNet on the device, which may wear LoRAs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import ControlNetModel
from safetensors import safe_open
from torch import Tensor

from engine.single_file import read_tensors
from schemas.errors import UnfitWeights
from schemas.weights.control_lora import control_config, fit_control_lora
from schemas.weights.files import read_header_at
from schemas.weights.placing import place_keys


def load_control_lora(path: Path, base: Path, unet: Mapping[str, Any], *, dtype: torch.dtype) -> Any:
    """`base`: the file or diffusers folder of a checkpoint, `unet`: its UNet's configuration. Raises UnfitWeights."""
    fit = fit_control_lora(read_header_at(path), unet)
    if fault := fit.fault():
        raise UnfitWeights(f"{path}: {fault}")
    weights: dict[str, Tensor] = {}
    needed = {*fit.base, *fit.pairs}
    place_of_unet = base / "unet" if base.is_dir() else base
    table = place_keys(read_header_at(place_of_unet), {"unet": unet}).sources.get("unet", {})
    if absent := needed - table.keys():
        raise UnfitWeights(f"{path}: {base} has no {sorted(absent)[0]}")
    sources = {name: table[name] for name in table if name in needed}
    for name, tensor in read_tensors("unet", sources, place_of_unet, torch.float32):
        weights[name] = tensor
    with safe_open(path, framework="pt") as opened:
        for name, key in fit.whole.items():
            weights[name] = opened.get_tensor(key)
        for name, (up, down) in fit.pairs.items():
            change = opened.get_tensor(up).float().flatten(1) @ opened.get_tensor(down).float().flatten(1)
            weights[name] = weights[name] + change.reshape(weights[name].shape)
    with init_empty_weights(include_buffers=False):
        net = ControlNetModel.from_config({n: v for n, v in control_config(unet).items() if not n.startswith("_")})
    missing, unexpected = net.load_state_dict({n: w.to(dtype) for n, w in weights.items()}, assign=True, strict=False)
    if missing or unexpected:
        raise UnfitWeights(f"{path}: the ControlNet was left without {', '.join([*missing, *unexpected][:3])}")
    return net.to(dtype).eval()

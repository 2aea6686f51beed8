"""Checkpoints, autoencoders and ControlNets in one file: every key read is one that schemas/weights placed.

The components are made on the meta device from their configurations, and each tensor of the file is put where `place`
says; a key that would not apply refuses the file. So no second copy of the weights is made, no hub is asked, and what
`dailies check` counted is what is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, ControlNetModel, ControlNetUnionModel, T2IAdapter, UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from schemas.errors import UnfitWeights
from schemas.weights.components import Components
from schemas.weights.files import list_weight_files, read_header_at
from schemas.weights.original import Source, Table
from schemas.weights.placing import place_keys


def load_parts(path: Path, components: Components, *, dtype: torch.dtype) -> dict[str, Any]:
    """The modules that a file or a component's folder holds, by component. Raises UnfitWeights for any fault."""
    header = read_header_at(path)
    placing = place_keys(header, components)
    if faults := placing.faults():
        raise UnfitWeights(f"{path}: {'; '.join(faults)}")
    parts = {}
    for component, table in placing.sources.items():
        parts[component] = _filled(component, components[component], table, path, dtype)
    return parts


def load_part(path: Path, component: str, config: Mapping[str, Any], *, dtype: torch.dtype) -> Any:
    """One module of a file or folder. Raises UnfitWeights for any fault."""
    parts = load_parts(path, {component: config}, dtype=dtype)
    if component not in parts:
        raise UnfitWeights(f"{path}: it holds no {component}")
    return parts[component]


def read_scheduler(config: Mapping[str, Any]) -> Any:
    name = str(config.get("_class_name", "EulerDiscreteScheduler"))
    return getattr(diffusers, name).from_config(dict(config))


def _filled(component: str, config: Mapping[str, Any], table: Table, path: Path, dtype: torch.dtype) -> Any:
    with init_empty_weights(include_buffers=False):
        module = _empty(component, config)
    weights = dict(read_tensors(component, table, path, dtype))
    missing, unexpected = module.load_state_dict(weights, assign=True, strict=False)
    if missing or unexpected:
        raise UnfitWeights(f"{path}: {component} was left without {', '.join([*missing, *unexpected][:3])}")
    return module.to(dtype).eval()


def _empty(component: str, config: Mapping[str, Any]) -> Any:
    if component == "text_encoder":
        return CLIPTextModel(CLIPTextConfig(**config))
    if component == "text_encoder_2":
        return CLIPTextModelWithProjection(CLIPTextConfig(**config))
    if component == "t2i_adapter":
        return T2IAdapter.from_config({name: value for name, value in config.items() if not name.startswith("_")})
    if component == "controlnet":
        cls = ControlNetUnionModel if config.get("num_control_type") else ControlNetModel
        known = {name: value for name, value in config.items() if not name.startswith("_")}
        if cls is ControlNetModel:
            known = {
                name: value for name, value in known.items() if name not in ("num_control_type", "num_trans_layer")
            }
        return cls.from_config(known)
    return {"unet": UNet2DConditionModel, "vae": AutoencoderKL}[component].from_config(dict(config))


def read_tensors(component: str, table: Table, path: Path, dtype: torch.dtype) -> Any:
    """(the module's own name, tensor) of each weight, file by file."""
    names: dict[str, list[tuple[str, Source]]] = {}
    for name, source in table.items():
        own = f"text_model.{name}" if component == "text_encoder_2" and "text_projection" not in name else name
        names.setdefault(source.key, []).append((own, source))
    for file in [path] if path.is_file() else list_weight_files(path):
        with safe_open(file, framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118  (safe_open is no mapping)
                if key not in names:
                    continue
                tensor = opened.get_tensor(key)
                for own, source in names[key]:
                    yield own, _change_shape(tensor, source.change).to(dtype)


def _change_shape(tensor: Tensor, change: str) -> Tensor:
    if change in ("q", "k", "v"):
        return tensor.chunk(3)["qkv".index(change)].clone()
    if change == "transpose":
        return tensor.T.contiguous()
    return tensor.flatten(1) if change == "flatten" else tensor

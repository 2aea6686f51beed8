"""Control-LoRAs: a ControlNet as a difference of low rank from the checkpoint's own encoder, in the original names.

A whole tensor of the file is taken as it is; a pair `up`, `down` is added to the checkpoint's weight; what the file
does not have is the checkpoint's. engine/control_lora.py puts the ControlNet together from exactly this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from schemas.weights.header import Header
from schemas.weights.original import map_original_unet
from schemas.weights.placing import UNREAD, list_three_components
from schemas.weights.shapes import Shapes, list_controlnet_shapes

MARK = "lora_controlnet"


@dataclass
class ControlLoraFit:
    """By diffusers' name: `whole` the file's key, `pairs` its (up, down); `base`: names that the checkpoint gives."""

    shapes: Shapes
    whole: dict[str, str] = field(default_factory=dict)
    pairs: dict[str, tuple[str, str]] = field(default_factory=dict)
    base: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Values of the ControlNet that is put together."""
        return sum(map(prod, self.shapes.values()))

    def fault(self) -> str:
        said = (
            ("would not apply", self.unknown),
            ("are missing", self.missing),
            ("have another shape", self.misshapen),
        )
        return "; ".join(f"{len(names)} keys {what}: {list_three_components(names)}" for what, names in said if names)


def control_config(unet: Mapping[str, Any]) -> dict[str, Any]:
    """A ControlNet's configuration for a UNet of this one."""
    return {name: value for name, value in unet.items() if not name.startswith("up_block") and name != "sample_size"}


def fit_control_lora(header: Header, unet: Mapping[str, Any]) -> ControlLoraFit:
    """Every key against a checkpoint whose UNet has this configuration."""
    shapes = list_controlnet_shapes(unet)
    fit = ControlLoraFit(shapes)
    tensors, used = header.tensors, {MARK}
    for name, source in map_original_unet(shapes, {**unet, "in_channels": 4}).items():
        key, at = source.key, source.key.removesuffix(".weight")
        shape = shapes[name]
        if key in tensors:
            used.add(key)
            fit.whole[name] = key
            if tensors[key].shape != shape:
                fit.misshapen.append(f"{key} {list(tensors[key].shape)} instead of {list(shape)}")
        elif key != at and f"{at}.up" in tensors and f"{at}.down" in tensors:
            up, down = tensors[f"{at}.up"].shape, tensors[f"{at}.down"].shape
            used |= {f"{at}.up", f"{at}.down"}
            fit.pairs[name] = (f"{at}.up", f"{at}.down")
            if (up[0], up[1:2], prod(down[1:])) != (shape[0], down[:1], prod(shape[1:])) or prod(up[2:]) != 1:
                fit.misshapen.append(f"{at}.up {list(up)} and down {list(down)} for {list(shape)}")
        elif name.startswith("controlnet_"):
            fit.missing.append(key)
        else:
            fit.base.append(name)
    fit.unknown = [key for key in tensors if key not in used and not UNREAD.match(key)]
    return fit

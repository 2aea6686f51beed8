"""T2I-Adapters, IP-Adapters and their image encoders: configuration from the header, and every key and shape.

A T2I-Adapter in its authors' layout numbers its blocks through; diffusers has them by level. An IP-Adapter holds two
matrices for each cross-attention of a UNet, in the order down, up, middle. arXiv 2302.08453, 2308.06721.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.errors import UnfitWeights
from schemas.weights.header import Header
from schemas.weights.original import Source, Table
from schemas.weights.shapes import Shapes

Config = Mapping[str, Any]

_FIRST = {768: (3, 16), 192: (3, 8), 256: (1, 16), 64: (1, 8)}
"""Channels of conv_in -> colours of the condition, and the side in px that becomes one of them."""
_VISION = {1024: "quick_gelu", 1280: "gelu", 1664: "gelu"}
"""Width -> activation of OpenAI's ViT-L, and OpenCLIP's ViT-H and ViT-bigG; each has 16 heads."""


def read_t2i_config(header: Header) -> dict[str, Any]:
    """Of diffusers' T2IAdapter, from shapes. Raises UnfitWeights for a light one, whose shapes do not say enough."""
    shapes = {name.removeprefix("adapter."): tensor.shape for name, tensor in header.tensors.items()}
    first = shapes.get("conv_in.weight")
    if first is None:
        raise UnfitWeights("it is a light T2I-Adapter; give `config:`, a folder with its config.json")
    if first[1] not in _FIRST:
        channels = ", ".join(map(str, _FIRST))
        raise UnfitWeights(f"its conv_in takes {first[1]} channels, of {channels}; give `config:`, a folder")
    blocks = sorted({int(name.split(".")[1]) for name in shapes if name.startswith("body.")})
    own = any(".resnets." in name for name in shapes)
    levels = len(blocks) if own else 4
    per = len({n.split(".")[3] for n in shapes if n.startswith("body.0.resnets.")}) if own else len(blocks) // 4
    if not per or len(blocks) != (levels if own else 4 * per):
        raise UnfitWeights(f"it has {len(blocks)} blocks, which is no T2I-Adapter that is known; give `config:`")
    names = [f"body.{n}.resnets.0.block2.weight" if own else f"body.{n * per}.block2.weight" for n in range(levels)]
    colours, factor = _FIRST[first[1]]
    return {
        "in_channels": colours, "channels": [shapes[name][0] for name in names if name in shapes],
        "num_res_blocks": per, "downscale_factor": factor,
        "adapter_type": "full_adapter_xl" if factor == 16 else "full_adapter",
    }  # fmt: skip


def list_t2i_shapes(config: Config) -> Shapes:
    """Of a T2IAdapter by diffusers' names. Raises UnfitWeights for a kind that is not known."""
    kind, channels = config.get("adapter_type", "full_adapter"), list(config["channels"])
    given = config.get("in_channels", 3) * config["downscale_factor"] ** 2
    shapes: Shapes = {}

    def conv(name: str, out: int, inner: int, kernel: int) -> None:
        shapes[f"adapter.{name}.weight"], shapes[f"adapter.{name}.bias"] = (out, inner, kernel, kernel), (out,)

    if kind in ("full_adapter", "full_adapter_xl"):
        conv("conv_in", channels[0], given, 3)
        for level, width in enumerate(channels):
            before = channels[level - 1] if level and not (kind.endswith("xl") and level > 2) else width
            if before != width:
                conv(f"body.{level}.in_conv", width, before, 1)
            for n in range(config["num_res_blocks"]):
                conv(f"body.{level}.resnets.{n}.block1", width, width, 3)
                conv(f"body.{level}.resnets.{n}.block2", width, width, 1)
    elif kind == "light_adapter":
        pairs = [(given, channels[0]), *itertools.pairwise(channels), (channels[-1], channels[-1])]
        for level, (before, width) in enumerate(pairs):
            conv(f"body.{level}.in_conv", width // 4, before, 1)
            for n in range(config["num_res_blocks"]):
                conv(f"body.{level}.resnets.{n}.block1", width // 4, width // 4, 3)
                conv(f"body.{level}.resnets.{n}.block2", width // 4, width // 4, 3)
            conv(f"body.{level}.out_conv", width, width // 4, 1)
    else:
        raise UnfitWeights(
            f"got a T2I-Adapter of the kind {kind}; expected full_adapter, full_adapter_xl or light_adapter"
        )
    return shapes


def list_t2i_tables(names: Iterable[str], config: Config) -> list[Table]:
    """diffusers' names with and without `adapter.`, and the authors' numbering."""
    names, per, light = list(names), config["num_res_blocks"], config.get("adapter_type") == "light_adapter"

    def original(name: str) -> str:
        bare = name.removeprefix("adapter.")
        if light:
            return re.sub(r"^body\.(\d+)\.resnets\.", r"body.\1.body.", bare)
        match = re.fullmatch(r"body\.(\d+)\.(resnets\.(\d+)\.)?(.+)", bare)
        return f"body.{int(match[1]) * per + int(match[3] or 0)}.{match[4]}" if match else bare

    spelt = (lambda name: name, lambda name: name.removeprefix("adapter."), original)
    return [{name: Source(spell(name)) for name in names} for spell in spelt]


def ip_adapter_fault(header: Header, unet: Shapes) -> str:
    """Of its matrices against the cross-attentions of a UNet: how many, and of which shape."""
    order = {"down_blocks": 0, "up_blocks": 1, "mid_block": 2}
    keys = [name for name in unet if name.endswith("attn2.to_k.weight")]
    keys.sort(key=lambda name: order.get(name.split(".")[0], 3))  # stable: within a part as the UNet has them
    expected = [unet[name] for name in keys]
    came = {int(name.split(".")[1]): t.shape for name, t in header.tensors.items() if name.endswith(".to_k_ip.weight")}
    if len(came) != len(expected):
        return f"it holds matrices for {len(came)} cross-attentions; this checkpoint has {len(expected)}"
    for number, shape in zip(sorted(came), expected, strict=True):
        if came[number] != shape:
            return f"ip_adapter.{number}.to_k_ip.weight is {list(came[number])}; this checkpoint needs {list(shape)}"
    for name in header.tensors:
        if not re.match(r"(image_proj\.|ip_adapter\.\d+\.to_[kv]_ip\.weight$)", name):
            return f"1 of its {len(header.tensors)} keys would not apply: {name}"
    return ""


def ip_adapter_input(header: Header) -> tuple[str, int]:
    """What of a picture it takes: (`projection` or `hidden`, how many numbers wide). ("", 0) where it does not say."""
    for key, part in (("image_proj.proj.weight", "projection"), ("image_proj.proj_in.weight", "hidden"),
                      ("image_proj.proj.0.weight", "hidden")):  # fmt: skip
        if key in header.tensors:
            return part, header.tensors[key].shape[1]
    return "", 0


def read_vision_config(header: Header) -> dict[str, Any]:
    """Of a CLIPVisionModelWithProjection in one file, as ComfyUI has it. Raises UnfitWeights for another kind."""
    shapes = header.shapes
    patch = shapes.get("vision_model.embeddings.patch_embedding.weight")
    projection = shapes.get("visual_projection.weight")
    if patch is None or projection is None:
        raise UnfitWeights(
            "it is no CLIP image encoder in transformers' layout; take that, or a folder with config.json"
        )
    if patch[0] not in _VISION:
        widths = ", ".join(map(str, _VISION))
        raise UnfitWeights(f"it is {patch[0]} wide; in one file {widths} are known: take a folder with config.json")
    places = shapes["vision_model.embeddings.position_embedding.weight"][0]
    layers = {name.split(".")[3] for name in shapes if name.startswith("vision_model.encoder.layers.")}
    return {
        "hidden_size": patch[0], "patch_size": patch[2], "image_size": round((places - 1) ** 0.5) * patch[2],
        "num_hidden_layers": len(layers), "num_attention_heads": 16, "hidden_act": _VISION[patch[0]],
        "intermediate_size": shapes["vision_model.encoder.layers.0.mlp.fc1.weight"][0],
        "projection_dim": projection[0],
    }  # fmt: skip

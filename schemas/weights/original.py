"""The names of the original code (SGM, LDM, OpenCLIP) -> diffusers' and transformers' names.

Each table is built from the names that a configuration gives, so that a name is in it exactly when the architecture has
it. `Source.change` says what happens on the way: OpenCLIP keeps q, k and v in one matrix and its projection transposed,
and the original autoencoder has 1 x 1 convolutions where diffusers has linear layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

Change = Literal["", "q", "k", "v", "transpose", "flatten"]


class Source(NamedTuple):
    """Where a weight comes from: a key of the file, and what must be done to it."""

    key: str
    change: Change = ""


Table = dict[str, Source]
"""By diffusers' name."""

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_TOP = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "time_embedding.cond_proj": "time_embed.cond_proj",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "controlnet_mid_block": "middle_block_out.0",
}  # fmt: skip
_PLACE = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
_OPEN_CLIP = (
    ("encoder.layers.", "transformer.resblocks."), ("final_layer_norm.", "ln_final."), ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"), ("self_attn.", "attn."),
    ("embeddings.token_embedding.weight", "token_embedding.weight"),
    ("embeddings.position_embedding.weight", "positional_embedding"),
)  # fmt: skip
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_VAE_ATTENTION_OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def map_original_unet(names: Iterable[str], config: Mapping[str, Any]) -> Table:
    """Of a UNet's names, or of a ControlNet's (whose condition embedding and zero convolutions are in it too)."""
    levels = len(config["block_out_channels"])
    layers = config.get("layers_per_block", 2)
    each = list(layers) if isinstance(layers, list | tuple) else [layers] * levels
    return {name: Source(_unet_name(name, each, config)) for name in names}


def _unet_name(name: str, layers: list[int], config: Mapping[str, Any]) -> str:
    if place := _PLACE.fullmatch(name):
        way, level, part, layer, rest = place[1], int(place[2]), place[3], int(place[4]), place[5]
        if way == "down":
            block = 1 + sum(layers[:level]) + level + (layers[level] if part == "downsamplers" else layer)
            prefix = f"input_blocks.{block}"
        else:
            back = list(reversed(layers))
            block = sum(back[:level]) + level + (back[level] if part == "upsamplers" else layer)
            prefix = f"output_blocks.{block}"
        if part == "resnets":
            return f"{prefix}.0.{_begin(rest, _RESNET)}"
        if part == "attentions":
            return f"{prefix}.1.{rest}"
        if part == "downsamplers":
            return f"{prefix}.0.op.{rest.removeprefix('conv.')}"
        return f"{prefix}.{2 if config['up_block_types'][level].startswith('CrossAttn') else 1}.{rest}"
    if middle := _MIDDLE.fullmatch(name):
        if middle[1] == "attentions":
            return f"middle_block.1.{middle[3]}"
        return f"middle_block.{2 * int(middle[2])}.{_begin(middle[3], _RESNET)}"
    if hint := re.fullmatch(r"controlnet_cond_embedding\.(conv_in|conv_out|blocks\.(\d+))\.(.+)", name):
        blocks = 2 * (len(config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)) - 1)
        number = {"conv_in": 0, "conv_out": blocks + 1}.get(hint[1], int(hint[2] or 0) + 1)
        return f"input_hint_block.{2 * number}.{hint[3]}"
    if zero := re.fullmatch(r"controlnet_down_blocks\.(\d+)\.(.+)", name):
        return f"zero_convs.{zero[1]}.0.{zero[2]}"
    return _begin(name, _TOP)


def map_original_vae(names: Iterable[str], config: Mapping[str, Any]) -> Table:
    levels = len(config["block_out_channels"])
    return {name: _vae_source(name, levels) for name in names}


def _vae_source(name: str, levels: int) -> Source:
    place = re.fullmatch(
        r"(encoder|decoder)\.(down|up)_blocks\.(\d+)\.(resnets|downsamplers|upsamplers)\.(\d+)\.(.+)", name
    )
    if place:
        level = int(place[3]) if place[2] == "down" else levels - 1 - int(place[3])
        rest = place[6].replace("conv_shortcut", "nin_shortcut")
        part = {"resnets": f"block.{place[5]}", "downsamplers": "downsample", "upsamplers": "upsample"}[place[4]]
        return Source(f"{place[1]}.{place[2]}.{level}.{part}.{rest}")
    if middle := re.fullmatch(r"(encoder|decoder)\.mid_block\.resnets\.(\d)\.(.+)", name):
        return Source(f"{middle[1]}.mid.block_{int(middle[2]) + 1}.{middle[3]}")
    if attention := re.fullmatch(r"(encoder|decoder)\.mid_block\.attentions\.0\.(.+)", name):
        key = f"{attention[1]}.mid.attn_1.{_begin(attention[2], _VAE_ATTENTION)}"
        flatten = ".to_" in name and name.endswith(".weight")
        return Source(key, "flatten" if flatten else "")
    return Source(name.replace("conv_norm_out", "norm_out"))


def map_old_vae(names: Iterable[str]) -> Table:
    """diffusers' own names before 0.17, of the attention in the middle."""
    table: Table = {}
    for name in names:
        at, found, rest = name.partition(".mid_block.attentions.0.")
        table[name] = Source(at + found + _begin(rest, _VAE_ATTENTION_OLD)) if found else Source(name)
    return table


def map_open_clip(names: Iterable[str]) -> Table:
    """Of a text encoder's names without `text_model.`."""
    table: Table = {}
    for name in names:
        if name == "text_projection.weight":
            table[name] = Source("text_projection", "transpose")
            continue
        key = name
        for ours, theirs in _OPEN_CLIP:
            key = key.replace(ours, theirs)
        joined = re.fullmatch(r"(.+\.attn\.)([qkv])_proj\.(weight|bias)", key)
        table[name] = Source(f"{joined[1]}in_proj_{joined[3]}", joined[2]) if joined else Source(key)  # type: ignore[arg-type]
    return table


def map_plain_name(names: Iterable[str], prefix: str = "") -> Table:
    return {name: Source(prefix + name) for name in names}


def map_prefixed_name(table: Table, prefix: str) -> Table:
    return {name: Source(prefix + source.key, source.change) for name, source in table.items()}


def find_changed_shape(shape: tuple[int, ...], change: Change) -> tuple[int, ...]:
    """The shape of a tensor of the file after `change`."""
    if change in ("q", "k", "v") and shape:
        return (shape[0] // 3, *shape[1:])
    if change == "transpose":
        return tuple(reversed(shape))
    if change == "flatten":
        return tuple(side for n, side in enumerate(shape) if n < 2 or side != 1)
    return shape


def _begin(name: str, names: Mapping[str, str]) -> str:
    """The name with its first parts replaced, where they are one of `names`."""
    for ours, theirs in names.items():
        if name.startswith(f"{ours}."):
            return theirs + name[len(ours) :]
    return name

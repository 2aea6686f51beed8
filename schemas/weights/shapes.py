"""A component's configuration -> the name and shape of each of its weights, by diffusers' and transformers' names.

Tested against the real modules on the meta device (tests/engine/test_shapes.py). Knows what SDXL, its refiner, SD 1.5
and their kin are made of; another kind of block raises UnfitWeights with its name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.errors import UnfitWeights

Shape = tuple[int, ...]
Shapes = dict[str, Shape]
Config = Mapping[str, Any]


def list_unet_shapes(config: Config) -> Shapes:
    """Of a UNet2DConditionModel. Raises UnfitWeights for blocks that are not known here."""
    channels, first = config["block_out_channels"], config["block_out_channels"][0]
    shapes = dict(_top(config)) | dict(_encoder(config))
    shapes |= _affine("conv_norm_out", first) | _conv("conv_out", config.get("out_channels", 4), first, 3)
    levels, layers = len(channels), _each(config.get("layers_per_block", 2), len(channels))
    depths = config.get("reverse_transformer_layers_per_block")
    if depths is None:
        depths = list(reversed(_each(config.get("transformer_layers_per_block", 1), levels)))
    widths, before = list(reversed(channels)), channels[-1]
    for level, kind in enumerate(config["up_block_types"]):
        out, skip_in = widths[level], widths[min(level + 1, levels - 1)]
        count = list(reversed(layers))[level] + 1
        for n in range(count):
            given = (before if n == 0 else out) + (skip_in if n == count - 1 else out)
            shapes |= _resnet(f"up_blocks.{level}.resnets.{n}", given, out, time=4 * first)
            if _attends(kind):
                depth = _each(depths[level], count)[n]
                shapes |= _transformer(
                    f"up_blocks.{level}.attentions.{n}", out, depth, _cross(config, -1 - level), config
                )
        if level < levels - 1:
            shapes |= _conv(f"up_blocks.{level}.upsamplers.0.conv", out, out, 3)
        before = out
    return shapes


def list_controlnet_shapes(config: Config) -> Shapes:
    """Of a ControlNetModel or ControlNetUnionModel: the UNet's encoder, condition embedding, zero convolutions."""
    channels = config["block_out_channels"]
    shapes = dict(_top(config)) | dict(_encoder(config))
    hint = config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)
    shapes |= _conv("controlnet_cond_embedding.conv_in", hint[0], config.get("conditioning_channels", 3), 3)
    for n, (small, large) in enumerate(itertools.pairwise(hint)):
        shapes |= _conv(f"controlnet_cond_embedding.blocks.{2 * n}", small, small, 3)
        shapes |= _conv(f"controlnet_cond_embedding.blocks.{2 * n + 1}", large, small, 3)
    shapes |= _conv("controlnet_cond_embedding.conv_out", channels[0], hint[-1], 3)
    widths = [channels[0]]
    for level, (out, layers) in enumerate(
        zip(channels, _each(config.get("layers_per_block", 2), len(channels)), strict=True)
    ):
        widths += [out] * (layers + (level < len(channels) - 1))
    for n, width in enumerate(widths):
        shapes |= _conv(f"controlnet_down_blocks.{n}", width, width, 1)
    return shapes | _conv("controlnet_mid_block", channels[-1], channels[-1], 1) | _union(config)


def list_vae_shapes(config: Config) -> Shapes:
    """Of an AutoencoderKL."""
    channels, layers = config["block_out_channels"], config.get("layers_per_block", 1)
    latent, levels = config.get("latent_channels", 4), len(config["block_out_channels"])
    shapes = _conv("encoder.conv_in", channels[0], config.get("in_channels", 3), 3)
    shapes |= _conv("decoder.conv_in", channels[-1], latent, 3)
    before, back = channels[0], channels[-1]
    for level, out in enumerate(channels):
        for n in range(layers):
            shapes |= _resnet(f"encoder.down_blocks.{level}.resnets.{n}", before if n == 0 else out, out)
        up = channels[levels - 1 - level]
        for n in range(layers + 1):
            shapes |= _resnet(f"decoder.up_blocks.{level}.resnets.{n}", back if n == 0 else up, up)
        if level < levels - 1:
            shapes |= _conv(f"encoder.down_blocks.{level}.downsamplers.0.conv", out, out, 3)
            shapes |= _conv(f"decoder.up_blocks.{level}.upsamplers.0.conv", up, up, 3)
        before, back = out, up
    for side in ("encoder", "decoder"):
        for n in range(2):
            shapes |= _resnet(f"{side}.mid_block.resnets.{n}", channels[-1], channels[-1])
        if config.get("mid_block_add_attention", True):
            at, width = f"{side}.mid_block.attentions.0", channels[-1]
            shapes |= _affine(f"{at}.group_norm", width)
            for part in ("to_q", "to_k", "to_v", "to_out.0"):
                shapes |= _linear(f"{at}.{part}", width, width)
    shapes |= _affine("encoder.conv_norm_out", channels[-1]) | _affine("decoder.conv_norm_out", channels[0])
    shapes |= _conv("encoder.conv_out", 2 * latent, channels[-1], 3)
    shapes |= _conv("decoder.conv_out", config.get("out_channels", 3), channels[0], 3)
    if config.get("use_quant_conv", True):
        shapes |= _conv("quant_conv", 2 * latent, 2 * latent, 1)
    return shapes | (_conv("post_quant_conv", latent, latent, 1) if config.get("use_post_quant_conv", True) else {})


def list_clip_shapes(config: Config, *, projection: bool) -> Shapes:
    """Of a CLIP text encoder, by the names without `text_model.`; `projection`: as text_encoder_2 has it."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes: Shapes = {
        "embeddings.token_embedding.weight": (config.get("vocab_size", 49408), width),
        "embeddings.position_embedding.weight": (config.get("max_position_embeddings", 77), width),
    }
    for n in range(config["num_hidden_layers"]):
        at = f"encoder.layers.{n}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{at}.self_attn.{part}", width, width)
        shapes |= _linear(f"{at}.mlp.fc1", inner, width) | _linear(f"{at}.mlp.fc2", width, inner)
        shapes |= _affine(f"{at}.layer_norm1", width) | _affine(f"{at}.layer_norm2", width)
    shapes |= _affine("final_layer_norm", width)
    return shapes | ({"text_projection.weight": (config["projection_dim"], width)} if projection else {})


def _top(config: Config) -> Iterator[tuple[str, Shape]]:
    """The first convolution, and what the time step and the micro-conditions go through."""
    first = config["block_out_channels"][0]
    yield from _conv("conv_in", first, config.get("in_channels", 4), 3).items()
    yield from _linear("time_embedding.linear_1", 4 * first, first).items()
    yield from _linear("time_embedding.linear_2", 4 * first, 4 * first).items()
    if config.get("time_cond_proj_dim"):
        yield "time_embedding.cond_proj.weight", (first, config["time_cond_proj_dim"])
    if config.get("addition_embed_type") == "text_time":
        yield from _linear("add_embedding.linear_1", 4 * first, config["projection_class_embeddings_input_dim"]).items()
        yield from _linear("add_embedding.linear_2", 4 * first, 4 * first).items()


def _encoder(config: Config) -> Iterator[tuple[str, Shape]]:
    """Down blocks and the middle."""
    channels, levels = config["block_out_channels"], len(config["block_out_channels"])
    time, before = 4 * channels[0], channels[0]
    layers = _each(config.get("layers_per_block", 2), levels)
    depths = _each(config.get("transformer_layers_per_block", 1), levels)
    for level, kind in enumerate(config["down_block_types"]):
        out = channels[level]
        for n in range(layers[level]):
            yield from _resnet(f"down_blocks.{level}.resnets.{n}", before if n == 0 else out, out, time=time).items()
            if _attends(kind):
                depth = _each(depths[level], layers[level])[n]
                at = f"down_blocks.{level}.attentions.{n}"
                yield from _transformer(at, out, depth, _cross(config, level), config).items()
        if level < levels - 1:
            yield from _conv(f"down_blocks.{level}.downsamplers.0.conv", out, out, 3).items()
        before = out
    middle = config.get("mid_block_type", "UNetMidBlock2DCrossAttn")
    if middle is None:
        return
    if middle not in ("UNetMidBlock2DCrossAttn", "UNetMidBlock2D"):
        raise UnfitWeights(f"got a UNet with the middle block {middle}; expected UNetMidBlock2DCrossAttn")
    width = channels[-1]
    yield from _resnet("mid_block.resnets.0", width, width, time=time).items()
    if middle == "UNetMidBlock2DCrossAttn":
        yield from _resnet("mid_block.resnets.1", width, width, time=time).items()
        depth = config.get("mid_block_transformer_layers") or depths[-1]
        depth = depth[-1] if isinstance(depth, Sequence) else depth
        yield from _transformer("mid_block.attentions.0", width, depth, _cross(config, -1), config).items()


def _union(config: Config) -> Shapes:
    """What a ControlNetUnionModel has beside: a vector and a transformer for each kind of condition."""
    kinds = config.get("num_control_type")
    if not kinds:
        return {}
    time, width = 4 * config["block_out_channels"][0], config.get("num_trans_channel", 320)
    shapes: Shapes = {"task_embedding": (kinds, width)}
    shapes |= _linear("spatial_ch_projs", config.get("num_proj_channel", 320), width)
    shapes |= _linear("control_add_embedding.linear_1", time, config.get("addition_time_embed_dim", 256) * kinds)
    shapes |= _linear("control_add_embedding.linear_2", time, time)
    for n in range(config.get("num_trans_layer", 1)):
        at = f"transformer_layes.{n}"
        shapes |= {f"{at}.attn.in_proj_weight": (3 * width, width), f"{at}.attn.in_proj_bias": (3 * width,)}
        shapes |= _linear(f"{at}.attn.out_proj", width, width) | _linear(f"{at}.mlp.c_fc", 4 * width, width)
        shapes |= _linear(f"{at}.mlp.c_proj", width, 4 * width)
        shapes |= _affine(f"{at}.ln_1", width) | _affine(f"{at}.ln_2", width)
    return shapes


def _resnet(at: str, before: int, out: int, *, time: int = 0) -> Shapes:
    shapes = _affine(f"{at}.norm1", before) | _conv(f"{at}.conv1", out, before, 3)
    shapes |= _affine(f"{at}.norm2", out) | _conv(f"{at}.conv2", out, out, 3)
    if time:
        shapes |= _linear(f"{at}.time_emb_proj", out, time)
    return shapes | (_conv(f"{at}.conv_shortcut", out, before, 1) if before != out else {})


def _transformer(at: str, width: int, depth: int, cross: int, config: Config) -> Shapes:
    project = _linear if config.get("use_linear_projection") else _pointwise
    shapes = _affine(f"{at}.norm", width) | project(f"{at}.proj_in", width, width)
    shapes |= project(f"{at}.proj_out", width, width)
    for n in range(depth):
        block = f"{at}.transformer_blocks.{n}"
        for attention, given in (("attn1", width), ("attn2", cross)):
            shapes[f"{block}.{attention}.to_q.weight"] = (width, width)
            shapes |= {f"{block}.{attention}.to_{part}.weight": (width, given) for part in "kv"}
            shapes |= _linear(f"{block}.{attention}.to_out.0", width, width)
        shapes |= _linear(f"{block}.ff.net.0.proj", 8 * width, width) | _linear(f"{block}.ff.net.2", width, 4 * width)
        for norm in ("norm1", "norm2", "norm3"):
            shapes |= _affine(f"{block}.{norm}", width)
    return shapes


def _attends(kind: str) -> bool:
    if kind not in ("DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"):
        raise UnfitWeights(f"got a UNet with {kind}; expected down and up blocks with or without cross-attention")
    return kind.startswith("CrossAttn")


def _cross(config: Config, level: int) -> int:
    width = config.get("cross_attention_dim", 1280)
    return int(width[level] if isinstance(width, Sequence) else width)


def _each(value: Any, count: int) -> list[Any]:
    return list(value) if isinstance(value, Sequence) else [value] * count


def _linear(name: str, out: int, given: int) -> Shapes:
    return {f"{name}.weight": (out, given), f"{name}.bias": (out,)}


def _conv(name: str, out: int, given: int, kernel: int) -> Shapes:
    return {f"{name}.weight": (out, given, kernel, kernel), f"{name}.bias": (out,)}


def _pointwise(name: str, out: int, given: int) -> Shapes:
    return _conv(name, out, given, 1)


def _affine(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

"""studio-tiny in the two formats that other tools write: a single-file checkpoint (SGM keys) and a kohya LoRA.

    python -m models.studio_tiny.export checkpoint OUT.safetensors
    python -m models.studio_tiny.export lora OUT.safetensors [--name lora-blueprint]

The checkpoint says `v_pred` in a key of its own, as such files do. To load it, diffusers must be told the sizes:
`StableDiffusionXLPipeline.from_single_file(OUT, config="models/studio-tiny")`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch
from diffusers.utils.state_dict_utils import convert_state_dict_to_kohya
from safetensors.torch import load_file, save_file

FOLDER = Path("models/studio-tiny")
Weights = dict[str, torch.Tensor]

RESNET = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)
UNET_TOP = (("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2"),
            ("add_embedding.linear_1", "label_emb.0.0"), ("add_embedding.linear_2", "label_emb.0.2"),
            ("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2"))  # fmt: skip
OPEN_CLIP = (("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
             ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
             ("text_model.final_layer_norm.", "ln_final."), ("text_model.encoder.layers.", "transformer.resblocks."),
             ("embeddings.token_embedding.weight", "token_embedding.weight"),
             ("embeddings.position_embedding.weight", "positional_embedding"),
             ("final_layer_norm.", "ln_final."), ("encoder.layers.", "transformer.resblocks."),
             ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
             ("self_attn.out_proj", "attn.out_proj"))  # fmt: skip


def renamed(key: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """The first pair whose left side begins the key."""
    for ours, theirs in pairs:
        if key.startswith(ours + "."):
            return theirs + key[len(ours) :]
    return key


def unet_key(key: str, layers: int, levels: int) -> str:
    """A diffusers UNet key -> the SGM one, for `layers` resnets a level."""
    place = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", key)
    if place:
        way, level, part, layer, rest = place[1], int(place[2]), place[3], int(place[4]), place[5]
        if way == "down":
            block = 1 + level * (layers + 1) + (layers if part == "downsamplers" else layer)
            prefix = f"input_blocks.{block}"
        else:
            prefix = f"output_blocks.{level * (layers + 1) + (layers if part == 'upsamplers' else layer)}"
        if part == "resnets":
            return f"{prefix}.0.{renamed(rest, RESNET)}"
        if part == "attentions":
            return f"{prefix}.1.{rest}"
        if part == "downsamplers":
            return f"{prefix}.0.op.{rest.removeprefix('conv.')}"
        return f"{prefix}.{1 if level == levels - 1 else 2}.{rest}"  # behind the attention, where the level has one
    middle = re.match(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)", key)
    if middle:
        if middle[1] == "attentions":
            return f"middle_block.1.{middle[3]}"
        return f"middle_block.{int(middle[2]) * 2}.{renamed(middle[3], RESNET)}"
    return renamed(key, UNET_TOP)


def vae_key(key: str, levels: int) -> str:
    place = re.match(r"(encoder|decoder)\.(down|up)_blocks\.(\d+)\.(resnets|downsamplers|upsamplers)\.(\d+)\.(.*)", key)
    if place:
        level = int(place[3]) if place[2] == "down" else levels - 1 - int(place[3])
        rest = place[6].replace("conv_shortcut", "nin_shortcut")
        part = {"resnets": f"block.{place[5]}", "downsamplers": "downsample", "upsamplers": "upsample"}[place[4]]
        return f"{place[1]}.{place[2]}.{level}.{part}.{rest}"
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    return key.replace("conv_norm_out", "norm_out")


def open_clip(weights: Weights) -> Weights:
    """The second text encoder as OpenCLIP has it: q, k and v in one matrix, the projection transposed."""
    out: Weights = {}
    for key, value in weights.items():
        if "position_ids" in key:
            continue
        if key == "text_projection.weight":
            out["text_projection"] = value.T.contiguous()
            continue
        joined = re.match(r"(.*)self_attn\.q_proj\.(weight|bias)", key)
        if joined:
            value = torch.cat([weights[f"{joined[1]}self_attn.{p}_proj.{joined[2]}"] for p in "qkv"])
            key = f"{joined[1]}attn.in_proj_{joined[2]}"
        elif re.search(r"self_attn\.[kv]_proj", key):
            continue
        for ours, theirs in OPEN_CLIP:
            key = key.replace(ours, theirs)
        out[key] = value
    return out


def checkpoint(folder: Path, out: Path) -> None:
    """Everything in one safetensors file under the keys of the original SDXL code."""
    unet = load_file(folder / "unet/diffusion_pytorch_model.safetensors")
    vae = load_file(folder / "vae/diffusion_pytorch_model.safetensors")
    first, second = (load_file(folder / n / "model.safetensors") for n in ("text_encoder", "text_encoder_2"))
    weights = {"model.diffusion_model." + unet_key(k, layers=1, levels=3): v for k, v in unet.items()}
    weights |= {"first_stage_model." + vae_key(k, levels=3): v for k, v in vae.items()}
    named = {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in first.items()}
    weights |= {f"conditioner.embedders.0.transformer.{k}": v for k, v in named.items() if "position_ids" not in k}
    weights |= {f"conditioner.embedders.1.model.{k}": v for k, v in open_clip(second).items()}
    weights["v_pred"] = torch.tensor([])
    save_file({k: v.contiguous() for k, v in weights.items()}, out)


def lora(folder: Path, name: str, out: Path) -> None:
    """A LoRA under kohya's names, with an alpha beside each pair."""
    weights = load_file(folder / name / "pytorch_lora_weights.safetensors")
    save_file({k: v.contiguous() for k, v in convert_state_dict_to_kohya(weights).items()}, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["checkpoint", "lora"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--name", default="lora-blueprint")
    args = parser.parse_args()
    if args.what == "checkpoint":
        checkpoint(args.folder, args.out)
    else:
        lora(args.folder, args.name, args.out)


if __name__ == "__main__":
    main()

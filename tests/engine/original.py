"""A diffusers SDXL folder as one .safetensors file in the original (LDM) layout, in which checkpoints are traded."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

UNET = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
          "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}  # fmt: skip
CLIP = {"self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj"}  # fmt: skip


def write(folder: Path, file: Path) -> None:
    weights = {name: _weights(folder / name) for name in ("unet", "vae", "text_encoder", "text_encoder_2")}
    layers = 1 + max(int(key.split(".")[3]) for key in weights["unet"] if key.startswith("down_blocks.0.resnets"))
    blocks = 1 + max(int(key.split(".")[1]) for key in weights["unet"] if key.startswith("down_blocks"))
    out = {f"model.diffusion_model.{_unet(key, layers)}": value for key, value in weights["unet"].items()}
    out |= {f"first_stage_model.{_vae(key, blocks)}": value for key, value in weights["vae"].items()}
    out |= {
        f"conditioner.embedders.0.transformer.text_model.{key.removeprefix('text_model.')}": value
        for key, value in weights["text_encoder"].items()
    }
    out |= _open_clip({key.removeprefix("text_model."): value for key, value in weights["text_encoder_2"].items()})
    save_file({key: value.contiguous() for key, value in out.items()}, file)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("*.safetensors")))


def _unet(key: str, layers: int) -> str:
    for ours, theirs in UNET.items():
        if key.startswith(ours + "."):
            return theirs + key[len(ours) :]
    part, *rest = key.split(".")
    if part == "mid_block":
        kind, number, *leaf = rest
        return f"middle_block.{2 * int(number) if kind == 'resnets' else 1}." + _leaf(leaf, kind)
    block, kind, number, *leaf = rest
    if part == "down_blocks":
        at = 1 + int(block) * (layers + 1) + (layers if kind == "downsamplers" else int(number))
        if kind == "downsamplers":
            return f"input_blocks.{at}.0.op.{leaf[-1]}"
        return f"input_blocks.{at}.{0 if kind == 'resnets' else 1}." + _leaf(leaf, kind)
    at = int(block) * (layers + 1) + (layers if kind == "upsamplers" else int(number))
    if kind == "upsamplers":
        return f"output_blocks.{at}.2.conv.{leaf[-1]}"
    return f"output_blocks.{at}.{0 if kind == 'resnets' else 1}." + _leaf(leaf, kind)


def _leaf(leaf: list[str], kind: str) -> str:
    return ".".join([RESNET[leaf[0]], *leaf[1:]] if kind == "resnets" else leaf)


def _vae(key: str, blocks: int) -> str:
    key = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    for number in (0, 1):
        key = key.replace(f"mid_block.resnets.{number}", f"mid.block_{number + 1}")
    for number in range(blocks):
        key = key.replace(f"encoder.down_blocks.{number}.resnets", f"encoder.down.{number}.block")
        key = key.replace(f"encoder.down_blocks.{number}.downsamplers.0", f"encoder.down.{number}.downsample")
        key = key.replace(f"decoder.up_blocks.{number}.resnets", f"decoder.up.{blocks - 1 - number}.block")
        key = key.replace(f"decoder.up_blocks.{number}.upsamplers.0", f"decoder.up.{blocks - 1 - number}.upsample")
    return key


def _open_clip(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    start = "conditioner.embedders.1.model."
    out = {
        f"{start}positional_embedding": weights["embeddings.position_embedding.weight"],
        f"{start}token_embedding.weight": weights["embeddings.token_embedding.weight"],
        f"{start}ln_final.weight": weights["final_layer_norm.weight"],
        f"{start}ln_final.bias": weights["final_layer_norm.bias"],
        f"{start}text_projection": weights["text_projection.weight"].T,
    }
    for key, value in weights.items():
        if not key.startswith("encoder.layers.") or ".k_proj" in key or ".v_proj" in key:
            continue
        if ".q_proj" in key:
            joined = torch.cat([weights[key.replace("q_proj", f"{letter}_proj")] for letter in "qkv"])
            layer = key.split(".")[2]
            out[f"{start}transformer.resblocks.{layer}.attn.in_proj_{key.split('.')[-1]}"] = joined
            continue
        for ours, theirs in CLIP.items():
            key = key.replace(ours, theirs)
        out[start + key.replace("encoder.layers", "transformer.resblocks")] = value
    return out

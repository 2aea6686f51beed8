"""A studio's models folder at true size that costs nothing: headers with the right keys and shapes, and sparse files.

    shelf(folder)  writes a file of every layout, in ComfyUI's folders, and says what each of them is

Nothing in them but zeros; what reads a tensor of them finds out. `write` makes one file of given shapes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from schemas.weights import original
from schemas.weights.adapters import list_t2i_shapes, list_t2i_tables
from schemas.weights.components import list_component_shapes, load_shipped
from schemas.weights.header import BITS
from schemas.weights.shapes import Shapes, list_controlnet_shapes, list_unet_shapes

Plain = Mapping[str, tuple[int, ...]]
SSD_1B: dict[str, Any] = {
    "transformer_layers_per_block": [1, [2, 2], [4, 4]],
    "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1],
    "mid_block_type": "UNetMidBlock2D",
}


def write(path: Path, shapes: Plain, *, dtype: str = "F16", metadata: Mapping[str, str] | None = None) -> Path:
    """A safetensors file of these shapes, with a hole where its tensors are."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        size = prod(shape) * BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    body = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(body)) + body)
        out.truncate(8 + len(body) + end)
    return path


def joined(table: original.Table, shapes: Shapes, prefix: str) -> dict[str, tuple[int, ...]]:
    """The shapes by the original code's names."""
    made: dict[str, tuple[int, ...]] = {}
    for name, source in table.items():
        shape = shapes[name]
        if source.change in ("q", "k", "v"):
            shape = (3 * shape[0], *shape[1:])
        elif source.change == "transpose":
            shape = tuple(reversed(shape))
        elif source.change == "flatten":
            shape = (*shape, 1, 1)
        made[prefix + source.key] = shape
    return made


def unet(architecture: str, prefix: str = "model.diffusion_model.", **changes: Any) -> dict[str, tuple[int, ...]]:
    config = {**load_shipped(architecture)["unet"], **changes}
    shapes = list_unet_shapes(config)
    return joined(original.map_original_unet(shapes, config), shapes, prefix)


def vae(architecture: str, prefix: str = "first_stage_model.") -> dict[str, tuple[int, ...]]:
    config, shapes = load_shipped(architecture)["vae"], list_component_shapes(load_shipped(architecture))["vae"]
    return joined(original.map_original_vae(shapes, config), shapes, prefix)


def text(architecture: str) -> dict[str, tuple[int, ...]]:
    shapes = list_component_shapes(load_shipped(architecture))
    if architecture == "sd15":
        return {f"cond_stage_model.transformer.text_model.{name}": s for name, s in shapes["text_encoder"].items()}
    second = shapes["text_encoder_2"]
    number = 1 if architecture == "sdxl" else 0
    made = joined(original.map_open_clip(second), second, f"conditioner.embedders.{number}.model.")
    if architecture == "sdxl":
        first = shapes["text_encoder"]
        made |= {f"conditioner.embedders.0.transformer.text_model.{name}": shape for name, shape in first.items()}
    return made


def checkpoint(architecture: str, **changes: Any) -> dict[str, tuple[int, ...]]:
    return unet(architecture, **changes) | vae(architecture) | text(architecture)


Namer = Callable[[str, str], str]
"""(component, module) -> the module as a file names it."""


def kohya(component: str, module: str) -> str:
    first = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}[component]
    return first + module.replace(".", "_")


def kohya_one_encoder(component: str, module: str) -> str:
    return kohya(component, module).replace("lora_te1_", "lora_te_")


def dotted(component: str, module: str) -> str:
    return f"{component}.{module}"


def omi(component: str, module: str) -> str:
    return {"unet": "unet", "text_encoder": "clip_l", "text_encoder_2": "clip_g"}[component] + f".{module}"


def peft(component: str, module: str) -> str:
    return f"base_model.model.{module}"


def modules(
    architecture: str, *, text: bool = False, convolutions: bool = False
) -> dict[tuple[str, str], tuple[int, ...]]:
    """What trainers change: the linear layers of the attention blocks, and more where asked."""
    made = {}
    for component, shapes in list_component_shapes(load_shipped(architecture)).items():
        for name, shape in shapes.items():
            module, _, part = name.rpartition(".")
            attention = component == "unet" and ("transformer_blocks" in name or ".proj_" in name)
            convolution = component == "unet" and convolutions and ".resnets." in name and ".conv" in name
            words = text and component.startswith("text") and (".mlp." in name or "self_attn" in name)
            if part == "weight" and len(shape) > 1 and (attention or convolution or words):
                place = f"text_model.{module}" if component.startswith("text") else module
                made[component, place] = shape
    return made


def lora(
    changed: Mapping[tuple[str, str], tuple[int, ...]],
    name: Namer,
    *,
    rank: int = 8,
    down: str = ".lora_down.weight",
    up: str = ".lora_up.weight",
    alpha: bool = True,
    magnitude: str = "",
) -> dict[str, tuple[int, ...]]:
    """`magnitude`: `out` or `in`: a DoRA's, along this axis."""
    made: dict[str, tuple[int, ...]] = {}
    for (component, module), shape in changed.items():
        at = name(component, module)
        made[at + down] = (rank, *shape[1:])
        made[at + up] = (shape[0], rank, *(1 for _ in shape[2:]))
        if alpha:
            made[at + ".alpha"] = ()
        if magnitude:
            ones = (1,) * (len(shape) - 2)
            made[at + ".dora_scale"] = (shape[0], 1, *ones) if magnitude == "out" else (1, shape[1], *ones)
    return made


def processors(changed: Mapping[tuple[str, str], tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """diffusers' first layout, of attention alone."""
    made: dict[str, tuple[int, ...]] = {}
    for (component, module), shape in changed.items():
        at, _, last = module.removesuffix(".0").rpartition(".")
        if component == "unet" and last in ("to_q", "to_k", "to_v", "to_out"):
            made[f"unet.{at}.processor.{last}_lora.down.weight"] = (4, shape[1])
            made[f"unet.{at}.processor.{last}_lora.up.weight"] = (shape[0], 4)
    return made


def factored(changed: Mapping[tuple[str, str], tuple[int, ...]], kind: str) -> dict[str, tuple[int, ...]]:
    """LoHa, LoKr, a CP factor or full differences, under kohya's names."""
    made: dict[str, tuple[int, ...]] = {}
    for (component, module), shape in changed.items():
        at, inner = kohya(component, module), prod(shape[1:])
        if kind == "loha":
            made |= {f"{at}.hada_w{n}_a": (shape[0], 4) for n in (1, 2)}
            made |= {f"{at}.hada_w{n}_b": (4, inner) for n in (1, 2)}
        elif kind == "lokr":
            made |= {f"{at}.lokr_w1": (2, 2), f"{at}.lokr_w2": (shape[0] // 2, shape[1] // 2, *shape[2:])}
        elif kind == "cp":
            if len(shape) < 4 or shape[2] == 1:
                continue
            made |= {f"{at}.lora_down.weight": (4, shape[1], 1, 1), f"{at}.lora_mid.weight": (4, 4, *shape[2:])}
            made[f"{at}.lora_up.weight"] = (shape[0], 4, 1, 1)
        elif kind == "diff":
            made |= {f"{at}.diff": shape}
        made[f"{at}.alpha"] = ()
    return made


def controlnet(architecture: str, *, union: int = 0, original_keys: bool = False) -> dict[str, tuple[int, ...]]:
    config = {**load_shipped(architecture)["unet"], "num_control_type": union}
    shapes = list_controlnet_shapes(config)
    if not original_keys:
        return dict(shapes)
    return joined(original.map_original_unet(shapes, config), shapes, "control_model.")


def ip_adapter(architecture: str = "sdxl", *, face: bool = False, seen: int = 1280) -> dict[str, tuple[int, ...]]:
    """`seen`: how wide the image encoder's answer is."""
    config = load_shipped(architecture)["unet"]
    cross = config["cross_attention_dim"]
    made: dict[str, tuple[int, ...]] = {
        "image_proj.proj.weight": (4 * cross, seen), "image_proj.proj.bias": (4 * cross,),
        "image_proj.norm.weight": (cross,), "image_proj.norm.bias": (cross,),
    }  # fmt: skip
    shapes = list_unet_shapes(config)
    keys = [name for part in ("down", "up", "mid") for name in shapes if name.startswith(part)]
    for n, name in enumerate(name for name in keys if name.endswith("attn2.to_k.weight")):
        made |= {f"ip_adapter.{2 * n + 1}.to_{part}_ip.weight": shapes[name] for part in "kv"}
        if face:
            made[f"ip_adapter.{2 * n + 1}.to_q_lora.down.weight"] = (128, shapes[name][0])
    return made


def t2i_adapter(architecture: str = "sdxl", *, own: bool = False) -> dict[str, tuple[int, ...]]:
    """In its authors' layout, or (`own`) in diffusers'."""
    config = {
        "in_channels": 3, "channels": [320, 640, 1280, 1280], "num_res_blocks": 2,
        "downscale_factor": 16 if architecture == "sdxl" else 8,
        "adapter_type": "full_adapter_xl" if architecture == "sdxl" else "full_adapter",
    }  # fmt: skip
    shapes = list_t2i_shapes(config)
    return dict(shapes) if own else joined(list_t2i_tables(shapes, config)[2], shapes, "")


def control_lora(architecture: str = "sdxl", rank: int = 128) -> dict[str, tuple[int, ...]]:
    """As Stability trades them: pairs for what the UNet has, whole tensors for biases, norms and what is its own."""
    config = load_shipped(architecture)["unet"]
    shapes = list_controlnet_shapes(config)
    made: dict[str, tuple[int, ...]] = {"lora_controlnet": ()}
    for name, source in original.map_original_unet(shapes, config).items():
        shape, at = shapes[name], source.key.removesuffix(".weight")
        if len(shape) > 1 and not name.startswith("controlnet_"):
            made[f"{at}.up"] = (shape[0], rank, *(1 for _ in shape[2:]))
            made[f"{at}.down"] = (rank, *shape[1:])
        else:
            made[source.key] = shape
    return made


def vision(width: int = 1280, projection: int = 1024, layers: int = 2) -> dict[str, tuple[int, ...]]:
    """A CLIP image encoder in transformers' layout, with fewer layers."""
    at = "vision_model.encoder.layers"
    made: dict[str, tuple[int, ...]] = {
        "vision_model.embeddings.patch_embedding.weight": (width, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (257, width),
        "visual_projection.weight": (projection, width),
    }
    return made | {f"{at}.{n}.mlp.fc1.weight": (4 * width, width) for n in range(layers)}


TAESD = {"1.weight": (64, 4, 3, 3), "3.conv.0.weight": (64, 64, 3, 3), "3.conv.0.bias": (64,)}
ESRGAN = {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)}
FLUX = {
    "model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale": (128,),
    "model.diffusion_model.img_in.weight": (3072, 64),
}
FLUX_LORA = {
    f"lora_unet_double_blocks_{n}_img_attn_qkv.lora_{side}.weight": shape
    for n in range(3)
    for side, shape in (("down", (8, 3072)), ("up", (9216, 8)))
}
LLLITE = {"lllite_unet_down_blocks_1_attentions_0_attn1_to_q.down.0.weight": (32, 640)}


@dataclass
class Made:
    """One file of the shelf, and what it must be taken for."""

    place: str
    kind: str
    architecture: str = ""
    layout: str | None = None
    refused: bool = False
    others: Mapping[str, Any] = field(default_factory=dict)


LARGE = 1500
"""Keys from which on a layout is there once: its header takes a tenth of a second to read."""


def shelf(folder: Path, *, copies: int = 4) -> list[Made]:
    """Every layout, small ones `copies` times under other names. Nothing is bigger on disk than its header."""
    made: list[Made] = []
    for place, kind, architecture, layout, refused, shapes, rest in _plan():
        for n in range(copies if len(shapes) < LARGE else 1):
            stem, _, suffix = place.rpartition(".")
            path = f"{stem}_{n}.{suffix}" if n else place
            options = {name: rest[name] for name in ("dtype", "metadata") if name in rest}
            write(folder / path, shapes, **options)
            if "sidecar" in rest:
                name, body = rest["sidecar"]
                (folder / path).with_suffix(name).write_text(json.dumps(body))
            others = {name: value for name, value in rest.items() if name not in ("metadata", "sidecar")}
            made.append(Made(path, kind, architecture, layout, refused, others))
    return made


def _plan() -> Iterable[tuple[str, str, str, str | None, bool, Plain, dict[str, Any]]]:
    xl, old = modules("sdxl"), modules("sd15")
    mark: Plain = {"v_pred": ()}
    whole = checkpoint("sdxl")
    zero: Plain = {**whole, **mark, "ztsnr": ()}
    nine = checkpoint("sdxl", in_channels=9)
    yield "checkpoints/juggernaut.safetensors", "checkpoint", "sdxl", "original", False, whole, {}
    yield "checkpoints/noob_vpred.safetensors", "checkpoint", "sdxl", "original", False, zero, {
        "prediction_type": "v_prediction", "zero_snr": True}  # fmt: skip
    yield "checkpoints/spoken_vpred.safetensors", "checkpoint", "sdxl", "original", False, whole, {
        "metadata": {"modelspec.prediction_type": "v"}, "prediction_type": "v_prediction"}  # fmt: skip
    yield "checkpoints/xl_inpaint.safetensors", "checkpoint", "sdxl", "original", False, nine, {
        "in_channels": 9}  # fmt: skip
    yield (
        "checkpoints/refiner.safetensors",
        "checkpoint",
        "sdxl-refiner",
        "original",
        False,
        checkpoint("sdxl-refiner"),
        {},
    )
    yield "checkpoints/v1.safetensors", "checkpoint", "sd15", "original", False, checkpoint("sd15"), {}
    yield "checkpoints/fp8.safetensors", "checkpoint", "sdxl", "original", False, whole, {"dtype": "F8_E4M3"}
    yield "checkpoints/ssd.safetensors", "checkpoint", "ssd-1b", "original", False, (
        unet("sdxl", **SSD_1B) | vae("sdxl") | text("sdxl")), {}  # fmt: skip
    yield "checkpoints/playground.safetensors", "checkpoint", "playground-2.5", "original", True, {
        **whole, "edm_mean": (4,), "edm_std": (4,)}, {}  # fmt: skip
    yield "checkpoints/no_vae.safetensors", "checkpoint", "sdxl", "original", False, unet("sdxl") | text("sdxl"), {
        "lacks": ("VAE",)}  # fmt: skip
    yield "diffusion_models/unet_only.safetensors", "unet", "sdxl", "original", False, unet("sdxl", ""), {}
    yield "diffusion_models/unet_diffusers.safetensors", "unet", "sdxl", "diffusers", False, (
        list_unet_shapes(load_shipped("sdxl")["unet"])), {}  # fmt: skip
    yield "diffusion_models/flux.safetensors", "checkpoint", "flux", None, True, FLUX, {}
    yield "vae/sdxl_vae.safetensors", "vae", "sdxl", "original", False, vae("sdxl", ""), {
        "metadata": {"modelspec.architecture": "stable-diffusion-xl-v1-base/vae"}}  # fmt: skip
    yield (
        "vae/diffusers_vae.safetensors",
        "vae",
        "",
        "diffusers",
        False,
        list_component_shapes(load_shipped("sdxl"))["vae"],
        {},
    )
    yield "vae_approx/taesdxl_decoder.safetensors", "taesd", "", "taesd", True, TAESD, {}
    yield "loras/kohya.safetensors", "lora", "sdxl", "kohya", False, lora(xl, kohya), {"rank": (8,)}
    yield "loras/words.safetensors", "lora", "sdxl", "kohya", False, lora(modules("sdxl", text=True), kohya), {
        "sidecar": (".civitai.info", {"baseModel": "Pony", "trainedWords": ["pixel hero"], "model": {"name": "Pixel"}}),
        "trigger_words": ("pixel hero",)}  # fmt: skip
    yield "loras/peft.safetensors", "lora", "sdxl", "peft", False, (
        lora(xl, peft, down=".lora_A.weight", up=".lora_B.weight", alpha=False)), {}  # fmt: skip
    yield "loras/diffusers.safetensors", "lora", "sdxl", "diffusers", False, (
        lora(xl, dotted, down=".lora_A.weight", up=".lora_B.weight", alpha=False)), {}  # fmt: skip
    yield "loras/processors.safetensors", "lora", "sdxl", "diffusers", False, processors(xl), {}
    yield "loras/omi.safetensors", "lora", "sdxl", "omi", False, lora(modules("sdxl", text=True), omi), {}
    yield "loras/dora.safetensors", "lora", "sdxl", "kohya dora", False, lora(xl, kohya, magnitude="out"), {}
    yield "loras/loha.safetensors", "lora", "sdxl", "kohya loha", False, factored(xl, "loha"), {}
    yield "loras/lokr.safetensors", "lora", "sdxl", "kohya lokr", False, factored(xl, "lokr"), {
        "metadata": {"ss_base_model_version": "sdxl_base_v1-0"}}  # fmt: skip
    yield (
        "loras/cp.safetensors",
        "lora",
        "",
        "kohya locon-cp",
        False,
        factored(modules("sdxl", convolutions=True), "cp"),
        {},
    )
    yield "loras/diff.safetensors", "lora", "sdxl", "kohya difference", False, factored(xl, "diff"), {}
    yield "loras/oft.safetensors", "lora", "sdxl", "oft", True, {
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.oft_blocks": (4, 160, 160)}, {
        "metadata": {"modelspec.architecture": "stable-diffusion-xl-v1-base/oft"}}  # fmt: skip
    yield "loras/ia3.safetensors", "lora", "", "ia3", True, {"lora_unet_mid_block_attentions_0.on_input": (1,)}, {}
    yield "loras/v1.safetensors", "lora", "sd15", "kohya", False, lora(old, kohya), {}
    yield "loras/flux.safetensors", "lora", "flux", "kohya", True, FLUX_LORA, {}
    yield "controlnet/canny.safetensors", "controlnet", "sdxl", "diffusers", False, controlnet("sdxl"), {}
    yield (
        "controlnet/v1.safetensors",
        "controlnet",
        "sd15",
        "original",
        False,
        controlnet("sd15", original_keys=True),
        {},
    )
    yield "controlnet/union.safetensors", "controlnet", "sdxl", "union", False, controlnet("sdxl", union=8), {}
    yield "controlnet/control_lora.safetensors", "controlnet", "sdxl", "control-lora", False, control_lora(), {}
    yield "controlnet/lllite.safetensors", "controlnet", "", "controllllite", True, LLLITE, {}
    yield "controlnet/t2i.safetensors", "t2i_adapter", "sdxl", "original", False, t2i_adapter(), {}
    yield "controlnet/t2i_v1.safetensors", "t2i_adapter", "sd15", "original", False, t2i_adapter("sd15"), {}
    yield "t2i_adapter/t2i_diffusers.safetensors", "t2i_adapter", "sdxl", "diffusers", False, t2i_adapter(own=True), {}
    yield "ipadapter/plain.safetensors", "ip_adapter", "sdxl", "plain", False, ip_adapter(), {}
    yield "ipadapter/faceid.safetensors", "ip_adapter", "sdxl", "faceid", True, ip_adapter(face=True), {}
    yield "embeddings/xl.safetensors", "embedding", "sdxl", None, False, {"clip_l": (3, 768), "clip_g": (3, 1280)}, {}
    yield "embeddings/v1.safetensors", "embedding", "sd15", None, False, {"emb_params": (4, 768)}, {}
    yield "upscale_models/esrgan.safetensors", "upscaler", "", "esrgan", False, ESRGAN, {}
    yield "clip_vision/vit_h.safetensors", "image_encoder", "", None, False, vision(), {}
    yield "clip_vision/bigg.safetensors", "image_encoder", "", None, False, vision(1664, 1280), {}
    words = list_component_shapes(load_shipped("sdxl"))["text_encoder"]
    clip: Plain = {f"text_model.{name}": shape for name, shape in words.items()}
    yield "clip/clip_l.safetensors", "text_encoder", "", "clip_l", False, clip, {}
    yield "loras/empty.safetensors", "unknown", "", None, True, {}, {}

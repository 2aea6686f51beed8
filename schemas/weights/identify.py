"""Header -> Identity: the kind, the architecture and the layout of a weights file, from its keys and shapes.

Metadata and a file beside it (`sidecar`: .civitai.info, .json) say trigger words, licence and title; they decide what a
file is only where keys and shapes do not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any

from schemas.weights.header import Header
from schemas.weights.identity import Identity, Sort
from schemas.weights.lora_layouts import identify_lora, is_lora
from schemas.weights.said import read_base_model, read_licence, read_title, read_trigger_words, side_in

Keys = Collection[str]

_CROSS = {768: "sd15", 1024: "sd2", 2048: "sdxl", 1280: "sdxl-refiner"}
"""Width of the text embeddings -> architecture."""


def identify(header: Header, *, name: str = "", sidecar: Mapping[str, Any] | None = None) -> Identity:
    """`name`: the file's path, whose folder may say what keys do not."""
    said = sidecar or {}
    identity = _by_keys(header, name, said)
    identity.size = header.size
    identity.dtype = _dtype(header)
    identity.trigger_words = read_trigger_words(header.metadata, said)
    identity.licence = read_licence(header.metadata, said)
    identity.title = read_title(header.metadata, said)
    identity.side = side_in(header.metadata)
    if not identity.architecture and identity.kind != "unknown":
        identity.architecture = read_base_model(header.metadata, said)
    return identity


def _by_keys(header: Header, name: str, said: Mapping[str, Any]) -> Identity:
    keys = header.tensors
    if not keys:
        return Identity("unknown", refusal="the file holds no tensors")
    text = "\n".join(keys)
    for layout, refusal in _FOREIGN.items():
        if layout in text:
            return Identity("unknown", layout=layout, refusal=refusal)
    if _has(keys, "lllite_"):
        return Identity(
            "controlnet",
            "",
            "controllllite",
            refusal="it is a ControlLLLite, which is not supported; take a ControlNet",
        )
    if "lora_controlnet" in keys:
        return Identity("controlnet", _width(header) or "sdxl", "control-lora", rank=_control_rank(header))
    if _has(keys, "ip_adapter.") and _has(keys, "image_proj."):
        return _ip_adapter(header)
    if is_lora(keys):
        return identify_lora(header)
    if foreign := _transformer(keys):
        return foreign
    for test in (_controlnet, _checkpoint, _adapter, _vae, _encoder, _embedding, _upscaler):
        if (identity := test(header)) is not None:
            return identity
    folder = PurePath(name).parent.name.lower()
    if "upscale" in folder or "esrgan" in folder:
        return Identity("upscaler", notes=["known by its folder only"])
    return Identity("unknown", refusal=f"its keys are of no kind that is known ({', '.join(list(keys)[:3])})")


_FOREIGN = {
    "motion_modules.": "it is a motion module (AnimateDiff), which is for video",
    "scaled_fp8": "it is in scaled fp8, which the engine does not read; take the fp16 file",
}


def _transformer(keys: Keys) -> Identity | None:
    """Diffusion transformers, which the engine does not render; named, so that the reason is clear."""
    text = "\n".join(keys)
    for architecture, parts in _TRANSFORMERS.items():
        if any(part in text for part in parts):
            control = _has(keys, "controlnet_") or any("controlnet_x_embedder" in key for key in keys)
            kind: Sort = "controlnet" if control else "checkpoint"
            what = {"flux": "Flux", "sd3": "SD 3"}.get(architecture, architecture)
            return Identity(kind, architecture, refusal=f"it is made for {what}; SDXL and SD 1.5 are rendered here")
    return None


_TRANSFORMERS = {
    "flux": ("double_blocks.0.", "single_transformer_blocks.0."),
    "sd3": ("joint_blocks.0.", "context_block.adaLN_modulation"),
    "PixArt or another transformer": ("cap_embedder.", "adaln_single.", "caption_projection."),
    "Stable Cascade": ("clip_txt_mapper.", "clip_txt_pooled_mapper."),
}


def _controlnet(header: Header) -> Identity | None:
    keys = header.tensors
    diffusers = _key(keys, "controlnet_cond_embedding.conv_in.weight")
    original = _key(keys, "input_hint_block.0.weight")
    if not (diffusers or original):
        return None
    layout = "diffusers" if diffusers else "original"
    if _key(keys, "task_embedding") or _key(keys, "control_add_embedding.linear_1.weight"):
        layout = "union"
    identity = Identity("controlnet", _width(header), layout)
    if layout == "union":
        kinds = _key(keys, "task_embedding")
        number = header.tensors[kinds].shape[0] if kinds else 0
        identity.conditions = number
        identity.notes.append(f"a union of {number} conditions; give `modes` in its catalogue entry")
    return identity


def _checkpoint(header: Header) -> Identity | None:
    keys = header.tensors
    first = _key(keys, "model.diffusion_model.input_blocks.0.0.weight", "input_blocks.0.0.weight")
    if (
        first is None
        and _key(keys, "time_embedding.linear_1.weight")
        and _key(keys, "up_blocks.0.resnets.0.conv1.weight")
    ):
        first = _key(keys, "conv_in.weight")
    if first is None:
        return None
    lacks = []
    if not (_has(keys, "conditioner.") or _has(keys, "cond_stage_model.") or _has(keys, "text_encoders.")):
        lacks.append("text encoders")
    if not (_has(keys, "first_stage_model.") or _has(keys, "vae.")):
        lacks.append("VAE")
    identity = Identity("unet" if "text encoders" in lacks else "checkpoint", _width(header), lacks=tuple(lacks))
    identity.layout = "original" if "input_blocks" in first else "diffusers"
    identity.in_channels = header.tensors[first].shape[1] if len(header.tensors[first].shape) == 4 else 4
    _prediction(identity, header)
    _family(identity, header)
    if lacks:
        identity.notes.append(f"without {' and '.join(lacks)}: give `base`, the alias of a checkpoint that has them")
    if identity.in_channels == 9:
        identity.notes.append("for inpainting (9 channels); it makes no picture from text alone")
    elif identity.in_channels == 8:
        identity.refusal = "its UNet takes 8 channels (an instruct-pix2pix), which is not supported"
    elif identity.in_channels != 4:
        identity.refusal = f"its UNet takes {identity.in_channels} channels; 4 and 9 are supported"
    return identity


def _prediction(identity: Identity, header: Header) -> None:
    """Marker tensors of the trainers' scripts, and the metadata of the model specification."""
    said = header.metadata.get("modelspec.prediction_type", "").lower()
    if "v_pred" in header.tensors or said in ("v", "v_prediction", "v-prediction", "vpred"):
        identity.prediction_type = "v_prediction"
    elif said:
        identity.prediction_type = "epsilon" if said.startswith("eps") else said
    identity.zero_snr = "ztsnr" in header.tensors or header.metadata.get("ss_zero_terminal_snr", "").lower() == "true"
    if identity.zero_snr and not identity.prediction_type:
        identity.prediction_type = "v_prediction"


def _family(identity: Identity, header: Header) -> None:
    keys = header.tensors
    if any(marker in keys for marker in ("edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_data")):
        identity.architecture = "playground-2.5" if "edm_mean" in keys else identity.architecture
        identity.refusal = "it was trained with EDM noise (Playground 2.5 and its kin), which no scheduler here walks"
        return
    middle = any("middle_block.1.transformer_blocks" in k or "mid_block.attentions.0" in k for k in keys)
    if identity.architecture == "sdxl" and not middle:
        deep = any(
            re.search(r"(input_blocks\.7\.1|down_blocks\.2\.attentions\.0)\.transformer_blocks\.3\.", k) for k in keys
        )
        identity.architecture = "ssd-1b" if deep else "segmind-vega"
        identity.notes.append("a distilled SDXL: as a single file it needs `config:`, a diffusers folder of its kind")
    if identity.architecture == "sd2":
        identity.refusal = "it is SD 2, which is not supported; SDXL and SD 1.5 are"


def _ip_adapter(header: Header) -> Identity:
    keys = header.tensors
    identity = Identity("ip_adapter", _width(header), "plus" if "image_proj.latents" in keys else "plain")
    first = keys.get("image_proj.proj.0.weight")
    if any("to_q_lora" in k or "perceiver_resampler" in k for k in keys) or (first and first.shape[-1] == 512):
        identity.layout = "faceid"
        identity.refusal = "it is an IP-Adapter FaceID, which needs a face recogniser that is not here"
    return identity


def _adapter(header: Header) -> Identity | None:
    keys = header.tensors
    if not (_key(keys, "body.0.block1.weight") or _key(keys, "body.0.resnets.0.block1.weight")):
        return None
    last = [t.shape[0] for k, t in keys.items() if k.endswith("block2.weight")]
    blocks = {k.split("body.")[1].split(".")[0] for k in keys if "body." in k}
    layout = "diffusers" if _key(keys, "body.0.resnets.0.block1.weight") else "original"
    first = _key(keys, "conv_in.weight")
    architecture = ""
    if first and last and max(last) == 1280:  # SDXL's takes 16 x 16 pixels at once, SD 1.5's 8 x 8
        wide = keys[first].shape[1]
        architecture = "sdxl" if wide in (768, 256) else "sd15"
    return Identity("t2i_adapter", architecture, layout, notes=[] if blocks else ["without blocks"])


def _vae(header: Header) -> Identity | None:
    keys = header.tensors
    if _key(keys, "decoder.conv_in.weight") and _key(keys, "decoder.conv_out.weight"):
        entry = keys[str(_key(keys, "decoder.conv_in.weight"))]
        layout = "diffusers" if any("mid_block." in key for key in keys) else "original"
        identity = Identity("vae", "", layout)
        if entry.shape[1] == 16:
            identity.architecture, identity.refusal = "flux", "its latents have 16 channels (Flux, SD 3); 4 are needed"
        return identity
    tiny = ("decoder.layers.", "taesd_decoder.", "taesd_encoder.")
    if any(_has(keys, prefix) for prefix in tiny) or {"1.weight", "3.conv.0.weight"} <= set(keys):
        return Identity(
            "taesd", "", "taesd", refusal="it is a TAESD, an approximate autoencoder for previews; take a whole VAE"
        )
    return None


def _encoder(header: Header) -> Identity | None:
    keys = header.tensors
    if _key(keys, "vision_model.embeddings.patch_embedding.weight") or _key(keys, "visual.conv1.weight"):
        return Identity("image_encoder", "", "transformers" if _has(keys, "vision_model.") else "open_clip")
    words = _key(keys, "embeddings.token_embedding.weight") or _key(keys, "token_embedding.weight")
    if words:
        width = keys[words].shape[-1]
        layout = {768: "clip_l", 1280: "clip_g"}.get(width, "clip")
        return Identity("text_encoder", "", layout, notes=["one text encoder; a checkpoint brings its own"])
    if _key(keys, "encoder.block.0.layer.0.SelfAttention.q.weight"):
        return Identity("text_encoder", "", "t5", refusal="it is a T5, which neither SDXL nor SD 1.5 reads")
    return None


def _embedding(header: Header) -> Identity | None:
    keys = header.tensors
    sides = [name for name in ("clip_l", "clip_g", "emb_params", "text_encoders_0", "text_encoders_1") if name in keys]
    vectors = [tensor for tensor in keys.values() if 1 <= len(tensor.shape) <= 2]
    if not sides and not (len(keys) == 1 and vectors and vectors[0].shape[-1] in (768, 1024, 1280)):
        return None
    width = vectors[0].shape[-1]
    two = "clip_g" in keys or "text_encoders_1" in keys or width == 1280
    identity = Identity("embedding", "sdxl" if two else {768: "sd15", 1024: "sd2"}.get(width, ""))
    rows = [tensor.shape[0] for tensor in vectors if len(tensor.shape) == 2]
    identity.notes.append(f"{max(rows, default=1)} vectors")
    if "clip_l" in keys and "clip_g" not in keys:
        identity.architecture = "sd15"
    return identity


def _upscaler(header: Header) -> Identity | None:
    keys = header.tensors
    known = (
        "model.0.weight",
        "conv_first.weight",
        "conv_1.sk.weight",
        "feats.0.weight",
        "head.0.weight",
        "body.0.weight",
    )
    if any(_key(keys, name) for name in known) or any(".RDB1." in key or ".rdb1." in key for key in keys):
        return Identity("upscaler", "", "esrgan" if any(".rdb1." in key.lower() for key in keys) else "")
    return None


def _width(header: Header) -> str:
    """The architecture by the width of the text that cross-attention reads."""
    widths = Counter(
        tensor.shape[1]
        for key, tensor in header.tensors.items()
        if len(tensor.shape) == 2
        and (key.endswith("attn2.to_k.weight") or key.endswith("attn2.to_k.down") or key.endswith(".to_k_ip.weight"))
    )
    return _CROSS.get(widths.most_common(1)[0][0], "") if widths else ""


def _control_rank(header: Header) -> tuple[int, ...]:
    return tuple(sorted({tensor.shape[0] for key, tensor in header.tensors.items() if key.endswith(".down")}))


def _dtype(header: Header) -> str:
    counted: Counter[str] = Counter()
    for tensor in header.tensors.values():
        counted[tensor.dtype] += tensor.count
    return counted.most_common(1)[0][0] if counted else ""


def _has(keys: Keys, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in keys)


def _key(keys: Keys, *names: str) -> str | None:
    """The key that is one of these names, or ends in one behind a prefix."""
    for name in names:
        if name in keys:
            return name
        end = f".{name}"
        for key in keys:
            if key.endswith(end):
                return key
    return None

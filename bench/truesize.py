"""SDXL and a ControlNet at their true size on a CPU, as a folder and as a single file: exact, and what it costs.

    python -m bench.truesize                 15 minutes, 14 GB of disk, 14 GB of memory, no network
    python -m bench.truesize --tiny          the same at tiny size; `make test` runs it
    python -m bench.truesize --stored        the UNet's weights in fewer bits: bytes and error (5 minutes, 16 GB)

Weights are random, in bfloat16. One step of text-to-image and one with the ControlNet at 64 px go through the engine
and through plain diffusers, each way of loading in a process of its own: relative L2 of the UNet's first answer to that
of diffusers from the folder, peak memory, seconds to load. Then, in one engine: a short prompt, a long one, a LoRA on,
off and on again, with the seconds that loading took each time and whether the checkpoint stayed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench import sdxl
from bench.exactness import distance, listening
from bench.forwards import HELD
from bench.sdxl import SDXL, TINY, Shapes
from engine.diffuse import Engine
from engine.memory import weigh_models
from engine.model_files import ModelFiles
from engine.runtime_options import RuntimeOptions
from engine.tokens import tokenizer
from schemas.settings import ROOT
from schemas.spec import ControlSpec, ImageSpec, LoraRef, ModelRef
from schemas.weights.components import load_shipped, read_folder_configs
from schemas.weights.files import read_header_at
from schemas.weights.original import Table, map_open_clip, map_original_unet, map_original_vae

SIDE = 64
DTYPE = torch.bfloat16
WAYS = ("diffusers folder", "diffusers file", "engine folder", "engine file")
CONDITION = "e" * 64
SHORT, LONG = "a brass key", "a brass key on worn green velvet, " * 24
"""LONG is about 190 tokens: three windows of a text encoder."""


def build(folder: Path, shapes: Shapes) -> dict[str, Any]:
    """The catalogue: `folder` and `file` are one checkpoint, `canny` a ControlNet, `lora` a LoRA of rank 4. Returns
    seconds: of writing all, of hashing the single file, of hashing it again, and of the plain hash beside it."""
    began = time.perf_counter()
    sdxl.shelf(folder, shapes, device=torch.device("cpu"), dtype=DTYPE)
    base = folder / "base"
    if shapes is SDXL:  # what a single file is read with has the true vocabulary
        shipped = load_shipped("sdxl")
        for name in ("tokenizer", "tokenizer_2"):
            tokenizer(shipped[name]).save_pretrained(base / name)
        for name in ("text_encoder", "text_encoder_2"):
            file = base / name / "config.json"
            marks = {key: shipped[name][key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
            file.write_text(json.dumps(json.loads(file.read_text()) | marks, indent=2))
    write_single_file(base, folder / "file.safetensors")
    write_lora(base / "unet", folder / "lora.safetensors")
    entries: dict[str, dict[str, Any]] = {
        "folder": {"kind": "checkpoint", "path": "base", "size": shapes.side},
        "file": {"kind": "checkpoint", "path": "file.safetensors", "size": shapes.side},
        "canny": {"kind": "controlnet", "path": "canny", "controls": ["canny"]},
        "lora": {"kind": "lora", "path": "lora.safetensors"},
    }
    if shapes is not SDXL:
        entries["file"]["config"] = "base"
    (folder / "catalogue.yaml").write_text(yaml.safe_dump(entries))
    wrote = time.perf_counter() - began
    catalogue = ModelFiles.read(folder / "catalogue.yaml", digests=folder / "digests.json")
    seconds = []
    for take in (lambda: catalogue.digest("file"), lambda: catalogue.digest("file"), lambda: _plain_hash(folder)):
        began = time.perf_counter()
        take()
        seconds.append(round(time.perf_counter() - began, 2))
    for alias in ("folder", "canny", "lora"):
        catalogue.digest(alias)
    size = (folder / "file.safetensors").stat().st_size
    names = ("digest_s", "digest_again_s", "plain_sha256_s")
    return {"written_s": round(wrote, 1), "file_gb": round(size / 1e9, 2), **dict(zip(names, seconds, strict=True))}


def _plain_hash(folder: Path) -> None:
    with (folder / "file.safetensors").open("rb") as opened:
        hashlib.file_digest(opened, "sha256")


def write_single_file(base: Path, out: Path) -> None:
    """A diffusers folder's weights under the keys of the original code."""
    configs = read_folder_configs(base)
    tensors: dict[str, Tensor] = {}
    for component, prefix, file in (
        ("unet", "model.diffusion_model.", "diffusion_pytorch_model.safetensors"),
        ("vae", "first_stage_model.", "diffusion_pytorch_model.safetensors"),
        ("text_encoder", "conditioner.embedders.0.transformer.text_model.", "model.safetensors"),
        ("text_encoder_2", "conditioner.embedders.1.model.", "model.safetensors"),
    ):
        weights = {
            name.removeprefix("text_model."): value for name, value in load_file(base / component / file).items()
        }
        weights = {name: value for name, value in weights.items() if "position_ids" not in name}
        if component == "unet":
            table: Table = map_original_unet(weights, configs["unet"])
        elif component == "vae":
            table = map_original_vae(weights, configs["vae"])
        elif component == "text_encoder_2":
            table = map_open_clip(weights)
        else:
            tensors |= {prefix + name: value for name, value in weights.items()}
            continue
        tensors |= {prefix + key: value for key, value in _original(weights, table).items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, out)


def _original(weights: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, source in table.items():
        value = weights[name]
        if source.change == "transpose":
            value = value.T
        elif source.change == "flatten":
            value = value[:, :, None, None]
        parts.setdefault(source.key, {})[source.change] = value
    return {
        key: torch.cat([pieces[part] for part in "qkv"]) if "q" in pieces else next(iter(pieces.values()))
        for key, pieces in parts.items()
    }


def write_lora(unet: Path, out: Path) -> None:
    """Rank 4 on every query projection of the UNet."""
    drawn = torch.Generator().manual_seed(3)
    tensors = {}
    header = read_header_at(unet / "diffusion_pytorch_model.safetensors")
    for name, tensor in sorted(header.tensors.items()):
        if ".to_q." not in name:
            continue
        rows, columns = tensor.shape
        at = f"unet.{name.removesuffix('.weight')}"
        tensors[f"{at}.lora_A.weight"] = (torch.randn(4, columns, generator=drawn) * 0.05).to(DTYPE)
        tensors[f"{at}.lora_B.weight"] = (torch.randn(rows, 4, generator=drawn) * 0.05).to(DTYPE)
    save_file(tensors, out)


def make_spec(catalogue: ModelFiles, alias: str, prompt: str = SHORT, **fields: Any) -> ImageSpec:
    given = {
        "project": "bench", "asset": "key", "variant": "1", "prompt": prompt, "negative_prompt": "blurred", "seed": 7,
        "width": SIDE, "height": SIDE, "num_inference_steps": 1, "guidance_scale": 5.0,
        "model": ModelRef(alias=alias, digest=catalogue.digest(alias)),
    }  # fmt: skip
    return ImageSpec(**(given | fields))


def make_control(catalogue: ModelFiles) -> ControlSpec:
    model = ModelRef(alias="canny", digest=catalogue.digest("canny"))
    return ControlSpec(type="canny", image=CONDITION, precomputed=True, model=model)


def draw_condition() -> np.ndarray[Any, Any]:
    blocks = np.random.default_rng(0).integers(0, 2, (SIDE // 8, SIDE // 8, 1)) * 255
    return np.kron(blocks, np.ones((8, 8, 3))).astype(np.uint8)


def peak_gib() -> float:
    """Of this process so far: resident memory, mapped files included."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def run_engine(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    catalogue = ModelFiles.read(folder / "catalogue.yaml", digests=folder / "digests.json")
    bare = RuntimeOptions(channels_last="off")  # as diffusers lays them out: another layout rounds otherwise
    engine = Engine(catalogue, device="cpu", dtype="bfloat16", levers=bare)
    plain = make_spec(catalogue, kind)
    figures: dict[str, Any] = {"before_gib": peak_gib()}
    began = time.perf_counter()
    pipe = engine.models.pipeline(plain, asker="bench")
    figures |= {"load_s": round(time.perf_counter() - began, 1), "load_peak_gib": peak_gib()}
    answers = {}
    controlled = make_spec(catalogue, kind, controls=(make_control(catalogue),))
    conditions = {control.condition_key(SIDE, SIDE): draw_condition() for control in controlled.controls}
    for name, spec in (("text-to-image", plain), ("ControlNet", controlled)):
        with listening(pipe.unet) as said:
            (row,) = engine.render([spec], conditions=conditions)
        assert row.error is None, row.error
        answers[name] = said[0]
        figures |= {f"{name}_s": round(sum(row.timings.values()), 1)}
    figures["peak_gib"] = peak_gib()
    if kind == "folder":
        figures["foreseen_gib"] = round(weigh_models(catalogue, controlled, itemsize=2).total / 2**30, 3)
        parts = [pipe.unet, pipe.vae, pipe.text_encoder, pipe.text_encoder_2]
        parts.append(engine.models.pipeline(controlled, asker="bench").controlnet)
        held = sum(p.numel() * p.element_size() for part in parts for p in part.parameters())
        figures["held_gib"] = round(held / 2**30, 3)
    if kind == "file":
        figures["then"] = list(_go_on(engine, catalogue))
    return figures, answers


def _go_on(engine: Engine, catalogue: ModelFiles) -> Any:
    """Prompts and LoRAs one after the other: what is loaded for each."""
    lora = (LoraRef(alias="lora", digest=catalogue.digest("lora"), weight=0.8),)
    unet = engine.models._base.unet if engine.models._base is not None else None
    for name, fields in (
        ("short prompt", {"prompt": SHORT}),
        ("long prompt", {"prompt": LONG}),
        ("LoRA on", {"loras": lora}),
        ("LoRA off", {}),
        ("LoRA on again", {"loras": lora}),
    ):
        (row,) = engine.render([make_spec(catalogue, "file", **fields)])
        assert row.error is None, row.error
        load = row.timings.get("load", 0.0)
        assert engine.models._base is not None
        stays = getattr(engine.models._base, "unet", None) is unet
        yield {"what": name, "load_s": round(load, 2), "checkpoint_stays": stays}


def run_diffusers(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline, StableDiffusionXLPipeline
    from PIL import Image

    figures: dict[str, Any] = {"before_gib": peak_gib()}
    began = time.perf_counter()
    if kind == "folder":
        pipe = StableDiffusionXLPipeline.from_pretrained(
            folder / "base", dtype=DTYPE, use_safetensors=True, local_files_only=True, add_watermarker=False
        )
    else:
        pipe = StableDiffusionXLPipeline.from_single_file(
            str(folder / "file.safetensors"), config=str(folder / "base"), torch_dtype=DTYPE, local_files_only=True,
            add_watermarker=False,
        )  # fmt: skip
    figures |= {"load_s": round(time.perf_counter() - began, 1), "load_peak_gib": peak_gib()}
    net = ControlNetModel.from_pretrained(folder / "canny", dtype=DTYPE, use_safetensors=True)
    both = StableDiffusionXLControlNetPipeline(**pipe.components, controlnet=net, add_watermarker=False)
    common = {
        "prompt": SHORT, "negative_prompt": "blurred", "output_type": "latent", "num_inference_steps": 1,
        "guidance_scale": 5.0, "width": SIDE, "height": SIDE,
    }  # fmt: skip
    answers = {}
    for name, run, more in (
        ("text-to-image", pipe, {}),
        ("ControlNet", both, {"image": Image.fromarray(draw_condition())}),
    ):
        run.set_progress_bar_config(disable=True)
        began = time.perf_counter()
        with listening(pipe.unet) as said:
            run(**common, **more, generator=torch.Generator().manual_seed(7))
        answers[name] = said[0]
        figures |= {f"{name}_s": round(time.perf_counter() - began, 1)}
    figures["peak_gib"] = peak_gib()
    return figures, answers


def measure(folder: Path, shapes: Shapes) -> dict[str, Any]:
    """All figures, each step in a process of its own, so that its peak is its own."""
    figures: dict[str, Any] = {}
    for part in ("build", *WAYS):
        command = [sys.executable, "-m", "bench.truesize", "--folder", str(folder), "--part", part]
        subprocess.run([*command, *(["--tiny"] if shapes is TINY else [])], check=True, cwd=ROOT)
        figures[part] = json.loads((folder / "part.json").read_text())
        print(part, json.dumps(figures[part]), flush=True)
    reference = load_file(folder / f"{WAYS[0]}.safetensors")
    for way in WAYS[1:]:
        answers = load_file(folder / f"{way}.safetensors")
        away = {name: distance(answers[name], reference[name]) for name in reference}
        figures[way]["relative_l2"] = {name: None if math.isnan(value) else value for name, value in away.items()}
        print(way, figures[way]["relative_l2"], flush=True)
    return figures


def measure_stored(shapes: Shapes) -> dict[str, Any]:
    """A forward of one picture of 256 px, by way of holding the weights: against the same weights in 16 bits."""
    given = sdxl.inputs(replace(shapes, side=min(shapes.side, 256)), 2, device=torch.device("cpu"), dtype=DTYPE)
    figures: dict[str, Any] = {}
    for name, hold in HELD.items():
        unet = sdxl.unet(shapes, device=torch.device("cpu"), dtype=DTYPE)
        with torch.inference_mode():
            true = unet(**given)[0].float()
            before = _count_bytes(unet)
            hold(unet, DTYPE)
            away = distance(unet(**given)[0].float(), true)
        figures[name] = {"relative_l2": float(f"{away:.2e}"), "bytes": _count_bytes(unet), "bytes_16_bits": before}
        print(name, figures[name], flush=True)
    return figures


def _count_bytes(unet: Any) -> int:
    return sum(value.nbytes for value in (*unet.parameters(), *unet.buffers()))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tiny", action="store_true")
    arguments.add_argument("--folder", type=Path, help="for 14 GB of weights; else a temporary one")
    arguments.add_argument("--out", type=Path, help="JSON")
    arguments.add_argument("--stored", action="store_true", help="only the weights in fewer bits")
    arguments.add_argument("--part", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    shapes = TINY if given.tiny else SDXL
    if given.part:
        if given.part == "build":
            figures = build(given.folder, shapes)
        else:
            who, kind = given.part.split()
            figures, answers = (run_engine if who == "engine" else run_diffusers)(given.folder, kind)
            save_file(
                {name: answer.contiguous() for name, answer in answers.items()},
                given.folder / f"{given.part}.safetensors",
            )
        (given.folder / "part.json").write_text(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory(prefix="truesize-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = measure_stored(shapes) if given.stored else measure(folder, shapes)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What fits on a card, and what is done where it does not: decided from numbers before anything is loaded.

Weights are counted in the headers of the catalogue's files, in the precision that is computed in. What a forward pass
needs beside them was counted on SDXL's own networks (bench/activations.py); other networks are taken for as wide, which
errs on the safe side for smaller ones. Opens no tensor and imports no torch; engine/offload.py does what is decided.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from pathlib import Path

from engine.model_files import ModelFiles
from schemas.spec import ImageSpec
from schemas.weights.control_lora import MARK, fit_control_lora
from schemas.weights.examine import list_components
from schemas.weights.header import remember_header

GIB = 2**30
CONTEXT = int(0.6 * GIB)
"""What CUDA and its libraries hold before any tensor does."""
MARGIN = 1.6
"""Over what was counted, for convolution workspaces and the allocator's gaps: 3.0 GiB counted for decoding 1024 x 1024
in float32, 5 GB seen."""
MEGAPIXEL = 2**20
TILE = 512 * 512
"""px that a tiled autoencoder sees at once."""

GROUP = 32
"""Weights that share a step where they are held in four bits; other tools' files have as many."""
EIGHT = ("time_emb", "add_emb", "label_emb", "emb_layers")
"""In the names of layers that have eight bits where others have four (engine/stored_weights.py)."""

# Values, not bytes, for one row at 1024 x 1024: python -m bench.activations
UNET, CONTROLNET, DECODE = 83e6, 81e6, 806e6


class Placement(StrEnum):
    """Where weights are while they are not used."""

    RESIDENT = "resident"
    """On the device, always."""
    BY_PART = "by part"
    """Text encoders and autoencoder leave the device while UNet and ControlNets denoise, and the other way round."""
    STREAMED = "streamed"
    """UNet and ControlNets too: layer by layer from the host's memory, the next one copied while one computes."""


@dataclass(frozen=True)
class Weights:
    """Bytes, in the precision that is computed in."""

    unet: int
    """With the LoRAs and IP-Adapters that it wears, and the latters' image encoder."""
    text: int
    vae: int
    controlnets: int = 0
    refiner: int = 0
    """Always on the device."""

    @property
    def total(self) -> int:
        return self.unet + self.text + self.vae + self.controlnets + self.refiner


NOTHING = Weights(0, 0, 0)


@dataclass(frozen=True)
class Policy:
    """`tiled_pixels`: a picture of more goes through the autoencoder in tiles."""

    placement: Placement
    tiled_pixels: int
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(self.reasons)


UNLIMITED = Policy(Placement.RESIDENT, 4 * MEGAPIXEL, ("no GPU memory to plan for: nothing is needed",))
"""What a CPU gets, and a GPU that has room for everything."""


def measure_device_memory(memory: str, *, free: int | None) -> int | None:
    """Bytes to plan with: the setting's (`8gb`), or what the device has `free`. None: no device memory to plan for."""
    if memory != "auto":
        return int(memory.removesuffix("gb")) * GIB - CONTEXT
    return free


def choose_policy(
    weights: Weights,
    *,
    room: int | None,
    width: int,
    height: int,
    guided: bool = True,
    itemsize: int = 2,
    decode_itemsize: int | None = None,
) -> Policy:
    """The quickest way to make one picture of this size (px) in `room` bytes. Pure."""
    if room is None:
        return UNLIMITED
    pixels = width * height / MEGAPIXEL
    rows = 2 if guided else 1
    step = MARGIN * itemsize * pixels * rows * (UNET + (CONTROLNET if weights.controlnets else 0))
    whole = MARGIN * (decode_itemsize or itemsize) * pixels * DECODE
    tiled = MARGIN * (decode_itemsize or itemsize) * min(pixels, TILE / MEGAPIXEL) * DECODE
    denoisers, always = weights.unet + weights.controlnets, weights.refiner
    ways = (
        (Placement.RESIDENT, weights.total + max(step, whole), whole),
        (Placement.BY_PART, always + max(weights.text, denoisers + step, weights.vae + whole), whole),
        (Placement.RESIDENT, weights.total + max(step, tiled), tiled),
        (Placement.BY_PART, always + max(weights.text, denoisers + step, weights.vae + tiled), tiled),
        (Placement.STREAMED, always + max(weights.text, step + 0.05 * denoisers, weights.vae + whole), whole),
        (Placement.STREAMED, always + max(weights.text, step + 0.05 * denoisers, weights.vae + tiled), tiled),
    )
    placement, need, decode = next((way for way in ways if way[1] <= room), ways[-1])
    said: tuple[str, ...] = (
        f"{_gib(room)} to plan with, {_gib(weights.total)} of weights (UNet {_gib(weights.unet)}, text encoders "
        f"{_gib(weights.text)}, ControlNets {_gib(weights.controlnets)}, autoencoder {_gib(weights.vae)}), "
        f"{_gib(step)} for a step of one {width} x {height} picture, {_gib(whole)} to decode it",
        _SAID[placement].format(needs=_gib(ways[0][1])),
    )
    tiles = decode < whole
    if tiles:
        said += (f"decoded in tiles of 512 px ({_gib(decode)}), since a whole picture's {_gib(whole)} does not fit",)
    if need > room:
        said += (f"one picture needs about {_gib(need)} even so: expect out-of-memory errors at this size",)
    return Policy(placement, 0 if tiles else 4 * MEGAPIXEL, said)


_SAID = {
    Placement.RESIDENT: "everything stays on the device",
    Placement.BY_PART: "all at once would need {needs}: idle parts are offloaded to the host's memory",
    Placement.STREAMED: "all at once would need {needs}: UNet and ControlNets come layer by layer from the host's "
    "memory, which is several times slower",
}


def weigh_models(catalogue: ModelFiles, spec: ImageSpec, *, itemsize: int) -> Weights:
    """From the files' headers. Raises ModelMissing or UnsafeWeights."""
    asker = f"{spec.project}/{spec.asset}"
    files = catalogue.files(spec.model.alias, asker=asker)
    parts = {"unet": 0, "text": 0, "vae": 0}
    for file in files:
        for name, shape in read_shapes(file).items():
            part = _part(file, name)
            parts[part] += _weigh(name, shape, itemsize, spec.storage_dtype if part == "unet" else "")
    if spec.vae is not None:
        parts["vae"] = _count(catalogue.files(spec.vae.alias, asker=asker)) * itemsize
    nets = {control.model.alias for control in spec.controls}
    controlnets = sum(_weigh_control(catalogue, alias, spec, asker, itemsize) for alias in nets)
    seen = {reference.model.alias for reference in spec.references}
    worn = sum(_count(catalogue.files(alias, asker=asker)) for alias in {lora.alias for lora in spec.loras} | seen)
    refiner = _count(catalogue.files(spec.refiner.model.alias, asker=asker)) if spec.refiner else 0
    return Weights(
        parts["unet"] + worn * itemsize,
        parts["text"],
        parts["vae"],
        controlnets,
        refiner * itemsize,
    )


def read_shapes(file: Path) -> Mapping[str, tuple[int, ...]]:
    """Of its tensors, by name, from a safetensors file's header; nothing for any other file."""
    if file.suffix != ".safetensors":
        return {}
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        header = json.loads(opened.read(length))
    return {name: tuple(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"}


def fits_four_bits(name: str, shape: tuple[int, ...]) -> bool:
    """Of a weight, by its layer's name and its sides."""
    return len(shape) == 2 and shape[1] % GROUP == 0 and not any(part in name for part in EIGHT)


def _weigh(name: str, shape: tuple[int, ...], itemsize: int, held: str) -> int:
    """Bytes of a tensor: four bits and what a group has beside them, eight, or as it is computed with."""
    if held == "int4" and fits_four_bits(name, shape):
        return prod(shape) // 2 + prod(shape) // GROUP * 2 * itemsize
    return prod(shape) * (1 if held else itemsize)


def _count(files: Iterable[Path]) -> int:
    return sum(prod(shape) for file in files for shape in read_shapes(file).values())


def _weigh_control(catalogue: ModelFiles, alias: str, spec: ImageSpec, asker: str, itemsize: int) -> int:
    """Of a control-LoRA the whole ControlNet that it becomes with its checkpoint, in eight bits if not whole."""
    base, held = spec.model.alias, spec.storage_dtype
    path = catalogue.where(alias, asker=asker)
    if path.is_file() and MARK in (header := remember_header(path)).tensors:
        components = list_components(catalogue, catalogue.entry(base, asker=asker)) or {}
        return fit_control_lora(header, components["unet"]).count * (1 if held else itemsize)
    files = catalogue.files(alias, asker=asker)
    return sum(_weigh(name, shape, itemsize, held) for file in files for name, shape in read_shapes(file).items())


def _part(file: Path, tensor: str) -> str:
    """Of a diffusers folder the folder says it; of a single file the tensor's name."""
    place = file.parent.name
    if place.startswith("text_encoder") or tensor.startswith(("conditioner.", "cond_stage_model.")):
        return "text"
    return "vae" if place == "vae" or tensor.startswith("first_stage_model.") else "unet"


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"

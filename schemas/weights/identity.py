"""What a weights file turned out to be, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Sort = Literal[
    "checkpoint", "unet", "vae", "taesd", "lora", "controlnet", "t2i_adapter", "ip_adapter", "embedding", "upscaler",
    "text_encoder", "image_encoder", "unknown",
]  # fmt: skip
"""`unet`: a checkpoint without text encoders and autoencoder."""

NAMES = {
    "sdxl": "SDXL",
    "sdxl-refiner": "an SDXL refiner",
    "sd15": "SD 1.5",
    "sd2": "SD 2",
    "ssd-1b": "SSD-1B",
    "segmind-vega": "Segmind Vega",
    "playground-2.5": "Playground 2.5",
    "flux": "Flux",
    "sd3": "SD 3",
    "": "an unknown architecture",
}
"""How an architecture is called in a sentence."""

ABLE = ("sdxl", "sdxl-refiner", "sd15", "ssd-1b", "segmind-vega")
"""Architectures that the engine can render; the last two as diffusers folders."""


@dataclass
class Identity:
    """`architecture`: "" where the file does not say it. `size`: bytes. `refusal`: why it cannot be used, or ""."""

    kind: Sort
    architecture: str = ""
    layout: str = ""
    """kohya, peft, dora, loha, lokr, union, control-lora, original, diffusers, ..."""
    prediction_type: str = ""
    zero_snr: bool = False
    in_channels: int = 4
    conditions: int = 0
    """How many kinds of condition a union ControlNet knows."""
    side: int = 0
    """px that a checkpoint was trained at, where its metadata say it."""
    rank: tuple[int, ...] = ()
    lacks: tuple[str, ...] = ()
    """Components that a checkpoint file does not hold."""
    trigger_words: tuple[str, ...] = ()
    dtype: str = ""
    size: int = 0
    licence: str = ""
    title: str = ""
    refusal: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return NAMES.get(self.architecture, self.architecture)

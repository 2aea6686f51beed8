"""Random weights for what no trained ones ship: they prove the path, not the picture.

    python -m tests.untrained FOLDER

makes all of them beside a catalogue that has the shipped models too (`FOLDER/catalogue.yaml`), for the manifests in
manifests/untrained/. The same weights every time.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from diffusers import T2IAdapter
from safetensors.torch import save_file

from schemas.settings import ROOT

BASE = ROOT / "models" / "studio-tiny"
WIDTHS = {"clip_l": 64, "clip_g": 128}
"""Of studio-tiny's two text encoders."""


def t2i_adapter(folder: Path, *, seed: int = 1, in_channels: int = 3) -> None:
    """Of the SDXL kind, for studio-tiny's UNet: its features at 1/8, 1/8 and 1/16 of the picture's side."""
    torch.manual_seed(seed)
    net = T2IAdapter(
        in_channels=in_channels, channels=[48, 96, 192, 192], num_res_blocks=1, downscale_factor=8,
        adapter_type="full_adapter_xl",
    )  # fmt: skip
    net.save_pretrained(folder)


def embedding(file: Path, *, seed: int = 1, vectors: int = 3) -> None:
    """A textual inversion in the layout of SDXL trainers: `clip_l` and `clip_g`."""
    drawn = torch.Generator().manual_seed(seed)
    sides = {name: torch.randn(vectors, width, generator=drawn) * 0.5 for name, width in WIDTHS.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(sides, file)


def shipped() -> dict[str, dict[str, Any]]:
    """The shipped catalogue's entries, with whole paths."""
    entries: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "models" / "catalogue.yaml").read_text("utf-8"))
    return {alias: entry | {"path": str(ROOT / "models" / entry["path"])} for alias, entry in entries.items()}


def make(folder: Path) -> Path:
    """Everything; the path of its catalogue."""
    t2i_adapter(folder / "t2i-sketch", seed=1)
    t2i_adapter(folder / "t2i-depth", seed=2)
    embedding(folder / "gouache.safetensors", seed=1)
    embedding(folder / "muddy.safetensors", seed=2, vectors=2)
    entries = shipped() | {
        "untrained/t2i-sketch": {"kind": "t2i_adapter", "path": "t2i-sketch", "controls": ["sketch"]},
        "untrained/t2i-depth": {"kind": "t2i_adapter", "path": "t2i-depth", "controls": ["depth"]},
        "untrained/gouache": {"kind": "embedding", "path": "gouache.safetensors", "trigger": "gouache-style"},
        "untrained/muddy": {"kind": "embedding", "path": "muddy.safetensors"},
    }
    catalogue = folder / "catalogue.yaml"
    catalogue.write_text(yaml.safe_dump(entries), encoding="utf-8")
    return catalogue


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))

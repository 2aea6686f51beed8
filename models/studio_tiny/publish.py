"""From a training run to the folder that ships.

    python -m models.studio_tiny.publish --training DIR [--out models/studio-tiny]

Whatever the run has is written: the base, each ControlNet, the style LoRA, the draft LoRA; the rest is left as it is.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline

from models.studio_tiny import architecture, train_draft
from models.studio_tiny.train_adapters import STYLE_RANK, adapter_state, controlnet_of
from models.studio_tiny.train_unet import trained
from models.studio_tiny.world import LORA_STYLE

LIMIT = 60_000_000  # bytes, everything together


def publish(run: Path, out: Path) -> int:
    """Returns the bytes in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer", "tokenizer_2"):  # those of the run: its weights know no other numbering of the words
        shutil.copytree(run / name, out / name, dirs_exist_ok=True)
    parts = trained(run)
    architecture.save(parts, out)
    for condition in ("canny", "depth"):
        if (run / f"controlnet-{condition}.pt").exists():
            architecture.save_controlnet(controlnet_of(run, condition, parts.unet), out / f"controlnet-{condition}")
    for name, folder, rank in (("lora", f"lora-{LORA_STYLE}", STYLE_RANK), ("draft", "lcm-lora", train_draft.RANK)):
        if (run / f"{name}.pt").exists():
            state = adapter_state(run, name, trained(run).unet, rank=rank)
            half = {k: v.to(torch.float16) for k, v in state.items()}
            StableDiffusionXLPipeline.save_lora_weights(out / folder, unet_lora_layers=half, safe_serialization=True)
    total = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    if total > LIMIT:
        raise SystemExit(f"{out} has {total / 1e6:.1f} MB; expected at most {LIMIT / 1e6:.0f} MB")
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--training", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/studio-tiny"))
    args = parser.parse_args()
    print(f"{args.out}: {publish(args.training, args.out) / 1e6:.1f} MB")
    for sheet in sorted(args.training.glob("unet-128-*.png"))[-1:]:
        shutil.copy(sheet, args.training / "latest.png")


if __name__ == "__main__":
    main()

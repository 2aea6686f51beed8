"""Trains each part of studio-tiny. Every part can be stopped and goes on where it was.

    python -m models.studio_tiny.train data|vae|decoder|text|unet|controlnet|lora|draft --training DIR --minutes N
    python -m models.studio_tiny.train start --training DIR     begins a run with the published weights

DIR holds the drawn pictures, the latents, a checkpoint (.pt), a loss curve (.csv) and sheets (.png) of each part.
It runs on a GPU when there is one, otherwise on the CPU, in bf16 autocast where it has AMX. On a busy machine the UNet
trains faster as several processes of one thread, which wait for each other once a step and not once an operation:

    torchrun --nproc-per-node 2 -m models.studio_tiny.train unet --training DIR --minutes N
"""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

import torch

DEFAULT_RUN = Path("runs/studio-tiny")  # ignored by git
PARTS = ("start", "data", "vae", "decoder", "text", "unet", "controlnet", "lora", "draft")
PICTURES = 24_000
PRACTICE_PICTURES, PRACTICE_SEED = 15_000, 4_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--training", type=Path, default=DEFAULT_RUN)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--size", type=int, default=128, help="pixels; 64 first teaches words and colours four times as fast"
    )
    parser.add_argument("--published", type=Path, default=Path("models/studio-tiny"), help="for start")
    parser.add_argument("--practice", action="store_true", help="for data: hands more often")
    parser.add_argument("--condition", choices=["canny", "depth"], default="canny", help="for controlnet")
    args = parser.parse_args()
    processes, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if processes > 1:
        torch.set_num_threads(1)
        torch.distributed.init_process_group("gloo", rank=rank, world_size=processes)
    train(rank, args)


def train(rank: int, args: argparse.Namespace) -> None:
    torch.manual_seed(rank)
    module = {
        "start": "start",
        "data": "dataset",
        "vae": "train_vae",
        "decoder": "train_vae",
        "text": "train_text",
        "unet": "train_unet",
        "draft": "train_draft",
    }.get(args.part, "train_adapters")
    trainer = importlib.import_module(f"models.studio_tiny.{module}")
    if args.part == "start":
        trainer.start_run(args.published, args.training)
    elif args.part == "data":
        if args.practice:
            trainer.draw_all(args.training, PRACTICE_PICTURES, size=128, first_seed=PRACTICE_SEED, practice=True)
        else:
            trainer.draw_all(args.training, PICTURES, size=128)
    elif args.part in ("vae", "decoder"):
        trainer.train(args.training, minutes=args.minutes, decoder_only=args.part == "decoder")
    elif args.part == "unet":
        trainer.train(args.training, minutes=args.minutes, size=args.size)
    elif args.part == "controlnet":
        trainer.train_controlnet(args.training, condition=args.condition, minutes=args.minutes)
    elif args.part == "lora":
        trainer.train_lora(args.training, minutes=args.minutes)
    else:  # text, draft
        trainer.train(args.training, minutes=args.minutes)


if __name__ == "__main__":
    main()

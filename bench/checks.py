"""What each check costs on one image, one thread, after loading: median of a few runs.

python -m bench.checks
python -m bench.checks --quality [--only hands,text] [--json FILE]     how well they tell (bench/quality.py)
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from skimage import data

from checks import brand, hands, technical, text
from checks.hand_weights import PALM, locate
from checks.likeness import compute_perceptual_hash
from models.studio_tiny.draw import TEST_SEEDS, draw
from schemas.manifest import BrandGuide
from schemas.spec import ImageSpec, ModelRef
from storage.pictures import encode, make_preview

SIDES = (128, 1024)
RUNS = 5
GUIDE = BrandGuide(palette=("#d62828", "#1d3557", "#f1e6c8", "#2a9d8f"))


def spec(side: int) -> ImageSpec:
    return ImageSpec(
        project="bench", asset="checks", variant="01", prompt="a photograph", seed=1, width=side, height=side,
        num_inference_steps=30, guidance_scale=5.0, model=ModelRef(alias="none", digest="0" * 64), seamless="xy",
    )  # fmt: skip


def milliseconds(act: Callable[[], object]) -> float:
    act()
    took = []
    for _ in range(RUNS):
        began = time.process_time()
        act()
        took.append(time.process_time() - began)
    return 1000 * median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quality", action="store_true", help="precision, recall and AUC instead of cost")
    parser.add_argument("--order", action="store_true", help="how well decisions would teach the inbox's order")
    parser.add_argument("--only", default="", help="questions that begin with one of these, such as hands,text")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    only = [name for name in args.only.split(",") if name]
    if args.quality:
        from bench.quality import measure

        measure(only, args.json)
    elif args.order:
        from bench.quality import measure_order

        measure_order(only)
    else:
        print_costs()


def print_costs() -> None:
    drawings = (draw(seed) for seed in range(TEST_SEEDS, TEST_SEEDS + 99))
    pictures = {"drawn sign, 128 px": next(p.image for p in drawings if p.about.kind == "sign")}
    for side in SIDES:
        pictures[f"photograph, {side} px"] = cv2.resize(data.astronaut(), (side, side), interpolation=cv2.INTER_AREA)
    siblings = {f"{n:064x}": compute_perceptual_hash(np.roll(data.coffee(), 40 * n, 1)) for n in range(1000)}
    print(f"{'CPU milliseconds an image':34}" + "".join(f"{name:>24}" for name in pictures))
    rows: dict[str, Callable[[np.ndarray, ImageSpec], object]] = {
        "hands": lambda p, s: hands.check_hands(p, s, GUIDE),
        "text": lambda p, s: text.check_text(p, s, GUIDE),
        "brand (4 colours)": lambda p, s: brand.check_brand(p, s, GUIDE),
        "technical (seamless)": lambda p, s: technical.check_technical(p, s, GUIDE),
        "technical, 1000 siblings": lambda p, s: technical.check_technical(p, s, GUIDE, siblings=siblings),
        "PNG with its texts": lambda p, s: encode(p, s, image_format="png"),
        "both previews": lambda p, s: (make_preview(p, 1024), make_preview(p, 384)),
    }
    for name, look in rows.items():
        costs = [milliseconds(partial(look, p, spec(p.shape[0]))) for p in pictures.values()]
        print(f"{name:34}" + "".join(f"{cost:24.1f}" for cost in costs))
    print(f"hands: {'a palm detector is installed' if locate(PALM) else 'faces only, no hand detector is installed'}")


if __name__ == "__main__":
    main()

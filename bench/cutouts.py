"""Alpha by keying, on drawn icons whose matte is known: mean absolute error, and edge pixels off by more than 8 levels.

python -m bench.cutouts [SHEET.png]      also draws some of them on a checker, on dark and on light

The icons are those of models/studio_tiny, drawn large on two grounds; where the two agree the subject is opaque. They
are measured clean, softened and noisy as a VAE leaves them, and after JPEG.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image

from engine.keying import Ground, find_ground, key_out
from models.studio_tiny import objects, pen
from models.studio_tiny.world import COLOURS, OBJECTS

ICONS = 100
SUPERSAMPLE = 4
WHITE, GREEN = (255, 255, 255), (90, 210, 80)
OFF = 8
"""Levels."""

Pixels = np.ndarray


def draw_icon(number: int, *, size: int, ground: tuple[int, int, int] = WHITE) -> tuple[Pixels, Pixels]:
    """(uint8 [size, size, 3], true alpha float32 [size, size]); the same number, the same icon."""
    rng = np.random.default_rng(number)
    name = list(OBJECTS)[number % len(OBJECTS)]
    clash = {"white"} if ground == WHITE else {"green", "yellow"}
    colours = [colour for colour in COLOURS if colour not in clash]
    colour = pen.rgb(colours[int(rng.integers(len(colours)))], rng)
    place: dict[str, Any] = {
        "angle": objects.TURN.get(name, 0.0) + float(rng.uniform(-0.12, 0.12)),
        "scale": float(rng.uniform(0.8, 0.98)),
        "shift": (float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.05, 0.05))),
    }
    side, drawn = size * SUPERSAMPLE, []
    for behind in (ground, (128, 131, 127)):
        canvas = Image.new("RGB", (side, side), behind)
        objects.DRAW[name](pen.Pen(canvas, colour, style=("flat", "outlined")[number % 2], **place))
        drawn.append(canvas)
    same = (np.asarray(drawn[0]) == np.asarray(drawn[1])).all(-1).astype(np.float32)
    alpha = same.reshape(size, SUPERSAMPLE, size, SUPERSAMPLE).mean((1, 3))
    return np.asarray(drawn[0].resize((size, size), Image.Resampling.BOX)), alpha


def soften(pixels: Pixels, number: int) -> Pixels:
    """A Gaussian of 0.7 px and noise of 1.5 levels."""
    noise = np.random.default_rng(number).normal(0, 1.5, pixels.shape)
    return np.clip(np.rint(cv2.GaussianBlur(pixels, (0, 0), 0.7) + noise), 0, 255).astype(np.uint8)


def through_jpeg(pixels: Pixels, number: int) -> Pixels:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=92)
    return np.asarray(Image.open(out))


def measure(matte: Pixels, truth: Pixels) -> tuple[float, float]:
    """(mean absolute error, 0 to 1; share of the truly half-transparent pixels that are off by more than 8 levels)."""
    edge = (truth > 0.004) & (truth < 0.996)
    off = np.abs(matte.astype(int) - np.rint(truth * 255)) > OFF
    return float(np.abs(matte / 255 - truth).mean()), float(off[edge].mean())


def run(
    size: int, icons: int, *, ground: tuple[int, int, int] = WHITE, spoil: Callable[[Pixels, int], Pixels] | None = None
) -> tuple[float, float, float]:
    """(MAE, edge share, milliseconds an icon), each the mean over the icons."""
    rows, seconds = [], 0.0
    for number in range(icons):
        pixels, truth = draw_icon(number, size=size, ground=ground)
        if spoil is not None:
            pixels = spoil(pixels, number)
            truth = cv2.GaussianBlur(truth, (0, 0), 0.7) if spoil is soften else truth
        began = time.perf_counter()
        found = find_ground(pixels)
        assert isinstance(found, Ground), found
        keyed = key_out(pixels, found, holes=True)
        seconds += time.perf_counter() - began
        assert isinstance(keyed, np.ndarray), keyed
        rows.append(measure(keyed[..., 3], truth))
    mae, edge = np.mean(rows, axis=0)
    return float(mae), float(edge), 1000 * seconds / icons


def sheet(numbers: list[int], size: int = 192) -> Image.Image:
    """Each icon as drawn, on a checker, on dark, on magenta, and its matte."""
    y, x = np.mgrid[:size, :size]
    checker = np.where(((x // 12 + y // 12) % 2)[..., None], 200, 150) * np.ones(3)
    rows = []
    for number in numbers:
        pixels, _ = draw_icon(number, size=size)
        pixels = soften(pixels, number)
        found = find_ground(pixels)
        assert isinstance(found, Ground)
        keyed = key_out(pixels, found, holes=True)
        assert isinstance(keyed, np.ndarray)
        alpha = keyed[..., 3:] / 255
        shown = [keyed[..., :3] * alpha + (1 - alpha) * behind for behind in (checker, [20, 22, 26], [255, 0, 255])]
        rows.append(np.hstack([pixels, *shown, np.repeat(keyed[..., 3:], 3, 2)]))
    return Image.fromarray(np.vstack(rows).astype(np.uint8))


if __name__ == "__main__":
    print(f"{ICONS} icons{'':24} MAE   edge > {OFF}   ms")
    rows: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("256 px, clean", 256, {}),
        ("512 px, clean", 512, {}),
        ("256 px, on green", 256, {"ground": GREEN}),
        ("256 px, soft and noisy", 256, {"spoil": soften}),
        ("256 px, JPEG 92", 256, {"spoil": through_jpeg}),
    )
    for label, size, options in rows:
        mae, edge, milliseconds = run(size, ICONS, **options)
        print(f"{label:30} {mae:8.5f} {edge:8.1%} {milliseconds:7.0f}")
    if len(sys.argv) > 1:
        sheet([4, 3, 28, 36, 19, 60]).save(sys.argv[1])

"""What lies behind a subject. Each fills a square canvas and draws nothing that could be taken for the subject."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

PLAIN = {"white": (250, 250, 250), "gray": (202, 203, 207), "dark": (36, 36, 46)}


def gradient(side: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    ramp = np.linspace(0, 1, side)[:, None, None]
    rows = np.array(top) * (1 - ramp) + np.array(bottom) * ramp
    return Image.fromarray(np.broadcast_to(rows, (side, side, 3)).astype(np.uint8).copy())


def behind(name: str, side: int, rng: np.random.Generator) -> Image.Image:
    """A background by name, `side` pixels square."""
    if name in PLAIN:
        jitter = int(rng.integers(-4, 5))
        return Image.new("RGB", (side, side), tuple(c + jitter for c in PLAIN[name]))
    if name == "sky":
        canvas = gradient(side, (120, 184, 240), (196, 226, 250))
        pen = ImageDraw.Draw(canvas)
        for _ in range(3):
            x, y, r = rng.uniform(0, side), rng.uniform(0, side * 0.8), side * rng.uniform(0.06, 0.1)
            for dx in (-1.1, 0, 1.1):
                pen.ellipse((x + dx * r - r, y - r * 0.7, x + dx * r + r, y + r * 0.7), fill=(240, 247, 253))
        return canvas
    if name == "night":
        canvas = gradient(side, (18, 20, 56), (48, 48, 104))
        pen = ImageDraw.Draw(canvas)
        for _ in range(22):
            x, y, r = rng.uniform(0, side), rng.uniform(0, side), side * 0.009
            pen.ellipse((x - r, y - r, x + r, y + r), fill=(236, 236, 210))
        return canvas
    if name == "meadow":
        canvas = gradient(side, (150, 204, 244), (206, 232, 250))
        pen = ImageDraw.Draw(canvas)
        horizon = side * rng.uniform(0.52, 0.64)
        pen.rectangle((0, horizon, side, side), fill=(124, 190, 92))
        for _ in range(26):
            x, y = rng.uniform(0, side), rng.uniform(horizon + side * 0.03, side)
            pen.line((x, y, x + side * 0.01, y - side * 0.03), fill=(96, 164, 70), width=max(1, side // 100))
        return canvas
    if name == "dungeon":
        canvas = Image.new("RGB", (side, side), (62, 60, 70))
        pen = ImageDraw.Draw(canvas)
        row, offset = side / 5, int(rng.integers(0, 2))
        for i in range(5):
            pen.line((0, i * row, side, i * row), fill=(46, 44, 54), width=side // 60)
            for j in range(5):
                x = (j + 0.5 * ((i + offset) % 2)) * side / 4
                pen.line((x, i * row, x, (i + 1) * row), fill=(46, 44, 54), width=side // 60)
        return canvas
    raise KeyError(f"no background {name!r}: there are {sorted([*PLAIN, 'sky', 'night', 'meadow', 'dungeon'])}")

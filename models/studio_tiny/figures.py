"""Hands with a given number of fingers, characters that show theirs, and signs with a word."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np

from models.studio_tiny.pen import Pen

SKINS = ((250, 214, 180), (222, 170, 124), (150, 100, 66))


def palm(p: Pen, x: float, y: float, r: float, fingers: int, skin: tuple[int, int, int], *, mirror: bool) -> None:
    """An open hand pointing up; the thumb is one of the fingers."""
    side = -1 if mirror else 1
    upright = fingers - 1
    spread = 26 if upright < 5 else 23
    for i in range(upright):
        turn = radians(-90 + side * (i - (upright - 1) / 2) * spread - side * 4)
        reach = r * (2.25 if 0 < i < upright - 1 else 2.0)
        p.limb((x + 0.6 * r * cos(turn), y + 0.6 * r * sin(turn)), (x + reach * cos(turn), y + reach * sin(turn)),
               r * (0.4 if upright < 5 else 0.34), skin)  # fmt: skip
    turn = radians(-90 + side * 78)
    p.limb((x + 0.5 * r * cos(turn), y + 0.4 * r), (x + 1.7 * r * cos(turn), y - 0.25 * r), r * 0.44, skin)
    p.ellipse(x, y, r * 0.92, r, skin)


def hand(p: Pen, rng: np.random.Generator, fingers: int) -> None:
    """A close-up of one hand coming out of a sleeve in the main colour."""
    skin = SKINS[int(rng.integers(len(SKINS)))]
    p.box(-0.17, 0.3, 0.17, 0.7, skin)
    palm(p, 0, 0.12, 0.38, fingers, skin, mirror=bool(rng.integers(2)))
    p.polygon([(-0.3, 0.56), (0.3, 0.56), (0.36, 1.1), (-0.36, 1.1)])
    p.box(-0.33, 0.52, 0.33, 0.64, "light")


def character(p: Pen, rng: np.random.Generator, name: str, fingers: int) -> None:
    """A bust with both hands raised; the garment has the main colour."""
    skin = SKINS[int(rng.integers(len(SKINS)))]
    for side in (-1, 1):
        p.limb((side * 0.34, 0.42), (side * 0.62, 0.12), 0.24, "main")
        p.limb((side * 0.62, 0.12), (side * 0.64, 0.0), 0.13, skin)
        palm(p, side * 0.64, -0.14, 0.17, fingers, skin, mirror=side > 0)
    p.polygon([(-0.3, 0.2), (0.3, 0.2), (0.48, 0.46), (0.54, 0.96), (-0.54, 0.96), (-0.48, 0.46)])
    p.polygon([(-0.12, 0.2), (0.12, 0.2), (0, 0.42)], "light", outline=False)
    p.ellipse(0, -0.12, 0.32, 0.36, skin)
    if name == "knight":
        p.ellipse(0, -0.2, 0.36, 0.38, "steel", arc=(180, 360))
        p.box(-0.36, -0.24, 0.36, -0.14, "steel")
        p.polygon([(0, -0.56), (0.08, -0.82), (-0.18, -0.74)], "main")
    elif name == "wizard":
        p.polygon([(-0.3, 0.08), (0.3, 0.08), (0.14, 0.44), (0, 0.56), (-0.14, 0.44)], "paper")
        p.polygon([(-0.34, -0.28), (0.34, -0.28), (0.06, -0.92)])
        p.limb((-0.42, -0.28), (0.42, -0.28), 0.12, "dark")
    elif name == "king":
        p.polygon([(-0.3, 0.08), (0.3, 0.08), (0.16, 0.3), (-0.16, 0.3)], "wood")
        p.polygon(
            [(-0.34, -0.34), (-0.38, -0.74), (-0.16, -0.54), (0, -0.8), (0.16, -0.54), (0.38, -0.74), (0.34, -0.34)],
            "gold",
        )
    else:
        p.ellipse(0, -0.34, 0.3, 0.28, (236, 204, 112), arc=(180, 360))
        p.limb((-0.5, -0.34), (0.5, -0.34), 0.12, (236, 204, 112))
    for x in (-0.12, 0.12):
        p.ellipse(x, -0.08, 0.05, 0.06, "ink", outline=False)
    if name != "wizard":
        p.box(-0.1, 0.07, 0.1, 0.11, (150, 60, 50), outline=False)


def sign(p: Pen, word: str) -> None:
    """A board in the main colour on a wooden post, its word as large as fits: small letters are hard to learn."""
    p.box(-0.09, 0.3, 0.09, 0.96, "wood")
    p.box(-0.92, -0.62, 0.92, 0.42, "dark")
    p.box(-0.86, -0.56, 0.86, 0.36, "main")
    red, green, blue = p.tones["main"]
    bright = 0.3 * red + 0.59 * green + 0.11 * blue > 115
    p.write(0, -0.1, word.upper(), width=1.58, height=0.66, tone="ink" if bright else "paper")

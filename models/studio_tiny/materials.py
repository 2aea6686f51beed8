"""12 surfaces that tile: every shape that leaves on one side comes in on the other, all noise is periodic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from models.studio_tiny.pen import INK, shade

RGB = tuple[int, int, int]


class Tile:
    """A canvas that wraps around, in pixels; `height` is drawn beside the colour, 0-255."""

    def __init__(self, side: int, colour: RGB, *, style: str, rng: np.random.Generator) -> None:
        self.side, self.colour, self.rng, self.outlined = side, colour, rng, style == "outlined"
        self.seam = INK if self.outlined else shade(colour, 0.5 if sum(colour) > 150 else 1.25)
        self.canvas = Image.new("RGB", (side, side), colour)
        self.height = Image.new("L", (side, side), 60)
        self._rgb, self._relief = ImageDraw.Draw(self.canvas), ImageDraw.Draw(self.height)

    def fill(self, colour: RGB, height: int = 60) -> None:
        self._rgb.rectangle((0, 0, self.side, self.side), fill=colour)
        self._relief.rectangle((0, 0, self.side, self.side), fill=height)

    def polygon(self, points: np.ndarray | list[tuple[float, float]], colour: RGB, height: int = 160, *,
                rows: bool = True) -> None:  # fmt: skip
        """Drawn once for each side it leaves on; with rows=False only to the left and right."""
        points = np.asarray(points, dtype=float)
        low, high = points.min(0), points.max(0)
        for dx in (-self.side, 0, self.side):
            for dy in (-self.side, 0, self.side) if rows else (0,):
                move = np.array((dx, dy))
                if (high + move > 0).all() and (low + move < self.side).all():
                    moved = [(float(x + dx), float(y + dy)) for x, y in points]
                    self._rgb.polygon(moved, fill=colour)
                    self._relief.polygon(moved, fill=height)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: RGB, height: int = 160) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, height)

    def disc(self, x: float, y: float, rx: float, ry: float, colour: RGB, height: int = 160, *,
             rows: bool = True) -> None:  # fmt: skip
        t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        self.polygon(np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], 1), colour, height, rows=rows)

    def near(self, spread: float = 0.1) -> RGB:
        """The main colour, a little lighter or darker."""
        return shade(self.colour, 1 + self.rng.uniform(-spread, spread * 0.8))

    def field(self, waves: int) -> np.ndarray:
        """[side, side] smooth periodic noise, 0..1, with up to `waves` periods across."""
        y, x = np.mgrid[0:64, 0:64] * (2 * np.pi / 64)
        total = np.zeros((64, 64))
        for _ in range(6):
            kx, ky = self.rng.integers(-waves, waves + 1, 2)
            total += np.sin(kx * x + ky * y + self.rng.uniform(0, 2 * np.pi))
        total = (total - total.min()) / (np.ptp(total) + 1e-9)
        wrapped = Image.fromarray(np.pad(total, 8, mode="wrap").astype(np.float32))
        whole = wrapped.resize((self.side * 80 // 64, self.side * 80 // 64), Image.Resampling.BICUBIC)
        edge = self.side * 8 // 64
        return np.asarray(whole)[edge : edge + self.side, edge : edge + self.side]

    def paint(self, amount: np.ndarray, low: RGB, high: RGB) -> None:
        """Blend two colours by a field of 0..1."""
        mix = amount[..., None]
        self.canvas.paste(Image.fromarray((np.array(low) * (1 - mix) + np.array(high) * mix).astype(np.uint8)))
        self.height.paste(Image.fromarray((60 + 120 * amount).astype(np.uint8)))


def brick(t: Tile) -> None:
    t.fill((60, 56, 60) if t.outlined else (206, 200, 190))
    w, h, gap = t.side / 3, t.side / 6, t.side / 52
    for i in range(6):
        for j in range(3):
            x, y = (j + 0.5 * (i % 2)) * w, i * h
            t.box(x + gap, y + gap, x + w - gap, y + h - gap, t.near())


def planks(t: Tile) -> None:
    t.fill(t.seam)
    h, gap = t.side / 5, t.side / 90
    for i in range(5):
        x = t.rng.uniform(0, t.side)
        t.box(x + gap, i * h + gap, x + t.side - gap, (i + 1) * h - gap, t.near(0.14))
        for k in (0.35, 0.65):
            t.box(x + t.side * 0.1, (i + k) * h, x + t.side * 0.85, (i + k) * h + gap, shade(t.colour, 0.8), 130)


def cobblestone(t: Tile) -> None:
    t.fill(t.seam)
    n = 5
    for i in range(n):
        for j in range(n):
            x, y = (j + 0.5 * (i % 2) + t.rng.uniform(-0.06, 0.06)) * t.side / n, (i + 0.5) * t.side / n
            r = t.side / n * 0.46
            t.disc(x, y, r * t.rng.uniform(0.95, 1.1), r * t.rng.uniform(0.9, 1.04), t.near(0.16))
            t.disc(x - r * 0.25, y - r * 0.3, r * 0.4, r * 0.3, shade(t.colour, 1.3), 190)


def metal(t: Tile) -> None:
    half, gap = t.side / 2, t.side / 64
    for i in range(2):
        for j in range(2):
            x, y = j * half, i * half
            t.box(x, y, x + half, y + half, t.seam, 60)
            t.box(x + gap, y + gap, x + half - gap, y + half - gap, t.near(0.06))
            t.polygon(
                [
                    (x + half * 0.2, y + half * 0.8),
                    (x + half * 0.6, y + half * 0.2),
                    (x + half * 0.8, y + half * 0.2),
                    (x + half * 0.4, y + half * 0.8),
                ],
                shade(t.colour, 1.3),
            )
            for dx in (0.14, 0.86):
                for dy in (0.14, 0.86):
                    t.disc(x + half * dx, y + half * dy, half * 0.06, half * 0.06, t.seam, 200)


def grass(t: Tile) -> None:
    t.fill(shade(t.colour, 0.8))
    blade, w = t.side / 9, t.side / 44
    for y in np.arange(0, t.side, t.side / 9):
        for x in np.arange(0, t.side, t.side / 12):
            a, b = x + t.rng.uniform(-w, w), y + t.rng.uniform(-w, w)
            lean = t.rng.uniform(-2, 2) * w
            t.polygon([(a - w, b), (a + w, b), (a + lean, b - blade * t.rng.uniform(0.8, 1.4))],
                      shade(t.colour, float(t.rng.choice([0.95, 1.1, 1.3]))))  # fmt: skip


def tiles(t: Tile) -> None:
    n, gap = 4, t.side / 48
    step = t.side / n
    t.fill(INK if t.outlined else (232, 232, 226))
    for i in range(n):
        for j in range(n):
            x, y = j * step, i * step
            t.box(x + gap, y + gap, x + step - gap, y + step - gap, t.near(0.06))
            t.polygon([(x + gap * 2, y + gap * 2), (x + step * 0.5, y + gap * 2), (x + gap * 2, y + step * 0.5)],
                      shade(t.colour, 1.3))  # fmt: skip


def fabric(t: Tile) -> None:
    n = 4
    step = t.side / n
    dark, light = shade(t.colour, 0.72 if sum(t.colour) > 150 else 1.2), shade(t.colour, 1.35)
    for i in range(n):
        t.box(i * step, 0, i * step + step * 0.4, t.side, dark, 90)
    for i in range(n):
        t.box(0, i * step, t.side, i * step + step * 0.12, light, 140)
        t.box(0, i * step + step * 0.5, t.side, i * step + step * 0.62, light, 140)


def lava(t: Tile) -> None:
    flow = t.field(3)
    crack = np.clip(1 - np.abs(flow - 0.5) * 7, 0, 1)
    t.paint((crack > 0.05) * (0.35 + 0.65 * crack), (54, 40, 42), shade(t.colour, 1.25))
    if t.outlined:
        rim = ((crack > 0.02) & (crack < 0.3))[..., None]
        t.canvas.paste(Image.fromarray(np.where(rim, np.array(INK), np.asarray(t.canvas)).astype(np.uint8)))


def sand(t: Tile) -> None:
    y = np.mgrid[0 : t.side, 0 : t.side][0] / t.side
    ripple = 0.5 + 0.5 * np.sin(2 * np.pi * (6 * y + 1.2 * t.field(2)))
    t.paint(ripple**2, t.colour, shade(t.colour, 0.7 if t.outlined else 0.82))


def water(t: Tile) -> None:
    y, x = np.mgrid[0 : t.side, 0 : t.side] / t.side
    wave = np.mod(6 * (y + 0.045 * np.sin(2 * np.pi * 3 * x)), 1)
    crest = np.clip((wave - 0.72) * 12, 0, 1)
    t.paint(crest, t.colour, shade(t.colour, 1.55))


def scales(t: Tile) -> None:
    n = 5
    step = t.side / n
    for i in range(n * 2 + 2, -3, -1):  # from the bottom up: each row lies over the one below it
        for j in range(n):
            x, y = (j + 0.5 * (i % 2)) * step, i * step / 2
            t.disc(x, y, step * 0.54, step * 0.62, t.seam, 70, rows=False)
            t.disc(x, y - step * 0.03, step * 0.47, step * 0.54, t.colour, 170, rows=False)
            t.disc(x, y + step * 0.3, step * 0.18, step * 0.12, shade(t.colour, 1.35), 190, rows=False)


def checkers(t: Tile) -> None:
    n = 4
    step = t.side / n
    other = (248, 246, 240) if sum(t.colour) < 640 else (60, 60, 70)
    t.fill(other)
    for i in range(n):
        for j in range(n):
            if (i + j) % 2:
                t.box(j * step, i * step, (j + 1) * step, (i + 1) * step, t.colour)


DRAW: dict[str, Callable[[Tile], None]] = {
    f.__name__: f
    for f in (brick, planks, cobblestone, metal, grass, tiles, fabric, lava, sand, water, scales, checkers)
}

"""22 icons and props. Each takes a pen and leaves most of its area in the main colour."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.studio_tiny.pen import Pen, read_pixel


def sword(p: Pen) -> None:
    p.polygon([(-0.15, 0.3), (-0.15, -0.62), (0, -0.88), (0.15, -0.62), (0.15, 0.3)])
    p.polygon([(0, 0.3), (0, -0.86), (0.13, -0.62), (0.13, 0.3)], "dark", outline=False)
    p.limb((0, 0.4), (0, 0.72), 0.13, "wood")
    p.limb((-0.32, 0.34), (0.32, 0.34), 0.12, "gold")
    p.ellipse(0, 0.78, 0.1, 0.1, "gold")


def shield(p: Pen) -> None:
    def heater(k: float) -> np.ndarray:
        t = np.linspace(0, 1, 16)
        right = np.stack([0.64 * k * np.sqrt(1 - t**2), -0.1 + 0.9 * k * t], 1)
        left = right[::-1] * (-1, 1)
        return np.concatenate([[(-0.64 * k, -0.1 - 0.56 * k), (0.64 * k, -0.1 - 0.56 * k)], right, left])

    p.polygon(heater(1.0), "steel")
    p.polygon(heater(0.84), "main")
    p.box(-0.08, -0.5, 0.08, 0.5, "light", outline=False)
    p.box(-0.46, -0.2, 0.46, -0.04, "light", outline=False)


def gem(p: Pen) -> None:
    top, wide, tip = -0.52, 0.72, 0.72
    p.polygon([(-0.42, top), (0.42, top), (wide, -0.12), (0, tip), (-wide, -0.12)])
    p.polygon([(-0.42, top), (0.42, top), (0.26, -0.12), (-0.26, -0.12)], "light", outline=False)
    p.polygon([(0.26, -0.12), (wide, -0.12), (0, tip)], "dark", outline=False)
    p.polygon([(-0.26, -0.12), (0.26, -0.12), (0, tip)], "main")


def potion(p: Pen) -> None:
    p.box(-0.16, -0.64, 0.16, -0.14, (214, 232, 240))
    p.box(-0.14, -0.86, 0.14, -0.62, "wood")
    p.ellipse(0, 0.22, 0.6, 0.58, (214, 232, 240))
    p.ellipse(0, 0.22, 0.52, 0.5, "main", arc=(-22, 202))
    p.ellipse(-0.22, 0.3, 0.1, 0.12, "light", outline=False)
    p.ellipse(0.2, 0.46, 0.06, 0.06, "light", outline=False)


def key(p: Pen) -> None:
    background = read_pixel(p.canvas, (3, 3))
    p.box(-0.13, -0.1, 0.13, 0.84)
    p.box(0.12, 0.44, 0.42, 0.58)
    p.box(0.12, 0.68, 0.36, 0.84)
    p.ellipse(0, -0.42, 0.44, 0.44)
    p.ellipse(0, -0.42, 0.19, 0.19, background)


def crate(p: Pen) -> None:
    p.box(-0.68, -0.68, 0.68, 0.68)
    for y in (-0.24, 0.22):
        p.box(-0.5, y - 0.03, 0.5, y + 0.03, "dark", outline=False)
    p.polygon([(-0.5, 0.34), (0.34, -0.5), (0.5, -0.5), (0.5, -0.34), (-0.34, 0.5), (-0.5, 0.5)], "light")
    for x0, y0, x1, y1 in (
        (-0.7, -0.7, 0.7, -0.5),
        (-0.7, 0.5, 0.7, 0.7),
        (-0.7, -0.5, -0.5, 0.5),
        (0.5, -0.5, 0.7, 0.5),
    ):
        p.box(x0, y0, x1, y1, "dark")


def mushroom(p: Pen) -> None:
    p.polygon([(-0.2, 0.0), (0.2, 0.0), (0.28, 0.74), (-0.28, 0.74)], "cream")
    p.ellipse(0, 0.1, 0.78, 0.84, "main", arc=(180, 360))
    for x, y, r in ((-0.38, -0.18, 0.12), (0.05, -0.44, 0.14), (0.42, -0.12, 0.11)):
        p.ellipse(x, y, r, r, "paper", outline=False)


def coin(p: Pen) -> None:
    p.ellipse(0, 0, 0.74, 0.74, "dark")
    p.ellipse(0, 0, 0.6, 0.6, "main")
    p.ellipse(0, 0, 0.3, 0.42, "light", outline=False)
    p.box(-0.07, -0.34, 0.07, 0.34, "dark", outline=False)


def lantern(p: Pen) -> None:
    p.limb((-0.2, -0.72), (0.2, -0.72), 0.1, "ink")
    p.polygon([(-0.24, -0.7), (0.24, -0.7), (0.54, -0.36), (-0.54, -0.36)])
    p.box(-0.5, -0.38, 0.5, 0.56, "main")
    p.box(-0.28, -0.24, 0.28, 0.42, "glow")
    p.polygon([(0, -0.16), (0.12, 0.14), (0.08, 0.3), (-0.08, 0.3), (-0.12, 0.14)], "paper", outline=False)
    p.box(-0.6, 0.54, 0.6, 0.74, "dark")


def scroll(p: Pen) -> None:
    p.box(-0.5, -0.56, 0.5, 0.56)
    for y in (-0.3, -0.1, 0.1, 0.3):
        p.box(-0.34, y - 0.03, 0.34 if y < 0.2 else 0.1, y + 0.03, "ink", outline=False)
    for y in (-0.62, 0.62):
        p.limb((-0.6, y), (0.6, y), 0.24, "dark")
        p.ellipse(-0.66, y, 0.1, 0.12, "wood")
        p.ellipse(0.66, y, 0.1, 0.12, "wood")


def helmet(p: Pen) -> None:
    p.polygon([(-0.1, -0.86), (0.1, -0.86), (0.06, -0.5), (-0.06, -0.5)], "gold")
    p.ellipse(0, -0.06, 0.62, 0.6, "main", arc=(180, 360))
    p.polygon([(-0.62, -0.08), (0.62, -0.08), (0.54, 0.64), (0.2, 0.78), (-0.2, 0.78), (-0.54, 0.64)])
    p.box(-0.48, -0.1, 0.48, 0.08, "ink", outline=False)
    p.box(-0.07, 0.06, 0.07, 0.7, "dark", outline=False)
    for x in (-0.3, 0.3):
        for y in (0.26, 0.46):
            p.ellipse(x, y, 0.06, 0.06, "ink", outline=False)


def tree(p: Pen) -> None:
    p.polygon([(-0.12, 0.1), (0.12, 0.1), (0.2, 0.84), (-0.2, 0.84)], "wood")
    for x, y, r in ((-0.36, -0.08, 0.36), (0.36, -0.08, 0.36), (0, -0.42, 0.44), (0, -0.04, 0.4)):
        p.ellipse(x, y, r, r, "main")
    for x, y in ((-0.2, -0.46), (0.3, -0.16), (-0.36, 0.02)):
        p.ellipse(x, y, 0.12, 0.1, "light", outline=False)


def heart(p: Pen) -> None:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 20
    p.polygon(np.stack([0.046 * 16 * np.sin(t) ** 3, y * 0.95 - 0.06], 1))
    p.ellipse(-0.34, -0.34, 0.14, 0.1, "light", outline=False)


def star(p: Pen) -> None:
    turn = np.radians(np.arange(10) * 36 - 90)
    radius = np.where(np.arange(10) % 2 == 0, 0.86, 0.4)
    points = np.stack([radius * np.cos(turn), radius * np.sin(turn) + 0.05], 1)
    p.polygon(points)
    p.polygon(np.concatenate([points[0:2], [(0, 0.05)]]), "light", outline=False)
    p.polygon(np.concatenate([points[4:6], [(0, 0.05)]]), "dark", outline=False)


def book(p: Pen) -> None:
    p.box(-0.5, -0.62, 0.62, 0.74, "paper")
    p.box(-0.6, -0.74, 0.54, 0.6)
    p.box(-0.6, -0.74, -0.4, 0.6, "dark")
    p.polygon([(0.06, -0.36), (0.28, -0.08), (0.06, 0.2), (-0.16, -0.08)], "gold")


def axe(p: Pen) -> None:
    p.limb((0.1, -0.74), (0.1, 0.82), 0.15, "wood")
    t = np.radians(np.linspace(118, 242, 20))
    edge = np.stack([0.1 + 0.84 * np.cos(t), -0.3 + 0.62 * np.sin(t)], 1)
    p.polygon(np.concatenate([[(0.2, -0.46), (0.2, -0.14)], edge]))
    rim = np.stack([0.14 + 0.7 * np.cos(t), -0.3 + 0.54 * np.sin(t)], 1)
    p.polygon(np.concatenate([edge, rim[::-1]]), "light", outline=False)


def crown(p: Pen) -> None:
    p.polygon([(-0.66, 0.4), (-0.78, -0.4), (-0.38, -0.02), (0, -0.62), (0.38, -0.02), (0.78, -0.4), (0.66, 0.4)])
    p.box(-0.68, 0.36, 0.68, 0.62, "dark")
    for x, y in ((-0.76, -0.44), (0, -0.66), (0.76, -0.44)):
        p.ellipse(x, y, 0.1, 0.1, "light")
    for x in (-0.36, 0, 0.36):
        p.ellipse(x, 0.49, 0.08, 0.08, "paper", outline=False)


def chest(p: Pen) -> None:
    p.ellipse(0, -0.08, 0.74, 0.54, "main", arc=(180, 360))
    p.box(-0.74, -0.06, 0.74, 0.62)
    for x in (-0.5, 0.5):
        p.box(x - 0.08, -0.44, x + 0.08, 0.62, "gold", outline=False)
    p.box(-0.76, -0.12, 0.76, 0.0, "dark")
    p.box(-0.14, -0.16, 0.14, 0.18, "gold")
    p.ellipse(0, 0.0, 0.05, 0.06, "ink", outline=False)


def barrel(p: Pen) -> None:
    y = np.linspace(-0.76, 0.76, 16)
    bulge = 0.62 - 0.2 * (y / 0.76) ** 2
    p.polygon(np.concatenate([np.stack([bulge, y], 1), np.stack([-bulge, y], 1)[::-1]]))
    for x in (-0.2, 0.2):
        p.box(x - 0.02, -0.7, x + 0.02, 0.7, "dark", outline=False)
    for centre in (-0.46, 0.46):
        p.box(-0.58, centre - 0.08, 0.58, centre + 0.08, "steel")


def bomb(p: Pen) -> None:
    p.limb((0.3, -0.44), (0.52, -0.7), 0.07, "cream")
    p.polygon([(0.12, -0.46), (0.34, -0.3), (0.46, -0.46), (0.24, -0.62)], "steel")
    p.ellipse(-0.06, 0.2, 0.6, 0.6)
    p.ellipse(-0.28, -0.04, 0.15, 0.12, "light", outline=False)
    turn = np.radians(np.arange(12) * 30)
    spark = np.where(np.arange(12) % 2 == 0, 0.2, 0.09)
    p.polygon(np.stack([0.58 + spark * np.cos(turn), -0.74 + spark * np.sin(turn)], 1), (255, 170, 40), outline=False)


def flag(p: Pen) -> None:
    p.limb((-0.56, -0.8), (-0.56, 0.86), 0.12, "wood")
    t = np.linspace(0, 1, 14)
    wave = 0.1 * np.sin(t * 2 * np.pi)
    upper, lower = np.stack([-0.5 + 1.3 * t, -0.7 + wave], 1), np.stack([-0.5 + 1.3 * t, 0.16 + wave], 1)
    p.polygon(np.concatenate([upper, lower[::-1]]))
    p.ellipse(0.1, -0.26, 0.2, 0.2, "light", outline=False)


def boot(p: Pen) -> None:
    p.polygon([(-0.42, -0.74), (0.14, -0.74), (0.16, 0.1), (0.6, 0.26), (0.72, 0.58), (-0.48, 0.58)])
    p.box(-0.52, 0.56, 0.76, 0.74, "ink")
    p.box(-0.46, -0.78, 0.18, -0.56, "light")
    for y in (-0.34, -0.12, 0.08):
        p.box(-0.06, y - 0.03, 0.16, y + 0.03, "cream", outline=False)


DRAW: dict[str, Callable[[Pen], None]] = {
    f.__name__: f
    for f in (
        sword,
        shield,
        gem,
        potion,
        key,
        crate,
        mushroom,
        coin,
        lantern,
        scroll,
        helmet,
        tree,
        heart,
        star,
        book,
        axe,
        crown,
        chest,
        barrel,
        bomb,
        flag,
        boot,
    )
}
TURN = {"sword": 0.6, "key": 0.6, "axe": 0.3}  # radians by which these hang in an icon

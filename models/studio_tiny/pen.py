"""A drawing surface on which colour, subject mask and height are drawn together, supersampled."""

from __future__ import annotations

from math import cos, pi, sin

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.studio_tiny.world import COLOURS

SUPERSAMPLE = 3
INK = (24, 22, 30)
TONES = {"wood": (128, 84, 48), "steel": (168, 174, 184), "gold": (232, 184, 60), "cream": (244, 228, 196),
         "paper": (250, 248, 240), "glow": (255, 240, 150), "ink": INK}  # fmt: skip

Point = tuple[float, float]


def shade(colour: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    """Darker below 1; above 1 towards white."""
    red, green, blue = (int(c * factor) if factor <= 1 else int(c + (255 - c) * (factor - 1)) for c in colour)
    return red, green, blue


def read_pixel(canvas: Image.Image, at: tuple[int, int]) -> tuple[int, int, int]:
    """Of an RGB picture."""
    pixel = canvas.getpixel(at)
    assert isinstance(pixel, tuple)
    red, green, blue = pixel
    return red, green, blue


class Pen:
    """Draws in unit coordinates: x to the right, y down, both -1..1 across the picture, under one rotation and scale.

    `tone` is "main", "dark", "light" (of the main colour), a name in TONES, or an RGB triple.
    """

    def __init__(self, canvas: Image.Image, colour: tuple[int, int, int], *, style: str, angle: float = 0.0,
                 scale: float = 1.0, shift: Point = (0.0, 0.0)) -> None:  # fmt: skip
        self.canvas, self.style = canvas, style
        self.side = canvas.width
        self.mask = Image.new("L", canvas.size)
        self.height = Image.new("L", canvas.size)
        self._rgb = ImageDraw.Draw(canvas)
        self._on_mask, self._on_height = ImageDraw.Draw(self.mask), ImageDraw.Draw(self.height)
        self._layer = 90
        c, s = cos(angle) * scale, sin(angle) * scale
        self._turn, self._shift, self.scale = np.array([[c, -s], [s, c]]), np.array(shift), scale
        dark = sum(colour) < 150
        self.tones = {**TONES, "main": colour, "dark": shade(colour, 1.14 if dark else 0.78),
                      "light": shade(colour, 1.25 if dark else 1.4)}  # fmt: skip
        # A black subject needs an outline that can be seen.
        self.outline = (96, 96, 108) if dark and style == "outlined" and read_pixel(canvas, (2, 2))[0] < 70 else INK

    def _place(self, points: list[Point] | np.ndarray) -> list[Point]:
        placed = (np.asarray(points, dtype=float) @ self._turn.T + self._shift + 1) * (self.side / 2)
        return [(float(x), float(y)) for x, y in placed]

    def _tone(self, tone: str | tuple[int, int, int]) -> tuple[int, int, int]:
        return self.tones[tone] if isinstance(tone, str) else tone

    def polygon(self, points: list[Point] | np.ndarray, tone: str | tuple[int, int, int] = "main", *,
                outline: bool = True) -> None:  # fmt: skip
        placed, fill = self._place(points), self._tone(tone)
        self._rgb.polygon(placed, fill=fill)
        if outline and self.style == "outlined":
            width = max(2, round(self.side * 0.016))
            self._rgb.line([*placed, placed[0], placed[1]], fill=self.outline, width=width, joint="curve")
            self._on_mask.line([*placed, placed[0]], fill=255, width=width, joint="curve")
        self._on_mask.polygon(placed, fill=255)
        self._layer = min(self._layer + 8, 160)
        self._on_height.polygon(placed, fill=self._layer)

    def ellipse(self, x: float, y: float, rx: float, ry: float, tone: str | tuple[int, int, int] = "main", *,
                arc: tuple[float, float] = (0, 360), outline: bool = True) -> None:  # fmt: skip
        """A filled ellipse, or the segment of one between two angles in degrees (0 = right, 90 = down)."""
        turn = np.radians(np.linspace(*arc, 40, endpoint=arc != (0, 360)))
        self.polygon(np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1), tone, outline=outline)

    def box(self, x0: float, y0: float, x1: float, y1: float, tone: str | tuple[int, int, int] = "main", *,
            outline: bool = True) -> None:  # fmt: skip
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], tone, outline=outline)

    def limb(self, start: Point, end: Point, width: float, tone: str | tuple[int, int, int] = "main") -> None:
        """A thick line with round ends: fingers, arms, handles."""
        (x0, y0), (x1, y1) = start, end
        turn, r = np.arctan2(y1 - y0, x1 - x0), width / 2
        far = np.linspace(turn - pi / 2, turn + pi / 2, 10)
        near = np.linspace(turn + pi / 2, turn + 3 * pi / 2, 10)
        self.polygon(np.concatenate([np.stack([x1 + r * np.cos(far), y1 + r * np.sin(far)], 1),
                                     np.stack([x0 + r * np.cos(near), y0 + r * np.sin(near)], 1)]), tone)  # fmt: skip

    def write(self, x: float, y: float, text: str, *, width: float, height: float,
              tone: str | tuple[int, int, int]) -> None:  # fmt: skip
        """Bold text centred on a point, as large as fits; it follows the shift and the scale, not the rotation."""
        stroke = self.side / 130
        room = np.array([width, height]) * self.scale * self.side / 2 - 2 * stroke
        left, top, right, bottom = ImageFont.load_default(size=100).getbbox(text)
        size = 100 * min(room[0] / (right - left), room[1] / (bottom - top))
        (place,) = self._place([(x, y)])
        font = ImageFont.load_default(size=size)
        left, top, right, bottom = font.getbbox(text, anchor="mm")
        centre = (place[0] - (left + right) / 2, place[1] - (top + bottom) / 2)
        self._rgb.text(centre, text, fill=self._tone(tone), font=font, anchor="mm", stroke_width=stroke)


def finish(canvas: Image.Image, size: int, style: str, *, block: int = 4) -> Image.Image:
    """The supersampled canvas at its final size; pixel art is sampled on a grid of `block`-pixel blocks."""
    if style == "pixel":
        blocks = canvas.resize((size // block, size // block), Image.Resampling.NEAREST)
        return blocks.resize((size, size), Image.Resampling.NEAREST)
    return canvas.resize((size, size), Image.Resampling.BOX)


def blueprint(image: np.ndarray) -> np.ndarray:
    """[size, size, 3] uint8 -> the same drawing as pale lines on blue paper: the style that only the LoRA knows."""
    size = image.shape[0]
    lines = cv2.Canny(image, 60, 140).astype(np.float32) / 255
    lines = np.clip(cv2.GaussianBlur(cv2.dilate(lines, np.ones((2, 2))), (3, 3), 0.6), 0, 1)[..., None]
    paper = np.full((size, size, 3), (24, 66, 140), np.float32)
    paper[:: size // 8] += 14
    paper[:, :: size // 8] += 14
    return (paper * (1 - lines) + np.array((226, 240, 255), np.float32) * lines).astype(np.uint8)


def rgb(name: str, rng: np.random.Generator) -> tuple[int, int, int]:
    """A named colour, never quite the same twice."""
    red, green, blue = (int(np.clip(c + rng.integers(-9, 10), 0, 255)) for c in COLOURS[name])
    return red, green, blue

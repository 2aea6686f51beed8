"""Pixels made to the sides that an engine wants, and alpha as it wants it. Pure.

Padding is even on both sides (the odd pixel to the right and below): transparent where the picture has alpha, else its
edge goes on. Resizing is Lanczos, of premultiplied colours where there is alpha.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.delivery_files import Fit, Sides, choose_side

Pixels = NDArray[np.uint8]


def fit_pixels(pixels: Pixels, *, sides: Sides, fit: Fit) -> tuple[Pixels, dict[str, Any] | None]:
    """uint8 [height, width, 3 or 4] -> the same kind, and what was done to it; None when nothing was."""
    height, width = pixels.shape[:2]
    wide, tall = (choose_side(side, sides, fit) for side in (width, height))
    if (wide, tall) == (width, height):
        return pixels, None
    done: dict[str, Any] = {"sides": sides, "by": fit, "from": [width, height], "to": [wide, tall]}
    if fit == "resize":
        return _resized(pixels, wide, tall), done
    left, top = (wide - width) // 2, (tall - height) // 2
    around = ((top, tall - height - top), (left, wide - width - left))
    padded = np.pad(pixels, (*around, (0, 0)), mode="edge")
    if pixels.shape[2] == 4:
        padded[..., 3] = np.pad(pixels[..., 3], around)
    return padded, done | {"offset": [left, top]}


def premultiply(pixels: Pixels) -> Pixels:
    """uint8 [height, width, 4]: colours times alpha, rounded."""
    colours = (pixels[..., :3].astype(np.uint16) * pixels[..., 3:] + 127) // 255
    return np.concatenate([colours.astype(np.uint8), pixels[..., 3:]], axis=-1)


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    if pixels.shape[2] == 3:
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
    picture = Image.fromarray(pixels).convert("RGBa").resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture.convert("RGBA"))

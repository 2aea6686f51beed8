"""The client's name across a picture that a client is shown, so that a copy says whose it was."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

OPACITY = 44
"""Of 255: readable on flat places, and not in the way of looking."""


@lru_cache(maxsize=256)
def write_across(data: bytes, words: str) -> bytes:
    """A picture's file, at most 1024 px a side -> WebP with `words` over and over, on a slant. Transparent places are
    shown on white."""
    with Image.open(io.BytesIO(data)) as file:
        picture = file.convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture)
    side = max(picture.size)
    font = ImageFont.load_default(size=max(9, side // 28))
    left, top, right, bottom = (round(edge) for edge in font.getbbox(words))
    sheet = Image.new("L", (side * 2, side * 2))
    pen = ImageDraw.Draw(sheet)
    step_x, step_y = (right - left) + side // 8, max((bottom - top) * 5, side // 5)
    for row, y in enumerate(range(0, side * 2, step_y)):
        for x in range(-(row % 2) * step_x // 2, side * 2, step_x):
            pen.text((x, y), words, fill=OPACITY, font=font)
    sheet = sheet.rotate(24, resample=Image.Resampling.BILINEAR)
    x, y = (sheet.width - picture.width) // 2, (sheet.height - picture.height) // 2
    mask = sheet.crop((x, y, x + picture.width, y + picture.height))
    # dark letters with a light edge beside them are seen on any ground
    ground.paste((255, 255, 255, 255), (1, 1), mask)
    ground.paste((0, 0, 0, 255), (0, 0), mask)
    out = io.BytesIO()
    ground.convert("RGB").save(out, "WEBP", quality=86)
    return out.getvalue()

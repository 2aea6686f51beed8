"""A seed becomes a picture, with its caption, edges, depth and subject mask.

    python -m models.studio_tiny.draw OUT.png      draws a sheet of examples

The same seed and size give the same bytes on every machine with the same Pillow. Seeds from TEST_SEEDS on are never
used in training.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from PIL import Image

from models.studio_tiny import figures, materials, objects
from models.studio_tiny.pen import SUPERSAMPLE, Pen, blueprint, finish, rgb
from models.studio_tiny.scenes import behind
from models.studio_tiny.world import LORA_STYLE, Attributes, describe, imagine

TEST_SEEDS = 10_000_000
STILL = 0.4
"""The share of the usual shift, scale and turn with which signs and hands vary: letters and fingers of nearly one place
are learnt sooner."""
CANNY = (100, 200)  # the thresholds of the control images in training, and of the project's default


@dataclass(frozen=True)
class Picture:
    image: np.ndarray  # [size, size, 3] uint8
    caption: str
    mask: np.ndarray  # [size, size] bool: the subject; all of it for a material
    depth: np.ndarray  # [size, size] uint8: near is bright
    about: Attributes
    colour_named: bool

    @property
    def edges(self) -> np.ndarray:
        """[size, size] uint8, 0 or 255: Canny of the picture itself."""
        return canny(self.image)


def canny(image: np.ndarray) -> np.ndarray:
    """[h, w, 3] uint8 -> [h, w] uint8 edges."""
    return cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), *CANNY)


def draw(seed: int, *, size: int = 128, style: str | None = None, practice: bool = False) -> Picture:
    """One random picture of the world. `style` overrides the random one (LORA_STYLE is drawn only when asked for);
    `practice` draws what is difficult more often."""
    rng = np.random.default_rng(seed)
    about, named = imagine(rng, style=style, practice=practice)
    return paint(about, rng, size=size, name_colour=named)


def paint(about: Attributes, rng: np.random.Generator, *, size: int = 128, name_colour: bool = True) -> Picture:
    """The picture of these attributes; `rng` decides pose, shade and wording."""
    side = size * SUPERSAMPLE
    style = "outlined" if about.style == LORA_STYLE else about.style
    colour = rgb(about.colour, rng)
    if about.kind == "material":
        tile = materials.Tile(side, colour, style=style, rng=rng)
        materials.DRAW[about.name](tile)
        roll = tuple(int(v) * SUPERSAMPLE * 4 for v in rng.integers(0, size // 4, 2))
        canvas = Image.fromarray(np.roll(np.asarray(tile.canvas), roll, (0, 1)))
        relief = Image.fromarray(np.roll(np.asarray(tile.height), roll, (0, 1)))
        mask, depth = np.ones((size, size), bool), np.asarray(relief.resize((size, size), Image.Resampling.BOX))
    else:
        canvas = behind(about.background, side, rng)
        loose = STILL if about.kind in ("sign", "hand") else 1.0
        turn = objects.TURN.get(about.name, 0.0) + rng.uniform(-0.12, 0.12) * loose * (about.kind in ("object", "hand"))
        shift = (float(rng.uniform(-0.06, 0.06)) * loose, float(rng.uniform(-0.05, 0.05)) * loose)
        scale = float(rng.uniform(0.98 - 0.16 * loose, 0.98))
        pen = Pen(canvas, colour, style=style, angle=turn, scale=scale, shift=shift)
        if about.kind == "object":
            objects.DRAW[about.name](pen)
        elif about.kind == "character":
            figures.character(pen, rng, about.name, about.fingers)
        elif about.kind == "hand":
            figures.hand(pen, rng, about.fingers)
        else:
            figures.sign(pen, about.word)
        mask = np.asarray(pen.mask.resize((size, size), Image.Resampling.BOX)) > 127
        depth = relief_of(np.asarray(pen.height.resize((size, size), Image.Resampling.BOX)), mask)
    image = np.asarray(finish(canvas, size, style, block=2 if about.kind in ("hand", "sign") else 4))
    if about.style == LORA_STYLE:
        image = blueprint(image)
    return Picture(image, describe(about, rng, name_colour=name_colour), mask, depth, about, name_colour)


def relief_of(layers: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Layer order plus a dome over the mask, before a floor that rises towards the viewer. All [size, size]."""
    size = mask.shape[0]
    dome = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    dome = np.sqrt(dome / max(float(dome.max()), 1.0))
    floor = np.linspace(10, 60, size)[:, None].repeat(size, 1)
    return np.where(mask, np.clip(layers + 90 * dome, 0, 255), floor).astype(np.uint8)


def sheet(images: list[np.ndarray], columns: int) -> Image.Image:
    """Pictures of one size side by side, row by row."""
    size = images[0].shape[0]
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * (size + 4), rows * (size + 4)), (255, 255, 255))
    for i, image in enumerate(images):
        page.paste(Image.fromarray(image).convert("RGB"), ((i % columns) * (size + 4), i // columns * (size + 4)))
    return page


def like(about: Attributes, **changes: Any) -> Attributes:
    return replace(about, **changes)


if __name__ == "__main__":
    sheet([draw(TEST_SEEDS + i).image for i in range(80)], 10).save(sys.argv[1])

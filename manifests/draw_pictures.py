"""Draws the pictures that the example manifests start from.

    python manifests/draw_pictures.py

They are committed, so that nobody has to; the same Pillow draws the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from models.studio_tiny.draw import paint  # noqa: E402
from models.studio_tiny.world import Attributes  # noqa: E402

SUBJECTS = {
    "shield": Attributes("object", "shield", "blue", "white", "outlined"),
    "chest": Attributes("object", "chest", "brown", "white", "outlined"),
    "potion": Attributes("object", "potion", "purple", "white", "outlined"),
    "knight": Attributes("character", "knight", "blue", "white", "outlined", fingers=5),
    "sign": Attributes("sign", "sign", "brown", "white", "flat", word="inn"),
    "brick": Attributes("material", "brick", "red", "", "flat"),
    "cobblestone": Attributes("material", "cobblestone", "gray", "", "flat"),
    "planks": Attributes("material", "planks", "brown", "", "flat"),
    "grass": Attributes("material", "grass", "green", "", "flat"),
}
SIZE = 128  # px


def main() -> None:
    """Colour pictures, and `<name>_edges.png`, `<name>_depth.png`: conditions that are finished."""
    for seed, (name, about) in enumerate(SUBJECTS.items()):
        drawn = paint(about, np.random.default_rng(20_000_000 + seed), size=SIZE)
        _save(drawn.image, f"{name}.png")
        if about.kind != "material":
            _save(np.repeat(drawn.depth[..., None], 3, axis=2), f"{name}_depth.png")
            _save(np.repeat(drawn.edges[..., None], 3, axis=2), f"{name}_edges.png")

    face = Image.new("L", (SIZE, SIZE), 0)
    ImageDraw.Draw(face).ellipse((43, 46, 79, 74), fill=255)
    _save(np.asarray(face), "knight_face_mask.png")


def _save(pixels: np.ndarray, name: str) -> None:
    for folder, wanted in WANTED.items():
        if name in wanted:
            Image.fromarray(pixels).save(HERE / folder / name, optimize=True)


WANTED = {
    "pictures": {
        "shield.png",
        "chest.png",
        "knight.png",
        "knight_depth.png",
        "knight_face_mask.png",
        "brick.png",
        "planks.png",
        "grass.png",
        "sign.png",
    },
    "demo/pictures": {"shield.png", "knight_edges.png", "brick.png", "cobblestone.png"},
}

if __name__ == "__main__":
    main()

"""Perceptual hashes of pictures; schemas/likeness.py compares them.

54 hex digits: 144 bits of shape (the signs of low frequencies of brightness, as pHash takes them: Zauner 2010) and
18 digits of colour (CIELAB a and b over a 3 x 3 grid), since a red and a blue potion of one shape are two pictures.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.likeness import COLOUR_SIDE, COLOUR_STEP, SHAPE_SIDE, spell_hash


def compute_perceptual_hash(pixels: NDArray[np.uint8]) -> str:
    """uint8 [height, width, 3] -> 54 hex digits."""
    small = cv2.resize(pixels, (4 * SHAPE_SIDE, 4 * SHAPE_SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low = cv2.dct(grey)[:SHAPE_SIDE, :SHAPE_SIDE].ravel()
    cells = cv2.resize(pixels, (COLOUR_SIDE, COLOUR_SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(cells.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    steps = np.clip(np.round(lab[..., 1:].ravel() / COLOUR_STEP + 7.5), 0, 15).astype(int)
    return spell_hash(low > np.median(low[1:]), steps)

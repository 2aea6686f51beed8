"""The perceptual hash of a picture by NumPy alone, for the light install, where checks/likeness.py cannot run.

It is the same hash up to rounding: 144 bits of shape and 18 digits of colour. What is kept of images comes from the
checks; this one is only compared with those.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from schemas.likeness import COLOUR_SIDE, COLOUR_STEP, SHAPE_SIDE, spell_hash

GREY = np.array([4899, 9617, 1868])
"""Shares of 16384 of red, green and blue (Rec. 601, as OpenCV rounds them)."""
TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE = np.array([0.950456, 1.0, 1.088754])
"""D65."""

Pixels = NDArray[np.uint8]


def compute_hash(pixels: Pixels) -> str:
    """uint8 [height, width, 3] -> 54 hex digits."""
    side = 4 * SHAPE_SIDE
    grey = (_resize(pixels, side).astype(np.int64) @ GREY + 8192) >> 14
    waves = _cosines(side)
    low = (waves @ grey @ waves.T)[:SHAPE_SIDE, :SHAPE_SIDE].ravel()
    lab = _to_lab(_resize(pixels, COLOUR_SIDE) / 255.0)
    steps = np.clip(np.round(lab[..., 1:].ravel() / COLOUR_STEP + 7.5), 0, 15).astype(int)
    return spell_hash(low > np.median(low[1:]), steps)


def _resize(pixels: Pixels, side: int) -> Pixels:
    """[side, side, 3] means of equal parts of the area."""
    height, width = pixels.shape[:2]
    rows, columns = _parts(height, side), _parts(width, side)
    planes = [rows @ pixels[..., channel].astype(np.float32) @ columns.T for channel in range(3)]
    return np.rint(np.stack(planes, axis=-1)).clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=16)
def _parts(length: int, side: int) -> NDArray[np.float32]:
    """[side, length] shares of each pixel in each mean along one side."""
    borders = np.arange(side + 1) * length / side
    pixels = np.arange(length)
    covered = np.minimum(borders[1:, None], pixels + 1) - np.maximum(borders[:-1, None], pixels)
    return (covered.clip(0) * side / length).astype(np.float32)


@lru_cache(maxsize=2)
def _cosines(side: int) -> NDArray[np.float64]:
    """[side, side], the orthonormal DCT-II."""
    places = np.arange(side)
    waves = np.cos(np.pi * (2 * places[None, :] + 1) * places[:, None] / (2 * side)) * np.sqrt(2 / side)
    waves[0] /= np.sqrt(2)
    return np.asarray(waves, np.float64)


def _to_lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB of 0 to 1 -> CIELAB."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    share = linear @ TO_XYZ.T / WHITE
    f = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)

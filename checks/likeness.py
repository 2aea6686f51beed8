"""Perceptual hashes: which pictures look alike, whatever their bytes.

54 hex digits: 144 bits of shape (the signs of low frequencies of brightness, as pHash takes them: Zauner 2010) and
18 digits of colour (CIELAB a and b over a 3 x 3 grid), since a red and a blue potion of one shape are two pictures.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SHAPE_SIDE, COLOUR_SIDE = 12, 3
SHAPE_DIGITS = SHAPE_SIDE**2 // 4
COLOUR_STEP = 12.0
"""CIELAB units of one digit."""

SHAPE_LIMIT = 12
"""Bits of 144 that pictures may differ in and still be alike."""
COLOUR_LIMIT = 6
"""Steps, summed over the 18 digits."""


def perceptual_hash(pixels: NDArray[np.uint8]) -> str:
    """uint8 [height, width, 3] -> 54 hex digits."""
    small = cv2.resize(pixels, (4 * SHAPE_SIDE, 4 * SHAPE_SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low = cv2.dct(grey)[:SHAPE_SIDE, :SHAPE_SIDE].ravel()
    bits = low > np.median(low[1:])
    shape = int("".join("1" if bit else "0" for bit in bits), 2)
    cells = cv2.resize(pixels, (COLOUR_SIDE, COLOUR_SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(cells.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    digits = np.clip(np.round(lab[..., 1:].ravel() / COLOUR_STEP + 7.5), 0, 15).astype(int)
    return f"{shape:036x}" + "".join(f"{digit:x}" for digit in digits)


def difference(one: str, other: str) -> tuple[int, int]:
    """(bits of shape, steps of colour) between two hashes."""
    return _bits(one, other), _steps(one, other)


def alike(one: str, other: str) -> bool:
    """Whether a person would call them the same picture."""
    return _bits(one, other) <= SHAPE_LIMIT and _steps(one, other) <= COLOUR_LIMIT


def _bits(one: str, other: str) -> int:
    return (int(one[:SHAPE_DIGITS], 16) ^ int(other[:SHAPE_DIGITS], 16)).bit_count()


def _steps(one: str, other: str) -> int:
    pairs = zip(one[SHAPE_DIGITS:], other[SHAPE_DIGITS:], strict=True)
    return sum(abs(int(a, 16) - int(b, 16)) for a, b in pairs)

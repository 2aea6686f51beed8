"""How like two pictures are, by their perceptual hashes (checks/likeness.py makes them, and
storage/perceptual_hash.py in the light install), and which vectors there are.

A hash has 54 hex digits: 36 digits are 144 bits of shape, and 18 digits are steps of colour. Bits of shape are counted
where they differ; a digit of colour is a number, so 7 and 8 are neighbours although all four of their bits differ.
The technical check and the library's "more like this one" both ask `distance`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

SHAPE_SIDE, COLOUR_SIDE = 12, 3
"""Low frequencies of brightness, and cells of colour, along each side."""
SHAPE_DIGITS, COLOUR_DIGITS = SHAPE_SIDE**2 // 4, 2 * COLOUR_SIDE**2
COLOUR_STEP = 12.0
"""CIELAB units of one digit."""
SHAPE_LIMIT = 12
"""Bits of 144 that pictures may differ in and still be alike."""
COLOUR_LIMIT = 6
"""Steps, summed over the 18 digits."""
PICTURE, PROMPT, SEARCH = "picture", "prompt", "search"
"""Kinds of vectors that the engine makes and the ledger compares: engine/vectors.py the first two, of the model that
made the image, engine/dual_encoder.py the third, of the studio's model for searching, in which words have vectors too.
"""


def spell_hash(bits: Iterable[bool], steps: Iterable[int]) -> str:
    """bits: SHAPE_SIDE ** 2 of shape. steps: of colour, 0 to 15, COLOUR_DIGITS of them. -> 54 hex digits."""
    shape = int("".join("1" if bit else "0" for bit in bits), 2)
    return f"{shape:0{SHAPE_DIGITS}x}" + "".join(f"{step:x}" for step in steps)


def distance(one: str, other: str) -> float:
    """0 for equal hashes, at most 1 for two pictures that a person would call the same, infinite if either is no hash
    of this kind."""
    if not len(one) == len(other) == SHAPE_DIGITS + COLOUR_DIGITS:
        return math.inf
    bits, steps = difference(one, other)
    return max(bits / SHAPE_LIMIT, steps / COLOUR_LIMIT)


def difference(one: str, other: str) -> tuple[int, int]:
    """(bits of shape, steps of colour) in which two hashes differ."""
    bits = (int(one[:SHAPE_DIGITS], 16) ^ int(other[:SHAPE_DIGITS], 16)).bit_count()
    pairs = zip(one[SHAPE_DIGITS:], other[SHAPE_DIGITS:], strict=True)
    return bits, sum(abs(int(a, 16) - int(b, 16)) for a, b in pairs)

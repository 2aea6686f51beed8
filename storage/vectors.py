"""Vectors of images as the ledger keeps them, and all of one space in memory, for an exact search.

A vector is kept as signed bytes, its largest number as 127. One of a model that makes images has 256, whatever the
model's width: a wider one goes through a fixed random projection (Achlioptas 2003), a narrower one has zeros behind it.
One of the studio's model for searching has as many as the model gives: the angles between a word and pictures differ by
less than a projection loses. Only angles count. A vector belongs to a *space*, its kind and the model that computed it;
those of different spaces are never compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

WIDTH = 256
"""Numbers in a vector of a model that makes images, as it is kept."""
BLOCK = 1_024
"""Vectors that are compared at a time, so that the float32 form of them stays in the processor's cache."""


def name_space(kind: str, model: str) -> str:
    """`model`: the digest of the weights that computed it."""
    return f"{kind} {model[:16]}"


def pack(vector: NDArray[np.float32], *, whole: bool = False) -> bytes | None:
    """Of any width, which is kept if it is to be `whole`; None where it is zero everywhere or not finite, which has no
    direction."""
    values = np.asarray(vector, np.float64).ravel()
    if not np.isfinite(values).all() or not values.any():
        return None
    if len(values) > WIDTH and not whole:
        values = values @ _signs(len(values))
    kept = np.zeros(len(values) if whole else WIDTH, np.int8)
    kept[: len(values)] = np.round(values / np.abs(values).max() * 127)
    return kept.tobytes()


def unpack(kept: Sequence[bytes]) -> NDArray[np.float32]:
    """[number of vectors, width], each of length 1; all of one space."""
    values = np.frombuffer(b"".join(kept), np.int8).reshape(len(kept), -1).astype(np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: NDArray[np.float32] = values / lengths
    return unit


def sort_nearest(numbers: NDArray[np.int64], likeness: NDArray[np.float32]) -> list[int]:
    """Rows by the cosines of their angles, largest first; of what float32 cannot tell apart, the smaller number."""
    return [int(number) for number in numbers[np.lexsort((numbers, -np.round(likeness, 5)))]]


@cache
def _signs(width: int) -> NDArray[np.float64]:
    """[width, WIDTH] of 1 and -1, the same on every machine and in every version."""
    data = hashlib.shake_256(f"dailies {width}".encode()).digest(width * WIDTH // 8)
    bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(width, WIDTH)
    return bits.astype(np.float64) * 2 - 1


class VectorTable:
    """The vectors of one space, by the number of their row. Threads must not share one while it grows."""

    def __init__(self) -> None:
        self._count, self.last = 0, 0
        """`last`: the largest number."""
        self._numbers = np.empty(0, np.int64)
        self._values = np.empty((0, 0), np.int8)
        self._lengths = np.empty(0, np.float32)

    def __len__(self) -> int:
        return self._count

    def add(self, numbers: Sequence[int], kept: Sequence[bytes]) -> None:
        """Those that are here already stay once. `numbers` rise."""
        fresh = list(range(len(numbers)))
        if numbers and numbers[0] <= self.last:
            known = np.isin(np.asarray(numbers, np.int64), self._numbers[: self._count])
            fresh = [place for place in fresh if not known[place]]
        if not fresh:
            return
        end = self._count + len(fresh)
        if not self._count:
            self._values = np.empty((0, len(kept[0])), np.int8)
            self._numbers, self._lengths = np.empty(0, np.int64), np.empty(0, np.float32)
        if end > len(self._numbers):
            room = max(end, 2 * len(self._numbers), 1024)
            for name in ("_numbers", "_values", "_lengths"):
                old = getattr(self, name)
                grown = np.empty((room, *old.shape[1:]), old.dtype)
                grown[: self._count] = old[: self._count]
                setattr(self, name, grown)
        values = np.frombuffer(b"".join(kept[n] for n in fresh), np.int8).reshape(len(fresh), -1)
        self._numbers[self._count : end] = [numbers[n] for n in fresh]
        self._values[self._count : end] = values
        self._lengths[self._count : end] = np.linalg.norm(values.astype(np.float32), axis=1)
        self._count, self.last = end, max(self.last, numbers[fresh[-1]])

    def find_nearest(self, vector: NDArray[np.float32], most: int) -> list[int]:
        """Numbers of the rows at the smallest angles to `vector` [width], nearest first; the smaller number first where
        two are equally near."""
        likeness = np.empty(self._count, np.float32)
        for start in range(0, self._count, BLOCK):
            end = min(start + BLOCK, self._count)
            likeness[start:end] = self._values[start:end].astype(np.float32) @ vector
        likeness /= self._lengths[: self._count]
        chosen = np.arange(self._count)
        if most < self._count:
            least = np.partition(likeness, self._count - most)[self._count - most]
            chosen = np.flatnonzero(likeness >= least)
        return sort_nearest(self._numbers[chosen], likeness[chosen])[:most]

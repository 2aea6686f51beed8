"""An invisible mark of 48 bits in the brightness of a picture, which survives re-saving as JPEG and resizing.

After DWT-SVD (Liu and Tan, "An SVD-based watermarking scheme for protecting rightful ownership", IEEE Trans. Multimedia
4(1), 2002) with the quantisation of Chen and Wornell ("Quantization index modulation", IEEE Trans. Information Theory
47(4), 2001), which needs no original to be read:

1. The brightness is brought to a grid of 64x64 means, whatever the picture's size: the low band of a Haar wavelet
   transform. So any later size, and any proportion, gives the same grid.
2. Each block of 4x4 of it says one bit by the step of STEP levels in which its largest singular value lies. (dwtDctSvd
   takes the DCT of a block first; an orthogonal transform leaves the singular values as they are, so it is left out.)
3. 256 blocks say 48 bits, each five times or six, and never twice within 7 blocks.

It says where a picture comes from when all its metadata is gone. It is no lock: who has this file can take it out, and
a crop or a rotation moves it out of reach. NumPy and Pillow only; the same picture gives the same pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

METHOD = "dailies DWT-SVD 1"
BITS = 48
GRID = 64
BLOCK = 4
STEP = 4.0
"""Levels of 255 between two places of one bit; a block's brightness moves by up to half of it."""
SHIFTS = (0.0, -0.2, 0.2, -0.4, 0.4, -0.6, 0.6)
"""Levels by which others' rounding may have shifted a whole picture; the one that fits best is taken."""
NEAR = 5.7
"""Likeness from which a picture is taken for one with that message. All 48 bits right, and equally sure, are 6.9; 4 of
them wrong are 5.8. By chance one of a million messages is that near to a picture in about one of a thousand."""

Values = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_COUNT = (GRID // BLOCK) ** 2
_ROUNDS = 8
_MOST = 1.75 * STEP
"""Levels by which a pixel is changed at most."""
_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.float32) / 16 + np.float32(1 / 32)


@dataclass(frozen=True)
class Mark:
    """What was read. `votes`: of each bit, from 1 (surely 0) to -1 (surely 1); `strength`: their mean size, which is
    1 where every block lies in the middle of its step, and about 0.3 in a picture without a mark."""

    votes: tuple[float, ...]

    @property
    def message(self) -> str:
        """12 hex digits."""
        return f"{int(''.join('1' if vote < 0 else '0' for vote in self.votes), 2):012x}"

    @property
    def strength(self) -> float:
        return float(np.abs(self.votes).mean())

    def differs_by(self, message: str) -> int:
        """Bits of 48."""
        return (int(self.message, 16) ^ int(message, 16)).bit_count()

    def likeness_to(self, message: str) -> float:
        """The votes for this message in standard deviations of those for a message by chance; NEAR is enough."""
        return float(self._weigh([message])[0])

    def find_nearest(self, messages: Iterable[str]) -> str | None:
        """The one that it is most like; None where none is near."""
        if not (listed := list(messages)):
            return None
        likeness = self._weigh(listed)
        nearest = int(likeness.argmax())
        return listed[nearest] if likeness[nearest] >= NEAR else None

    def _weigh(self, messages: Sequence[str]) -> NDArray[np.float64]:
        numbers = np.array([int(message, 16) for message in messages], np.uint64)
        bits = numbers[:, None] >> np.arange(BITS - 1, -1, -1, dtype=np.uint64) & np.uint64(1)
        votes = np.array(self.votes)
        return np.asarray(np.where(bits == 1, -1.0, 1.0) @ votes / max(float(np.linalg.norm(votes)), 1e-9))


def write_mark(pixels: Pixels, message: str) -> Pixels:
    """pixels: uint8 [height, width, 3 or 4]; alpha stays, and what is clear is not marked. message: 12 hex digits."""
    offsets, order = _layout()
    bits = np.array([int(message, 16) >> (BITS - 1 - place) & 1 for place in order])
    solid = _blocks(_grid_of_alpha(pixels)).mean(axis=(1, 2)) > 0.5

    left, values, right = np.linalg.svd(_blocks(_grid(pixels)))
    shape = left[:, :, :1] * right[:, :1, :]
    is_uneven = np.abs(shape).max(axis=(1, 2), keepdims=True) > 0.5  # black has no shape of its own
    shape = np.where(is_uneven, 1 / BLOCK, shape)
    first = values[:, 0]
    place = (bits * 0.5 + 0.25 + offsets) * _SPACING
    nearest = np.round((first - place) / _SPACING) * _SPACING + place
    nearest = np.clip(nearest, *_inside(place))
    goal = nearest
    change = np.zeros((GRID, GRID))
    marked = pixels
    for number in range(_ROUNDS):
        lacks = np.where(solid, goal - _first_values(marked), 0.0)
        if np.abs(lacks).max() < _SPACING / 40:
            break
        if number == 3:  # colours at their end cannot follow; the next place of the bit is the other way
            stuck = np.abs(lacks) > _SPACING / 10
            other = goal - np.sign(goal - first) * _SPACING
            low, high = _inside(place)
            goal = np.where(stuck & (other >= low) & (other <= high), other, goal)
            lacks = np.where(solid, goal - _first_values(marked), 0.0)
        change = change + _unblocked(shape * lacks[:, None, None])
        change = change.clip(-_MOST, _MOST)
        marked = _add(pixels, change)
    return marked


def read_mark(pixels: Pixels) -> Mark:
    """pixels: uint8 [height, width, 3 or 4], of any size."""
    first = _first_values(pixels)
    weight = _blocks(_grid_of_alpha(pixels)).mean(axis=(1, 2))
    weight = weight * (weight > 0.5) * ~_is_bare(first)
    return max((_read(first + shift * BLOCK, weight) for shift in SHIFTS), key=lambda mark: mark.strength)


def _read(first: Values, weight: Values) -> Mark:
    offsets, order = _layout()
    votes = weight * np.sin(2 * np.pi * (first / _SPACING - offsets))  # 1 in the middle of bit 0's place, -1 of bit 1's
    sums, known = (np.bincount(order, values, minlength=BITS) for values in (votes, weight))
    return Mark(tuple(map(float, sums / np.maximum(known, 1e-9))))


_SPACING = STEP * BLOCK
"""Between two places of one bit, in singular values: that of a flat block is BLOCK times its brightness."""


def _inside(place: Values) -> tuple[Values, Values]:
    """The lowest and the highest place of each block's bit that is neither black nor white."""
    low, high = 0.8 * BLOCK, 254.2 * BLOCK
    lowest = place + np.ceil((low - place) / _SPACING) * _SPACING
    highest = place + np.floor((high - place) / _SPACING) * _SPACING
    return lowest, highest


def _is_bare(first: Values) -> NDArray[np.bool_]:
    """Blocks of nothing but white or black, which no mark leaves: a ground that was put under a cut-out."""
    return (first > 254.7 * BLOCK) | (first < 0.3 * BLOCK)


@cache
def _layout() -> tuple[Values, NDArray[np.int64]]:
    """Of each block: where its steps begin, 0..1 of one, and which bit it says. The steps are from hashes, so that they
    stay; any square of 7x7 blocks says all bits, for cut-outs that fill a part of their picture."""
    digests = [hashlib.sha256(f"dailies watermark 1 {block}".encode()).digest() for block in range(_COUNT)]
    offsets = np.array([digest[0] / 256 for digest in digests])
    rows, columns = np.divmod(np.arange(_COUNT), GRID // BLOCK)
    return offsets, (columns + 7 * rows) % BITS


def _grid(pixels: Pixels) -> Values:
    """[GRID, GRID] mean brightness; what is clear is white."""
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    luma: NDArray[Any] = red * np.float32(0.299) + green * np.float32(0.587) + blue * np.float32(0.114)
    if pixels.shape[2] == 4:
        share = pixels[..., 3].astype(np.float32) / 255
        luma = luma * share + 255 * (1 - share)
    return _means(luma)


def _grid_of_alpha(pixels: Pixels) -> Values:
    if pixels.shape[2] == 3:
        return np.ones((GRID, GRID))
    return _means(pixels[..., 3].astype(np.float32) / 255)


def _means(values: NDArray[Any]) -> Values:
    """Of equal parts of the picture's area; a pixel on a border counts to both sides of it."""
    height, width = values.shape
    return np.asarray(_parts(height) @ values @ _parts(width).T, np.float64)


@lru_cache(maxsize=64)
def _parts(side: int) -> NDArray[np.float32]:
    """[GRID, side] shares of each pixel in each mean along one side."""
    borders = np.arange(GRID + 1) * side / GRID
    pixels = np.arange(side)
    covered = np.minimum(borders[1:, None], pixels + 1) - np.maximum(borders[:-1, None], pixels)
    return (covered.clip(0) * GRID / side).astype(np.float32)


def _blocks(grid: Values) -> Values:
    """[256, 4, 4]"""
    side = GRID // BLOCK
    return grid.reshape(side, BLOCK, side, BLOCK).swapaxes(1, 2).reshape(_COUNT, BLOCK, BLOCK)


def _unblocked(blocks: Values) -> Values:
    side = GRID // BLOCK
    return blocks.reshape(side, side, BLOCK, BLOCK).swapaxes(1, 2).reshape(GRID, GRID)


def _first_values(pixels: Pixels) -> Values:
    return np.asarray(np.linalg.svd(_blocks(_grid(pixels)), compute_uv=False)[:, 0], np.float64)


def _add(pixels: Pixels, change: Values) -> Pixels:
    """The grid's change, smoothly over the picture. Dithered, so that less than a level is not lost in flat colour."""
    height, width = pixels.shape[:2]
    smooth = Image.fromarray(change.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    levels = np.round(np.asarray(smooth) * 64) / 64  # the last bits of a float may differ by machine
    threshold = np.tile(_BAYER, (-(-height // 4), -(-width // 4)))[:height, :width]
    whole = np.floor(levels + threshold).astype(np.int16)
    if pixels.shape[2] == 4:
        whole *= pixels[..., 3] > 0
    marked = pixels.copy()
    marked[..., :3] = (pixels[..., :3] + whole[..., None]).clip(0, 255)
    return marked

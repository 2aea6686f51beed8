"""Banding: a gradient that climbs in visible stairs instead of a slope.

Looked for along rows and columns, in pieces of line that only climb (or only fall): a slope spreads its climb over
every step, however small; a staircase gathers it in a few jumps of two levels and more between flat treads. Flat art
has jumps too, so a piece must hold several. Grain and dither hide stairs from the eye, and from this.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CELL = 64
"""px of the cells that the answer is given in."""
PIECES = (64, 128, 256, 512)
"""px of a line that are judged together: stairs may be steep or shallow."""
STAIRS = 3
"""Jumps that a piece must hold at least; flat shapes side by side rarely make so many in one direction."""


def find_banding(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where stairs are: a mask of cells, one for each CELL x CELL px. `grey` [height, width] in 0..255."""
    height, width = grey.shape
    found = np.zeros((max(1, height // CELL), max(1, width // CELL)), bool)
    rows, columns = _merge_lines(grey), _merge_lines(cv2.transpose(grey))
    for piece in PIECES:
        high, wide = height // piece, width // piece
        if not high or not wide:
            break
        across = _stairs(rows[: high * piece // 2, : wide * piece], piece).reshape(high, -1, wide).mean(1)
        down = _stairs(columns[: wide * piece // 2, : high * piece], piece).reshape(wide, -1, high).mean(1).T
        share = np.maximum(across, down).repeat(piece // CELL, 0).repeat(piece // CELL, 1)
        found[: share.shape[0], : share.shape[1]] |= share > 0.5
    return found


def _merge_lines(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every second line, as the mean of the five around it: stairs run on across lines, grain does not."""
    return cv2.blur(grey, (1, 5), borderType=cv2.BORDER_REPLICATE)[::2]


def _stairs(lines: NDArray[np.float32], piece: int) -> NDArray[np.bool_]:
    """[lines, pieces]: whether each piece of each line is a staircase."""
    # 1. Pieces
    pieces = lines.reshape(lines.shape[0], -1, piece)
    # 2. Steps over three px, since a soft encoder spreads a jump over two or three
    step = pieces[..., 3:] - pieces[..., :-3]
    climb = pieces[..., -1] - pieces[..., 0]
    size = np.abs(step)
    # 3. Only climbs, gently, and by enough levels for an eye
    backwards = np.where(np.sign(step) == -np.sign(climb)[..., None], size, 0).sum(-1)
    gentle = (size.max(-1) <= 16) & (np.abs(climb) >= 6) & (np.abs(climb) <= 96) & (backwards <= 0.1 * size.sum(-1))
    # 4. In jumps between treads
    slope = np.abs(climb) / piece
    jump = size >= np.maximum(1.8, 6 * slope)[..., None]
    begins = (jump[..., 1:] & ~jump[..., :-1]).sum(-1) + jump[..., 0]
    treads = (size < 0.35).mean(-1)
    found: NDArray[np.bool_] = gentle & (begins >= STAIRS) & (treads >= 0.3)
    return found

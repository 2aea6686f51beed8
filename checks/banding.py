"""Banding: a gradient that climbs in visible stairs instead of a slope.

Looked for along rows and columns, in pieces of line that only climb (or only fall): a slope spreads its climb over
every step, however small; a staircase gathers it in a few jumps of two levels and more between flat treads. Flat art
has jumps too, so a piece must hold several. Grain and dither hide stairs from the eye, and from this.
"""

from __future__ import annotations

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
    for piece in PIECES:
        rows, columns = height // piece, width // piece
        if not rows or not columns:
            break
        square = grey[: rows * piece, : columns * piece]
        across = _stairs(square, piece).reshape(rows, -1, columns).mean(1)
        down = _stairs(np.ascontiguousarray(square.T), piece).reshape(columns, -1, rows).mean(1).T
        share = np.maximum(across, down).repeat(piece // CELL, 0).repeat(piece // CELL, 1)
        found[: share.shape[0], : share.shape[1]] |= share > 0.5
    return found


def _stairs(grey: NDArray[np.float32], piece: int) -> NDArray[np.bool_]:
    """[lines, pieces]: whether each piece of each (every second) line is a staircase."""
    # 1. Mean of five lines: stairs run on across lines, grain does not
    width = grey.shape[1]
    lines = (grey[:-4] + grey[1:-3] + grey[2:-2] + grey[3:-1] + grey[4:]) / 5
    lines = np.vstack([lines[:1]] * 2 + [lines] + [lines[-1:]] * 2)[::2]
    pieces = lines.reshape(lines.shape[0], width // piece, piece)
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

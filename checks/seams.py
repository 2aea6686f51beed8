"""Seams: what shows where a texture's opposite edges meet when it is tiled.

A seam is where two neighbouring lines do not go on from each other. So it is the *bend* that is measured: how far the
step across the edge differs from the steps on both sides of it. That of the wrapped edge is held against those of every
pair of lines inside, since a wall has hard lines of its own.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

PARTS = 8
"""An edge is also judged in so many parts: a seam may show in one place only."""

STRIPS = 8


def measure_seams(pixels: NDArray[np.uint8], axis: Literal["x", "y"]) -> tuple[float, list[float]]:
    """Energy across the wrapped edge over that of the inside's stronger lines, for the whole edge and for each part.

    `x`: the left edge against the right one. About 1 or less where nothing shows; 2 is a plain seam. Nothing is said of
    fewer than STRIPS lines.
    """
    lines = pixels.astype(np.float32)
    if axis == "x":
        lines = lines.transpose(1, 0, 2)
    if len(lines) < STRIPS:
        return 0.0, []
    bends = _bends(lines)
    whole = _over(bends.mean(1))
    size = bends.shape[1] // PARTS
    parts = [_over(bends[:, part * size : (part + 1) * size].mean(1)) for part in range(PARTS)] if size else []
    return whole, parts


def _bends(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """[lines, along]: for each line, how badly it goes on from the one before; the first is the wrapped edge."""
    step = lines - np.roll(lines, 1, axis=0)
    before, after = np.roll(step, 1, axis=0), np.roll(step, -1, axis=0)
    bend: NDArray[np.float32] = np.abs(step - (before + after) / 2).mean(-1)
    return bend


def _over(energy: NDArray[np.float32]) -> float:
    inside = energy[2:-1]  # the edge's neighbours take part in its own bend
    strong = max(float(np.percentile(inside, 95)), 0.5 * float(inside.max()), 1.0)
    return float(energy[0]) / strong


def measure_tone_step(pixels: NDArray[np.uint8], axis: Literal["x", "y"]) -> tuple[float, float]:
    """Change in tone from one edge's strip to the other's, in levels, and the same over the largest change inside.

    Finds what `seam` cannot: a wall that is lit from one side repeats as stripes, although no line of it is hard.
    """
    lines = pixels.astype(np.float32).mean(2).mean(0 if axis == "x" else 1)
    if len(lines) < STRIPS:
        return 0.0, 0.0
    strips = np.array([part.mean() for part in np.array_split(lines, STRIPS)])
    inside = np.abs(np.diff(strips))
    wrap = float(abs(strips[0] - strips[-1]))
    return wrap, wrap / max(float(inside.max()), 1.0)

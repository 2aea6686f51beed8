"""Seams: what shows where a texture's opposite edges meet when it is tiled.

A seam is where two neighbouring lines do not go on from each other. So it is the *bend* that is measured: how far the
step across the edge differs from the steps on both sides of it. That of the wrapped edge is held against those of every
pair of lines inside, since a wall has hard lines of its own.
"""

from __future__ import annotations

from typing import Literal

import cv2
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
    lines = cv2.transpose(pixels) if axis == "x" else pixels
    if len(lines) < STRIPS:
        return 0.0, []
    bends = _bends(lines.astype(np.float32))
    whole = _over(bends.mean(1))
    size = bends.shape[1] // PARTS
    parts = [_over(bends[:, part * size : (part + 1) * size].mean(1)) for part in range(PARTS)] if size else []
    return whole, parts


def _bends(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """[lines, along]: for each line, how badly it goes on from the one before; the first is the wrapped edge."""
    around = np.concatenate([lines[-2:], lines, lines[:1]])
    step = np.diff(around, axis=0)
    bend = np.abs(step[1:-1] - (step[:-2] + step[2:]) / 2)
    mean: NDArray[np.float32] = cv2.transform(bend, np.full((1, 3), 1 / 3, np.float32))
    return mean


def _over(energy: NDArray[np.float32]) -> float:
    inside = energy[2:-1]  # the edge's neighbours take part in its own bend
    strong = max(float(np.percentile(inside, 95)), 0.5 * float(inside.max()), 1.0)
    return float(energy[0]) / strong


def measure_tone_step(pixels: NDArray[np.uint8], axis: Literal["x", "y"]) -> tuple[float, float]:
    """Change in tone from one edge's strip to the other's, in levels, and the same over the largest change inside.

    Finds what `seam` cannot: a wall that is lit from one side repeats as stripes, although no line of it is hard.
    """
    means = cv2.reduce(pixels, 0 if axis == "x" else 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    lines = means.reshape(-1, 3).mean(1)
    if len(lines) < STRIPS:
        return 0.0, 0.0
    strips = np.array([part.mean() for part in np.array_split(lines, STRIPS)])
    inside = np.abs(np.diff(strips))
    wrap = float(abs(strips[0] - strips[-1]))
    return wrap, wrap / max(float(inside.max()), 1.0)

"""A flat ground keyed out: alpha, and colours without the ground in them.

The picture is taken for `alpha * foreground + (1 - alpha) * ground` (Porter and Duff, 1984), with one ground colour
that is measured along the edges. Only pixels between the ground and the subject are partly transparent, and only
as far in as their colour still moves away from the ground; their foreground is the nearby colour that explains them
best. A soft shadow is not told from the subject and stays opaque.

Levels are 0 to 255 of sRGB, as pictures are composited by everybody.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

RING = 0.02
"""Of the longer side: the band along the edges in which the ground is measured."""
FLAT_SHARE = 0.6
"""Of each edge's band that must have the ground's colour; a subject may touch an edge."""
LIKE = 28.0
"""Levels (the channel that differs most) within which a pixel of the band may have the ground's colour."""
NOISE = 10.0
"""Levels from the ground's colour that its own pixels may reach (99th percentile); more is not flat."""
STEP, STEP_LEVELS = 1.04, 4.0
"""A neighbour this much farther from the ground means that the edge is not over yet."""
BAND = 4
"""px: the widest edge."""
SMALLEST = 0.001
"""Of the picture; a smaller subject is none."""
SMALLEST_HOLE = 9
"""px of area."""
SPECK = 16
"""px of area: faint islands in the ground, up to this size, are what compression left there."""
LOUDEST = 24.0
"""Levels up to which the threshold is raised until they are gone; twice as many are faint no more."""

Levels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Ground:
    """`colour`: RGB levels. `noise`: levels that its own pixels are away from it, at most."""

    colour: Floats
    noise: float


@dataclass(frozen=True)
class Refused:
    """Why there is no flat ground, for a person."""

    sentence: str
    noise: float


def find_ground(pixels: Levels) -> Ground | Refused:
    """The one colour along all four edges. pixels: uint8 [height, width, 3]."""
    height, width = pixels.shape[:2]
    band = max(2, round(RING * max(height, width)))
    sides = {"top": pixels[:band], "bottom": pixels[-band:], "left": pixels[:, :band], "right": pixels[:, -band:]}
    edge = np.concatenate([side.reshape(-1, 3) for side in sides.values()]).astype(np.float32)
    colour = np.median(edge, axis=0)
    away = np.abs(edge - colour).max(1)
    noise = float(np.percentile(away[away < LIKE], 99)) if (away < LIKE).any() else LIKE
    for name, side in sides.items():
        share = float((np.abs(side.astype(np.float32) - colour).max(-1) < LIKE).mean())
        if share < FLAT_SHARE:
            return Refused(f"the ground is not flat: {share:.0%} of the {name} edge has its colour", noise)
    if noise > NOISE:
        return Refused(f"the ground is not flat: its colour varies by {noise:.0f} levels", noise)
    return Ground(colour, noise)


def key_out(pixels: Levels, ground: Ground, *, holes: bool) -> Levels | Refused:
    """uint8 [height, width, 4], straight alpha; colours reach beyond the matte, so that mip-maps do not fringe.

    pixels: uint8 [height, width, 3]. `holes`: enclosed places of the ground's colour are transparent too.
    """
    picture = pixels.astype(np.float32)
    away = np.abs(picture - ground.colour).max(-1)
    quiet = 2 + 1.5 * ground.noise
    clear = _find_clear(away, _threshold(away, quiet), ground=ground, holes=holes)
    if 1 - clear.mean() < SMALLEST:
        return Refused("nothing but the ground is there", ground.noise)
    soft = _find_soft(away, clear, quiet)
    alpha = np.where(clear & ~soft, 0, 1).astype(np.float32)
    foreground = picture.copy()
    rows, columns = np.nonzero(soft)
    if len(rows):
        alpha[rows, columns], foreground[rows, columns] = _unmix(picture, ground, ~clear & ~soft, rows, columns)
    return bleed(alpha, foreground)


def bleed(alpha: Floats, foreground: Floats) -> Levels:
    """RGBA; where the picture is (almost) transparent it has the colour of the nearest place where it is not.

    alpha: [height, width] in 0..1. foreground: [height, width, 3] levels.
    """
    levels = np.rint(alpha * 255).astype(np.uint8)
    seen = levels >= 16
    if not seen.any():
        seen = levels > 0
    if not seen.any():
        return np.zeros((*alpha.shape, 4), np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(
        (~seen).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.clip(np.rint(foreground), 0, 255).astype(np.uint8)
    by_label = np.zeros((int(nearest.max()) + 1, 3), np.uint8)
    by_label[nearest[seen]] = colours[seen]
    return np.dstack([np.where(seen[..., None], colours, by_label[nearest]), levels])


def _threshold(away: Floats, quiet: float) -> float:
    """Levels within which a pixel has the ground's colour: so many that the ground is free of specks."""
    threshold = quiet
    while threshold < LOUDEST:
        _, islands, stats, _ = cv2.connectedComponentsWithStats((away > threshold).astype(np.uint8), connectivity=8)
        area = stats[:, cv2.CC_STAT_AREA]
        mean = np.bincount(islands.ravel(), weights=away.ravel(), minlength=len(area)) / area
        if not ((area < SPECK) & (mean < 2 * LOUDEST))[1:].any():
            break
        threshold += 3
    return threshold


def _find_clear(away: Floats, threshold: float, *, ground: Ground, holes: bool) -> NDArray[np.bool_]:
    """Where the ground is seen alone: what has its colour and is joined to an edge of the picture, or is a hole."""
    like = away <= threshold
    count, areas, stats, _ = cv2.connectedComponentsWithStats(like.astype(np.uint8), connectivity=4)
    border = np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))
    is_ground = np.zeros(count, bool)
    is_ground[border] = True
    if holes:
        total = np.bincount(areas.ravel(), weights=away.ravel(), minlength=count)
        area = stats[:, cv2.CC_STAT_AREA]
        is_ground |= (total / np.maximum(area, 1) <= 1 + max(ground.noise, threshold / 6)) & (area >= SMALLEST_HOLE)
    is_ground[0] = False
    return is_ground[areas]


def _find_soft(away: Floats, clear: NDArray[np.bool_], quiet: float) -> NDArray[np.bool_]:
    """Pixels beside the ground, and beside those, as long as a neighbour is farther from the ground. And of the ground
    itself those beside the subject that have more than its noise."""
    around = np.ones((3, 3), np.uint8)
    farther = cv2.dilate(np.where(clear, 0, away).astype(np.float32), around)
    rises = ~clear & (farther > STEP * away + STEP_LEVELS)
    soft = clear & (away > quiet) & (cv2.dilate((~clear).astype(np.uint8), around) > 0)
    front = clear
    for _ in range(BAND):
        front = (cv2.dilate(front.astype(np.uint8), around) > 0) & rises & ~soft
        if not front.any():
            break
        soft |= front
    return soft


def _unmix(
    picture: Floats, ground: Ground, solid: NDArray[np.bool_], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """(alpha [n], foreground [n, 3]) of the pixels at these places.

    Of the solid pixels nearby, the one is taken whose mixture with the ground comes nearest to the pixel; nearer ones
    first.
    """
    height, width = solid.shape
    colour = picture[rows, columns] - ground.colour
    best = np.full(len(rows), np.inf, np.float32)
    alpha = np.ones(len(rows), np.float32)
    beyond = colour.copy()
    reach = range(-BAND - 1, BAND + 2)
    for apart, down, right in sorted((np.hypot(y, x), y, x) for y in reach for x in reach if (y, x) != (0, 0)):
        at = np.clip(rows + down, 0, height - 1), np.clip(columns + right, 0, width - 1)
        other = picture[at] - ground.colour
        square = (other * other).sum(1)
        share = np.clip((colour * other).sum(1) / np.maximum(square, 1), 0, 1)
        residual = np.abs(colour - share[:, None] * other).max(1)
        cost = np.where(solid[at] & (square > 1), residual + 2.0 * float(apart), np.inf).astype(np.float32)
        better = cost < best
        best[better], alpha[better], beyond[better] = cost[better], share[better], other[better]
    # What is left of the pixel when the ground is taken out; of almost transparent ones too little, so the neighbour's.
    unmixed = colour / np.maximum(alpha, 1e-3)[:, None]
    trust = np.clip((alpha - 0.1) / 0.3, 0, 1)[:, None]
    return alpha, ground.colour + trust * unmixed + (1 - trust) * beyond

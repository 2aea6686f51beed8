"""Counts the fingers of one open hand by its outline: how often a circle around the palm runs over skin.

It knows the drawn world's skins and was not trained: unlike a classifier of four numbers it does not pick the likeliest
of them, so a smear is counted as what it shows. bench/checkpoint.py asks it about close-ups of hands.
"""

from __future__ import annotations

import cv2
import numpy as np

from models.studio_tiny.figures import SKINS
from models.studio_tiny.pen import INK

NEAR = 30.0
"""CIE Lab distance from a drawn skin up to which a pixel may be part of the palm."""
MIDDLE = (0.38, 0.68, 0.3, 0.7)
"""Top, bottom, left and right, in sides: where a palm's centre can be. Sleeves, of whatever colour, lie lower."""
SMALLEST_PALM = 0.06
"""Radius of the smallest palm, in sides of the picture."""
RADII = np.linspace(1.4, 2.1, 8)
"""Of the circles, in palms: outside of the palm, inside of the fingers' tips."""
WRIST = 55.0
"""Degrees to both sides of straight down where an arm comes in."""
NARROWEST = 0.1
"""An arc below this width, in palms, is no finger."""
SCALE = 4
"""By which pictures are enlarged before arcs are counted: a gap of two pixels is a gap."""


def count_fingers(image: np.ndarray) -> int:
    """[h, w, 3] uint8 -> how many fingers; 0 where no palm is seen."""
    (x, y), radius = find_palm(to_lab(image))
    if radius < SMALLEST_PALM * image.shape[0]:
        return 0
    lab = to_lab(cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC))
    centre, radius = (x * SCALE, y * SCALE), radius * SCALE
    skin = same_skin(lab, centre, radius)
    counts = [count_arcs(skin, centre, radius * part, narrowest=NARROWEST * radius) for part in RADII]
    # The largest number that two circles agree on: near the palm fingers merge, far out the short ones have ended.
    return max((n for n in set(counts) if counts.count(n) > 1), default=0)


def to_lab(image: np.ndarray) -> np.ndarray:
    """[h, w, 3] uint8 RGB -> CIE Lab, L in 0..100."""
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def find_palm(lab: np.ndarray) -> tuple[tuple[int, int], float]:
    """CIE Lab [h, w, 3] -> centre (x, y) and radius of the largest disc of one skin, in pixels."""
    skins = to_lab(np.array([SKINS], np.uint8))[0]
    from_behind = np.linalg.norm(lab - _behind(lab), axis=2)
    side = lab.shape[0]
    top, bottom, left, right = (round(part * side) for part in MIDDLE)
    best: tuple[tuple[int, int], float] = ((0, 0), 0.0)
    for skin in skins:
        from_skin = np.linalg.norm(lab - skin, axis=2)
        mask = ((from_skin < NEAR) & (from_skin < from_behind)).astype(np.uint8)
        depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)[top:bottom, left:right]
        _, radius, _, (x, y) = cv2.minMaxLoc(depth)
        if radius > best[1]:
            best = ((int(x) + left, int(y) + top), float(radius))
    return best


def _behind(lab: np.ndarray) -> np.ndarray:
    """The colour around the subject, from the upper and the left border."""
    return np.median(np.concatenate([lab[:2].reshape(-1, 3), lab[:, :2].reshape(-1, 3)]), axis=0)


def same_skin(lab: np.ndarray, centre: tuple[int, int], radius: float) -> np.ndarray:
    """[h, w] bool: pixels that are more like the palm than like what lies behind it, or an outline."""
    (x, y), half = centre, max(1, int(radius / 2))
    palm = np.median(lab[max(y - half, 0) : y + half, max(x - half, 0) : x + half].reshape(-1, 3), axis=0)
    ink = to_lab(np.array([[INK]], np.uint8))[0, 0]
    from_palm = np.linalg.norm(lab - palm, axis=2)
    nearest = np.minimum(np.linalg.norm(lab - _behind(lab), axis=2), np.linalg.norm(lab - ink, axis=2))
    return (from_palm < nearest) & (from_palm < NEAR)


def count_arcs(skin: np.ndarray, centre: tuple[int, int], radius: float, *, narrowest: float) -> int:
    """How many runs of skin there are on a circle, from one side of the wrist around to its other side."""
    turns = np.radians(np.linspace(90 + WRIST, 450 - WRIST, 1440))
    x = np.rint(centre[0] + radius * np.cos(turns)).astype(int)
    y = np.rint(centre[1] + radius * np.sin(turns)).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < skin.shape[1]) & (y < skin.shape[0])
    seen = np.zeros(len(turns), bool)
    seen[inside] = skin[y[inside], x[inside]]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen.astype(np.int8), [0]])))
    widths = (edges[1::2] - edges[::2]) * radius * (turns[1] - turns[0])
    return int((widths >= narrowest).sum())

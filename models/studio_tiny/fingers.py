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
TURNS = np.radians(np.linspace(90 + WRIST, 450 - WRIST, 1440))
"""Around a circle, from one side of the wrist to the other."""


def count_fingers(image: np.ndarray) -> int:
    """[h, w, 3] uint8 -> how many fingers; 0 where no palm is seen."""
    lab = to_lab(image)
    centre, radius = find_palm(lab)
    if radius < SMALLEST_PALM * image.shape[0]:
        return 0
    # Between the pixels as well, for the gap between two fingers may be two pixels wide.
    x = centre[0] + radius * np.outer(RADII, np.cos(TURNS))
    y = centre[1] + radius * np.outer(RADII, np.sin(TURNS))
    circles = cv2.remap(image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)
    skin = is_skin(to_lab(circles), palm=_around(lab, centre, radius / 2), behind=_behind(lab))
    counts = [count_arcs(seen, narrowest=NARROWEST / part) for seen, part in zip(skin, RADII, strict=True)]
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


def _around(lab: np.ndarray, centre: tuple[int, int], half: float) -> np.ndarray:
    """The colour of the square of 2 * half pixels around a point."""
    (x, y), reach = centre, max(1, int(half))
    return np.median(lab[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach].reshape(-1, 3), axis=0)


def is_skin(lab: np.ndarray, *, palm: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """[..., 3] CIE Lab -> [...] bool: more like the palm than like what lies behind it, or an outline."""
    ink = to_lab(np.array([[INK]], np.uint8))[0, 0]
    from_palm, from_behind, from_ink = (np.linalg.norm(lab - colour, axis=-1) for colour in (palm, behind, ink))
    return (from_palm < from_behind) & (from_palm < from_ink) & (from_palm < NEAR)


def count_arcs(seen: np.ndarray, *, narrowest: float) -> int:
    """[len(TURNS)] bool along a circle -> how many runs of at least so many radians."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen.astype(np.int8), [0]])))
    return int(((edges[1::2] - edges[::2]) * (TURNS[1] - TURNS[0]) >= narrowest).sum())

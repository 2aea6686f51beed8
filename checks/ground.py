"""The flat ground that a subject stands on, so that the subject alone is compared with the brand's colours.

Only a flat ground is found: one colour along all four edges. Scenes, skies and textures have none, and then the whole
picture is the subject. A subject of the ground's own colour is found only inside an outline.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

RING = 0.03
"""Of the longer side: the band along the edges in which the ground is looked for."""
FLAT_SHARE = 0.7
"""Of each edge's band that must have the ground's colour."""
LIKE = 8.0
"""CIELAB distance up to which a pixel has the ground's colour."""
SMALLEST_SUBJECT = 0.02
"""Of the picture; a smaller one is taken for noise, and the whole picture is compared."""


def find_subject(colours: NDArray[np.float64]) -> NDArray[np.bool_]:
    """CIELAB [h, w, 3] -> [h, w]: True on the subject; True everywhere when no flat ground is found."""
    height, width = colours.shape[:2]
    band = max(1, round(RING * max(height, width)))
    sides = [colours[:band], colours[-band:], colours[:, :band], colours[:, -band:]]
    edge = np.concatenate([side.reshape(-1, 3) for side in sides])
    ground = np.median(edge, axis=0)
    if any((np.linalg.norm(side - ground, axis=-1) < LIKE).mean() < FLAT_SHARE for side in sides):
        return np.ones((height, width), bool)
    like = np.linalg.norm(colours - ground, axis=-1) < LIKE
    # What has the ground's colour belongs to it only where it is joined to an edge.
    _, areas = cv2.connectedComponents(like.astype(np.uint8), connectivity=4)
    border = np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))
    subject = ~(like & np.isin(areas, border[border > 0]))
    return subject if subject.mean() >= SMALLEST_SUBJECT else np.ones((height, width), bool)

"""Main colours of images as they are kept beside them, and which of them are near to a colour that is asked for.

Kept as text, the largest first, shares in percent: "8a3fbd:41 ffffff:30 20242c:12". checks/brand.py finds them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEEN = 4
"""Percent of the picture below which a colour does not count: nobody would say that the picture has it."""

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def to_lab(colours: Sequence[str]) -> NDArray[np.float64]:
    """ "rrggbb" -> CIELAB (D65), [n, 3]. Written out here because the review app's install has no scikit-image."""
    levels = np.array([[int(one[at : at + 2], 16) for at in (0, 2, 4)] for one in colours], np.float64).reshape(-1, 3)
    linear = np.where(levels > 10.31475, ((levels / 255 + 0.055) / 1.055) ** 2.4, levels / 255 / 12.92)
    ratio = linear @ _TO_XYZ.T / _WHITE
    bent = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.stack([116 * bent[:, 1] - 16, 500 * (bent[:, 0] - bent[:, 1]), 200 * (bent[:, 1] - bent[:, 2])], axis=-1)


def measure_distances(asked: str, kept: Sequence[str]) -> NDArray[np.float64]:
    """CIE76 from a colour ("#rrggbb") to the nearest main colour of each picture; infinite where none counts."""
    found = np.full(len(kept), np.inf)
    known: list[tuple[int, str]] = []
    for number, colours in enumerate(kept):
        for one in colours.split():
            colour, share = one.split(":")
            if int(share) >= SEEN:
                known.append((number, colour))
    if known:
        different = sorted({colour for _, colour in known})
        away = np.linalg.norm(to_lab(different) - to_lab([asked.removeprefix("#")]), axis=1)
        place = {colour: n for n, colour in enumerate(different)}
        np.minimum.at(found, [number for number, _ in known], away[[place[colour] for _, colour in known]])
    return found

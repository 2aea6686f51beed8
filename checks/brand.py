"""The `brand` check: how far a picture's colours are from the guide's palette.

Distances are CIEDE2000 (CIE 142-2001; skimage's), taken at every pixel of an even grid; nearby off-palette colours are
gathered into a few that can be named and shown. Colours only: whether a shape or a mood is on brand is for a person,
and the guide's reference pictures are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Region, Result
from schemas.spec import ImageSpec

GRID = 96
"""Pixels along the longer side that are looked at; picked, not averaged, since an average is a new colour."""
COLOURS = 8
"""Dominant colours that are gathered at most."""
OFF_SHARE = 0.25
"""Share of off-palette pixels that flags: below it lie shading, soft edges and small accents."""
NAMED_SHARE = 0.03


@dataclass(frozen=True)
class Dominant:
    """One of a picture's main colours, the palette's nearest, and the CIEDE2000 distance between them."""

    colour: str
    share: float
    nearest: str
    distance: float


def look(pixels: NDArray[np.uint8], spec: ImageSpec, guide: BrandGuide) -> Finding:
    if not guide.palette:
        sentence = "not compared: the manifest's brand guide has no palette"
        return Finding(check=Criterion.BRAND, result=Result.NOT_CHECKED, sentence=sentence)
    # 1. Every pixel of the grid to its nearest colour of the palette
    picked = _picked(pixels)
    colours = lab(picked)
    palette = lab(np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in guide.palette], np.uint8))
    distances = np.stack([distances_to(one, colours) for one in palette], axis=-1)
    distance = distances.min(-1)
    off = distance > guide.tolerance
    off_share = float(off.mean())

    # 2. The picture's main colours
    dominant = []
    for centre, share in gathered(picked.reshape(-1, 3), colours.reshape(-1, 3)):
        far = distances_to(lab(centre[None])[0], palette)
        best = int(far.argmin())
        dominant.append(Dominant(_hex(centre), share, guide.palette[best], float(far[best])))
    strangers = [one for one in dominant if one.distance > guide.tolerance and one.share >= NAMED_SHARE]

    data: dict[str, object] = {
        "on_palette_share": round(1 - off_share, 3),
        "mean_distance": round(float(distance.mean()), 2),
        "tolerance": guide.tolerance,
        "dominant": [
            {"colour": d.colour, "share": round(d.share, 3), "nearest": d.nearest, "distance": round(d.distance, 1)}
            for d in dominant
        ],
    }
    within = f"{1 - off_share:.0%} of the picture is within {guide.tolerance:g} of the palette"
    if off_share < OFF_SHARE:
        return Finding(check=Criterion.BRAND, result=Result.PASS, score=off_share, sentence=within, data=data)
    names = ", ".join(f"{one.colour} ({one.share:.0%}, {one.distance:.0f} from {one.nearest})" for one in strangers[:4])
    return Finding(
        check=Criterion.BRAND,
        result=Result.FLAG,
        score=off_share,
        sentence=f"only {within}; off it: {names or 'many small areas'}",
        regions=_largest(off),
        data=data,
    )


def main_colours(pixels: NDArray[np.uint8]) -> str:
    """As storage/colours.py keeps them: "rrggbb:percent", the largest first."""
    picked = _picked(pixels)
    found = gathered(picked.reshape(-1, 3), lab(picked).reshape(-1, 3))
    return " ".join(f"{_hex(colour)[1:]}:{round(share * 100)}" for colour, share in found if share >= 0.005)


def _picked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    step = max(1, -(-max(pixels.shape[:2]) // GRID))
    return np.ascontiguousarray(pixels[step // 2 :: step, step // 2 :: step])


def lab(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """uint8 sRGB [..., 3] -> CIELAB, D65."""
    from skimage.color import rgb2lab

    found: NDArray[np.float64] = rgb2lab(pixels)
    return found


def distances_to(colour: NDArray[np.float64], colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIEDE2000 from one CIELAB colour to each of [..., 3]."""
    from skimage.color import deltaE_ciede2000

    found: NDArray[np.float64] = deltaE_ciede2000(np.broadcast_to(colour, colours.shape), colours)
    return found


def gathered(pixels: NDArray[np.uint8], colours: NDArray[np.float64]) -> list[tuple[NDArray[np.uint8], float]]:
    """Main colours and their shares, largest first: k-means in CIELAB from fixed beginnings, so always the same.

    It begins with the darkest pixel and then with the one farthest from all beginnings so far.
    """
    points = colours.astype(np.float32)
    starts = [int(points[:, 0].argmin())]
    nearest = np.linalg.norm(points - points[starts[0]], axis=1)
    while len(starts) < COLOURS and nearest.max() > 6.0:
        starts.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[starts[-1]], axis=1))
    centres = points[starts]
    for _ in range(8):
        member = ((points[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
        centres = np.stack(
            [points[member == k].mean(0) if (member == k).any() else centres[k] for k in range(len(centres))]
        )
    found = []
    for k in range(len(centres)):
        own = member == k
        if own.any():  # the median is a colour that is really there
            found.append((np.median(pixels[own], axis=0).astype(np.uint8), float(own.mean())))
    return sorted(found, key=lambda one: -one[1])


def _largest(off: NDArray[np.bool_], count: int = 3) -> tuple[Region, ...]:
    """Boxes around the largest connected areas that are off the palette."""
    height, width = off.shape
    total, _, areas, _ = cv2.connectedComponentsWithStats(off.astype(np.uint8), connectivity=8)
    boxes = sorted((areas[index] for index in range(1, total)), key=lambda box: -box[cv2.CC_STAT_AREA])
    return tuple(
        Region(
            x=box[0] / width,
            y=box[1] / height,
            width=box[2] / width,
            height=box[3] / height,
            criterion=Criterion.BRAND,
            label="off palette",
        )
        for box in boxes[:count]
        if box[cv2.CC_STAT_AREA] >= NAMED_SHARE * off.size
    )


def _hex(colour: NDArray[np.uint8]) -> str:
    return "#" + "".join(f"{level:02x}" for level in colour)

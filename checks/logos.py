"""Logos that are given as pictures: found in an image, and held against how they must be.

Key points (SIFT: Lowe 2004, OpenCV's) are matched and a homography is fitted; a logo with fewer than INLIERS matches is
not found, which is no fault, since not every picture bears it. A flat logo of one plain shape has too few key points;
one that something else covers in part is not told from a whole one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from schemas.review import Criterion, Region

SIDE, LONGEST = 256, 1024
"""px, longest side of the logo and of the image as they are compared."""
RATIO = 0.8
"""Lowe's: a match must be so much nearer than the second-best."""
INLIERS, INLIER_SHARE = 10, 0.35
STRETCH = 1.12
"""One side against the other, from which a logo is bent; slanted or in perspective by as much, too."""
SLANT = 0.14
MISSING = 0.08
"""Share of the logo that lies outside of the picture, from which it is cropped."""


@dataclass(frozen=True)
class FoundLogo:
    """A logo in an image. `faults`: what is wrong with it, in words; empty when it is as it must be."""

    name: str
    box: Region
    matches: int
    stretch: float
    slant: float
    missing: float
    """0 to 1: share of the logo that is outside of the picture."""
    colour_distance: float
    """CIEDE2000 that 60 % of what is there of it keep within."""
    tolerance: float

    @property
    def faults(self) -> tuple[str, ...]:
        faults = []
        if self.stretch > STRETCH or self.slant > SLANT:
            faults.append(f"bent (stretched {self.stretch:.2f} times, slanted {self.slant:.2f})")
        if self.missing > MISSING:
            faults.append(f"cropped ({self.missing:.0%} is missing)")
        if self.colour_distance > self.tolerance:
            allowed = f"{self.tolerance:g} is allowed"
            faults.append(f"recoloured ({self.colour_distance:.0f} from its own colours, {allowed})")
        return tuple(faults)


@dataclass
class Logos:
    """A brand's logos, by file name: uint8 RGB pictures. Their key points are computed once."""

    pictures: Mapping[str, NDArray[np.uint8]]
    tolerance: float
    _known: dict[str, tuple[NDArray[np.uint8], tuple[cv2.KeyPoint, ...], NDArray[np.float32] | None]] = field(
        default_factory=dict
    )

    def find(self, pixels: NDArray[np.uint8]) -> list[FoundLogo]:
        """Those that are in the picture, each at most once. uint8 [height, width, 3]."""
        image = _fit(pixels, LONGEST)
        points, features = _describe(image)
        found = []
        for name in self.pictures:
            logo, own_points, own = self._logo(name)
            if own is None or features is None or len(own) < INLIERS or len(features) < INLIERS:
                continue
            pairs = cv2.BFMatcher().knnMatch(own, features, k=2)
            good = [pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < RATIO * pair[1].distance]
            if len(good) < INLIERS:
                continue
            here = np.array([own_points[match.queryIdx].pt for match in good], np.float32)
            there = np.array([points[match.trainIdx].pt for match in good], np.float32)
            matrix, inside = cv2.findHomography(here, there, cv2.RANSAC, 4.0)
            matches = 0 if matrix is None else int(inside.sum())
            if matches < max(INLIERS, INLIER_SHARE * len(good)):
                continue
            if (one := _measure(name, image, logo, matrix, matches=matches, tolerance=self.tolerance)) is not None:
                found.append(one)
        return found

    def _logo(self, name: str) -> tuple[NDArray[np.uint8], tuple[cv2.KeyPoint, ...], NDArray[np.float32] | None]:
        if name not in self._known:
            logo = _fit(self.pictures[name], SIDE)
            self._known[name] = (logo, *_describe(logo))
        return self._known[name]


def _describe(picture: NDArray[np.uint8]) -> tuple[tuple[cv2.KeyPoint, ...], NDArray[np.float32] | None]:
    """Key points, and their descriptors (None without any)."""
    finder = cv2.SIFT.create(2000, contrastThreshold=0.02)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    points, features = finder.detectAndCompute(grey, None)
    return tuple(points), features


def _measure(
    name: str,
    image: NDArray[np.uint8],
    logo: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    *,
    matches: int,
    tolerance: float,
) -> FoundLogo | None:
    """None for a fit that no real logo could have."""
    height, width = logo.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    quad = cv2.perspectiveTransform(corners[None], matrix)[0]
    if cv2.contourArea(quad) < 12**2 or not cv2.isContourConvex(quad.astype(np.float32)):
        return None
    # 1. Shape: how opposite sides differ, and how the two directions stand to each other
    across = [quad[1] - quad[0], quad[2] - quad[3]]
    down = [quad[3] - quad[0], quad[2] - quad[1]]
    lengths = [float(np.linalg.norm(side)) / width for side in across]
    lengths += [float(np.linalg.norm(side)) / height for side in down]
    stretch = max(lengths) / max(min(lengths), 1e-6)
    x, y = (sum(sides) / max(float(np.linalg.norm(sum(sides))), 1e-6) for sides in (across, down))
    slant = abs(float(np.dot(x, y)))
    # 2. What is there of it, and how far its colours are
    back = cv2.warpPerspective(image, np.linalg.inv(matrix), (width, height), borderMode=cv2.BORDER_CONSTANT)
    inside = np.ones(image.shape[:2], np.uint8)
    there = cv2.warpPerspective(inside, np.linalg.inv(matrix), (width, height), flags=cv2.INTER_NEAREST) > 0
    missing = 1 - float(there.mean())
    distance = deltaE_ciede2000(rgb2lab(cv2.blur(logo, (5, 5))), rgb2lab(cv2.blur(back, (5, 5))))
    ground = np.median(np.concatenate([logo[0], logo[-1], logo[:, 0], logo[:, -1]]), axis=0)
    drawn = np.abs(logo.astype(int) - ground).max(-1) > 24
    counted = distance[drawn & there] if (drawn & there).any() else distance[there]
    low, high = np.clip(quad.min(0), 0, None), np.minimum(quad.max(0), (image.shape[1], image.shape[0]))
    size = (image.shape[1], image.shape[0])
    left, top, right, bottom = (float(np.clip(v, 0, 1)) for v in (*(low / size), *(high / size)))
    place = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    box = Region(**place, criterion=Criterion.BRAND, label=f"logo {name}")
    far = float(np.percentile(counted, 60)) if counted.size else 0.0
    return FoundLogo(name, box, matches, stretch, slant, missing, far, tolerance)


def _fit(picture: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    scale = longest / max(picture.shape[:2])
    if scale >= 1 and longest == LONGEST:
        return np.ascontiguousarray(picture)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), size, interpolation=how), np.uint8)

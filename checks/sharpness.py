"""How wide a picture's edges are: a blurred picture has no narrow ones.

An edge blurred by sigma and blurred again by two known sigmas loses steepness in a known ratio, from which sigma
follows (after Zhuo and Sim 2011, "Defocus map estimation from a single image"). Contrast cancels out, so flat art and
photographs are measured alike, which the variance of a Laplacian does not manage.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FINE, COARSE = 1.0, 2.5  # px, the known sigmas
TELLING = 4.0
"""px up to which a width can be told at one scale; wider ones are measured in the picture at half its size."""
SMALLEST = 64


def measure_edge_width(grey: NDArray[np.float32]) -> float | None:
    """Sigma in px of the narrower quarter of the stronger edges. None when the picture has no edges to judge by."""
    width = _at_this_scale(grey)
    if (width is None or width > TELLING) and min(grey.shape) >= 2 * SMALLEST:
        half = measure_edge_width(
            cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA)
        )
        return width if half is None else 2 * half
    return width


def _at_this_scale(grey: NDArray[np.float32]) -> float | None:
    fine, coarse = _steepness(grey, FINE), _steepness(grey, COARSE)
    limit = float(np.percentile(coarse, 97))
    if limit < max(1.0, 2 * float(np.median(coarse))):  # as steep everywhere: a slope, not an edge
        return None
    strong = coarse >= limit
    ratio = float(np.percentile(fine[strong] / coarse[strong], 75))
    if ratio <= 1.0001:
        return float(max(grey.shape))
    return float(max((COARSE**2 - (ratio * FINE) ** 2) / (ratio**2 - 1), 0.0) ** 0.5)


def limit_edge_width(grey: NDArray[np.float32]) -> float:
    """The widest edge, in px, that still counts as sharp: a bigger picture is looked at from further off."""
    return 1.85 + 0.0013 * max(grey.shape)


def _steepness(grey: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    steepness: NDArray[np.float32] = cv2.magnitude(across, down)
    return steepness

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


def edge_width(grey: NDArray[np.float32]) -> float | None:
    """Sigma in px of the narrower quarter of the stronger edges. None when the picture has no edges to judge by."""
    fine, coarse = _steepness(grey, FINE), _steepness(grey, COARSE)
    strong = coarse >= max(float(np.percentile(coarse, 97)), 1.0)
    if strong.sum() < 20:
        return None
    ratio = float(np.percentile(fine[strong] / coarse[strong], 75))
    if ratio <= 1.0001:
        return float(max(grey.shape))
    return float(max((COARSE**2 - (ratio * FINE) ** 2) / (ratio**2 - 1), 0.0) ** 0.5)


def allowed_width(grey: NDArray[np.float32]) -> float:
    """The widest edge, in px, that still counts as sharp: a bigger picture is looked at from further off."""
    return 1.6 + 0.0015 * max(grey.shape)


def _steepness(grey: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    steepness: NDArray[np.float32] = cv2.magnitude(across, down)
    return steepness

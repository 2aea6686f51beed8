"""Measures on pixels that the checkpoint benchmark and the tests share. Plain numpy and OpenCV, no networks."""

from __future__ import annotations

import cv2
import numpy as np

from models.studio_tiny.world import COLOURS

SUBJECT = 10.0  # CIE Lab distance from the border at which a pixel counts as the subject's


def lab(pixels: np.ndarray) -> np.ndarray:
    """[..., 3] uint8 RGB -> [n, 3] CIE Lab, L in 0..100."""
    return cv2.cvtColor(pixels.reshape(1, -1, 3).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]


def border_colour(image: np.ndarray) -> np.ndarray:
    """[h, w, 3] uint8 -> [3] CIE Lab, the median of its upper, lower and left border."""
    border = np.concatenate([image[:3].reshape(-1, 3), image[-3:].reshape(-1, 3), image[:, :3].reshape(-1, 3)])
    return np.median(lab(border), axis=0)


def named_colour(image: np.ndarray) -> str:
    """[h, w, 3] uint8, a subject on a plain background -> the name that most of its pixels are nearest to."""
    pixels = lab(image)
    subject = np.linalg.norm(pixels - border_colour(image), axis=1) > SUBJECT
    if subject.sum() < 40:
        subject[:] = True
    names = np.array(list(COLOURS.values()), np.uint8)
    nearest = np.linalg.norm(pixels[subject][:, None] - lab(names)[None], axis=2).argmin(1)
    return list(COLOURS)[int(np.bincount(nearest, minlength=len(names)).argmax())]


def subject_share(image: np.ndarray) -> float:
    """[h, w, 3] uint8, a subject on a plain background -> the share of pixels that differ visibly from its border."""
    pixels = lab(cv2.GaussianBlur(image, (3, 3), 0))  # single pixels of noise are no subject
    return float((np.linalg.norm(pixels - border_colour(image), axis=1) > SUBJECT).mean())


def edge_f1(made: np.ndarray, asked: np.ndarray, *, tolerance: int = 2) -> float:
    """F1 of two edge maps [h, w], non-zero is edge; an edge within `tolerance` pixels of the other's is found."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1, 2 * tolerance + 1))
    made, asked = (made > 0).astype(np.uint8), (asked > 0).astype(np.uint8)
    if not made.any() or not asked.any():
        return float(made.any() == asked.any())
    precision = (made & cv2.dilate(asked, disc)).sum() / made.sum()
    recall = (asked & cv2.dilate(made, disc)).sum() / asked.sum()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def seam_ratio(image: np.ndarray, *, grid: int = 16) -> float:
    """Mean step across the wrapped border over the mean step across inner lines; 1 is a seam that cannot be seen.

    Only lines that are a multiple of `grid` from the border are compared: networks that double their grids, and pixel
    art, change more on such lines than between them, seam or no seam.
    """
    x = image.astype(np.float32)
    rows, columns = np.abs(x - np.roll(x, 1, 0)).mean((1, 2)), np.abs(x - np.roll(x, 1, 1)).mean((0, 2))
    inside = rows[grid::grid].mean() + columns[grid::grid].mean()
    return float((rows[0] + columns[0]) / max(inside, 1e-6))

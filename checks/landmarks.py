"""MediaPipe's hand landmark network, run by OpenCV: 21 points of a hand, and what they and its outline measure.

The network (Zhang et al. 2020, arXiv 2006.10214) sees one hand, turned upright, and always answers with four fingers
and a thumb. So a sixth finger cannot show in its points. `count_fingers` is independent of them: it counts the
finger-like parts of the hand's own colour that stick out of the palm. Neither proves that a hand is right.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from checks.finders import Detection

SIDE = 224
"""px of the network's input."""
CROP, UP = 2.6, 0.5
"""The crop's side, in palms, and how far its centre lies from the palm's towards the fingers (hand_landmark graph)."""
PALM = (SIDE // 2, round(SIDE * (0.5 + UP / CROP)))
"""Centre of the palm in the crop, px."""
FINGERS = {"thumb": (1, 2, 3, 4), "index": (5, 6, 7, 8), "middle": (9, 10, 11, 12), "ring": (13, 14, 15, 16),
           "little": (17, 18, 19, 20)}  # fmt: skip
WRIST, INDEX_BASE, MIDDLE_BASE, LITTLE_BASE, THUMB_TIP = 0, 5, 9, 17, 4
USUAL_LENGTH = {"thumb": (0.55, 1.35), "index": (0.6, 1.3), "middle": (0.65, 1.4), "ring": (0.6, 1.3),
                "little": (0.4, 1.1)}  # fmt: skip
"""Base to tip, in lengths from the wrist to the base of the middle finger, of a flat hand; wide limits."""
SHARPEST = 100.0
"""Degrees: a finger's joint that bends more between two bones of an open finger is unusual."""
SKIN_DISTANCE = 14.0
"""CIELAB, lightness at 0.7: pixels this near to the palm's colour belong to the hand."""
NARROWEST, WIDEST = 5.0, 42.0
"""px of the crop: parts that a circle around the palm cuts in this length are finger-like."""


@dataclass(frozen=True)
class Hand:
    """One hand. `points`: [21, 2], fractions of the picture. Confidence 0 to 1 that the crop shows a hand."""

    palm: Detection
    confidence: float
    right: float
    """0 to 1: the network's belief that it is a right hand."""
    points: NDArray[np.float64]
    lengths: dict[str, float]
    sharpest: float
    """Degrees, the largest bend at a joint of a finger."""
    thumb_inside: bool
    """The tip of the thumb lies on the little finger's side of the palm."""
    fingers: int
    """Finger-like parts of the outline, thumb included."""

    @property
    def odd(self) -> tuple[str, ...]:
        """Measurements outside of what an open hand usually has, in words; empty where none is."""
        notes = []
        if self.fingers != 5:
            notes.append(count_parts(self.fingers))
        notes += [
            f"{name} finger {length:.1f} palms long" if name != "thumb" else f"thumb {length:.1f} palms long"
            for name, length in self.lengths.items()
            if not USUAL_LENGTH[name][0] <= length <= USUAL_LENGTH[name][1]
        ]
        if self.sharpest > SHARPEST:
            notes.append(f"a joint bent {self.sharpest:.0f} degrees")
        if self.thumb_inside:
            notes.append("thumb on the little finger's side")
        return tuple(notes)

    @property
    def consistency(self) -> float:
        """0 to 1; it orders hands, and does not judge them. Of 176 drawn hands nearly all of another number of fingers
        have another number of finger-like parts, while their other measurements are as odd as those of right ones
        (bench/quality.py): so the number takes most, and the others and the confidence a little each."""
        miscounted = self.fingers != 5
        others = min(3, len(self.odd) - miscounted)
        return 1 - 0.6 * miscounted - 0.05 * others - 0.25 * (1 - self.confidence)


def count_parts(fingers: int) -> str:
    """The finger-like parts of a hand in words."""
    return "1 finger-like part" if fingers == 1 else f"{fingers or 'no'} finger-like parts"


class HandLandmarks:
    """The network. One hand at a time; safe from several threads. cv2.error for a file that is no TFLite network."""

    name = "MediaPipe's hand landmarks"

    def __init__(self, path: Path) -> None:
        self._net = cv2.dnn.readNetFromTFLite(str(path), cv2.dnn.ENGINE_CLASSIC)
        self._alone = threading.Lock()

    def measure(self, pixels: NDArray[np.uint8], palm: Detection) -> Hand:
        """`palm` must carry the key points of the palm detector. pixels: uint8 [height, width, 3]."""
        # 1. The hand upright in a square
        matrix = upright(palm, pixels.shape[1], pixels.shape[0])
        crop = cv2.warpAffine(pixels, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        # 2. Its points
        with self._alone:
            self._net.setInput(cv2.dnn.blobFromImage(crop, 1 / 255))
            flat, confidence, right = self._net.forward(["Identity", "Identity_1", "Identity_2"])
        points = flat.reshape(21, 3)[:, :2].astype(np.float64)
        # 3. What they measure
        lengths, sharpest = measure_fingers(points)
        back = cv2.invertAffineTransform(matrix)
        in_picture = (points @ back[:, :2].T + back[:, 2]) / (pixels.shape[1], pixels.shape[0])
        return Hand(
            palm, float(confidence[0, 0]), float(right[0, 0]), in_picture, lengths, sharpest, has_thumb_inside(points),
            count_fingers(crop),
        )  # fmt: skip


def upright(palm: Detection, width: int, height: int) -> NDArray[np.float64]:
    """[2, 3]: from px of the picture to px of a crop in which the middle finger points up."""
    size = (width, height)
    wrist, middle = (np.array(palm.points[index]) * size for index in (0, 2))
    along = middle - wrist
    turn = np.arctan2(along[1], along[0]) + np.pi / 2
    side = max(palm.width * width, palm.height * height)
    centre = (np.array([palm.x + palm.width / 2, palm.y + palm.height / 2])) * size
    centre = centre + UP * side * np.array([np.sin(turn), -np.cos(turn)])
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), float(np.degrees(turn)), SIDE / CROP / side)
    matrix[:, 2] += SIDE / 2 - centre
    return np.asarray(matrix, np.float64)


def measure_fingers(points: NDArray[np.float64]) -> tuple[dict[str, float], float]:
    """[21, 2] -> length of each finger in palms, and the sharpest bend at any of their joints in degrees."""
    palm = max(float(np.linalg.norm(points[MIDDLE_BASE] - points[WRIST])), 1e-6)
    lengths, bends = {}, []
    for name, chain in FINGERS.items():
        bones = np.diff(points[list(chain)], axis=0)
        norms = np.linalg.norm(bones, axis=1)
        lengths[name] = float(norms.sum() / palm)
        for first, second in zip(range(2), range(1, 3), strict=True):
            cosine = float(bones[first] @ bones[second]) / max(float(norms[first] * norms[second]), 1e-6)
            bends.append(float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    return lengths, max(bends)


def has_thumb_inside(points: NDArray[np.float64]) -> bool:
    """Whether the thumb's tip lies farther towards the little finger than the middle of the palm."""
    across = points[LITTLE_BASE] - points[INDEX_BASE]
    middle = (points[LITTLE_BASE] + points[INDEX_BASE]) / 2
    return bool((points[THUMB_TIP] - middle) @ across > 0)


def count_fingers(crop: NDArray[np.uint8]) -> int:
    """Finger-like parts that stick out of the palm in an upright crop, thumb included.

    The palm's colour makes a mask; circles around the palm cut it, and the largest number of finger-wide pieces that
    two neighbouring circles agree on is the answer. It needs a hand that is open and stands out from what is behind it.
    """
    lab = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    x, y = PALM
    skin = np.median(lab[y - 14 : y + 15, x - 14 : x + 15].reshape(-1, 3), axis=0)
    near = np.linalg.norm((lab - skin) * (0.7, 1, 1), axis=-1) < SKIN_DISTANCE
    mask = cv2.morphologyEx(near.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    angles = np.radians(np.arange(-205, 26, 0.5))  # from below the thumb of one hand to below that of the other
    counts = []
    for radius in range(52, SIDE // 2, 4):
        columns, rows = (np.round(x + radius * np.cos(angles)), np.round(y + radius * np.sin(angles)))
        inside = (columns >= 0) & (columns < SIDE) & (rows >= 0) & (rows < SIDE)
        cut = np.zeros(len(angles) + 2, np.int8)
        cut[1:-1][inside] = mask[rows[inside].astype(int), columns[inside].astype(int)]
        ends = np.flatnonzero(np.diff(cut))
        pieces = (ends[1::2] - ends[::2]) * np.radians(0.5) * radius
        counts.append(int(((pieces >= NARROWEST) & (pieces <= WIDEST)).sum()))
    return max(map(min, pairwise(counts)))

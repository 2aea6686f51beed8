"""A matting model (BiRefNet, IS-Net, U2-Net and their kin, as ONNX) looks at a picture and says how opaque each pixel
is. A local file, run by ONNX Runtime on the CPU: beside the device, which makes the next batch meanwhile.

The networks take a square picture and give one matte, probabilities or logits; colours at soft edges are then estimated
without the ground (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.keying import Floats, Levels, bleed
from schemas.errors import ModelMissing, RenderError

WIDE, NARROW = 90, 6
"""px: the two radii of the estimation, for pictures of 1024 px."""


class Matting:
    """One network. `side`: px of its square input, where the file leaves it open."""

    def __init__(
        self, path: Path, *, side: int | None, mean: tuple[float, ...], std: tuple[float, ...], asker: str
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as wrong:  # ONNX Runtime has no common class for what is wrong with a file
            raise ModelMissing(f"{asker} asks for the matting model {path}, which cannot be read: {wrong}") from None
        (given, *_) = self._session.get_inputs()
        if len(given.shape) != 4 or given.shape[1] != 3:
            raise ModelMissing(
                f"{asker} asks for the matting model {path}, which takes {given.shape}; not [n, 3, h, w]"
            )
        fixed = given.shape[2] if isinstance(given.shape[2], int) else None
        self.side = fixed or side or 1024
        self._name, self._type = given.name, np.float16 if "float16" in given.type else np.float32
        self._mean, self._std = np.array(mean, np.float32), np.array(std, np.float32)

    def matte(self, pixels: Levels) -> Floats:
        """[height, width] in 0..1. pixels: uint8 [height, width, 3]."""
        height, width = pixels.shape[:2]
        small = cv2.resize(pixels, (self.side, self.side), interpolation=cv2.INTER_AREA)
        batch = ((small.astype(np.float32) / 255 - self._mean) / self._std).transpose(2, 0, 1)[None]
        try:
            said = self._session.run(None, {self._name: batch.astype(self._type)})[0]
        except Exception as wrong:
            raise RenderError(f"the matting model failed: {type(wrong).__name__}: {wrong}") from None
        matte = np.asarray(said, np.float32).reshape(-1, *np.shape(said)[-2:])[0]
        if not np.isfinite(matte).all():
            raise RenderError("the matting model gave numbers that are not finite")
        if matte.min() < -1e-3 or matte.max() > 1 + 1e-3:  # logits
            matte = 1 / (1 + np.exp(-np.clip(matte, -50, 50)))
        large: Floats = cv2.resize(matte, (width, height), interpolation=cv2.INTER_CUBIC)
        return large.clip(0, 1)


def cut_by_matte(pixels: Levels, matte: Floats) -> Levels:
    """uint8 [height, width, 4], straight alpha, colours without the ground, bled beyond the matte."""
    picture: Floats = (pixels / 255).astype(np.float32)
    scale = max(pixels.shape[:2]) / 1024
    foreground: Floats = picture
    ground: Floats = picture
    for radius in (WIDE, NARROW):
        size = (max(3, round(radius * scale)),) * 2
        foreground, ground = _fuse(picture, foreground, ground, matte[..., None], size)
    return bleed(matte, (foreground * 255).astype(np.float32))


def _fuse(
    picture: Floats, foreground: Floats, ground: Floats, alpha: Floats, size: tuple[int, int]
) -> tuple[Floats, Floats]:
    """One step of the estimation: means weighted by alpha, then what is left of the picture's own detail."""

    def mean(values: Floats, weight: Floats) -> Floats:
        total: NDArray[np.float32] = cv2.blur(weight, size)[..., None]
        return cv2.blur(values * weight, size) / np.maximum(total, 1e-5)

    front, behind = mean(foreground, alpha), mean(ground, 1 - alpha)
    return (front + alpha * (picture - alpha * front - (1 - alpha) * behind)).clip(0, 1), behind

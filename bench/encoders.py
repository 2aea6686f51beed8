"""Lossless encoders on one 1024x1024 picture, one thread: seconds and bytes. Chose storage/pictures.py's PNG encoder.

python -m bench.encoders
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import cv2
import imagecodecs
import numpy as np
from PIL import Image
from skimage import data

REPEATS = 5


def photo() -> np.ndarray:
    """A photograph with a sensor's grain, uint8 [1024, 1024, 3]."""
    picture = cv2.resize(data.astronaut(), (1024, 1024), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(picture + np.random.default_rng(1).normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


def drawing() -> np.ndarray:
    """Flat shapes over a gradient, as an icon has them, uint8 [1024, 1024, 3]."""
    ramp = np.linspace(40, 220, 1024).astype(np.uint8)
    picture = np.dstack(
        [np.tile(ramp, (1024, 1)), np.tile(ramp[:, None], (1, 1024)), np.full((1024, 1024), 90, np.uint8)]
    )
    picture = np.ascontiguousarray(picture)
    cv2.circle(picture, (512, 512), 300, (200, 40, 40), -1, cv2.LINE_AA)
    return picture


def pillow(pixels: np.ndarray, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def opencv(pixels: np.ndarray, level: int) -> bytes:
    return cv2.imencode(".png", pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, level])[1].tobytes()


ENCODERS: dict[str, Callable[[np.ndarray], bytes | bytearray]] = {
    "Pillow PNG level 6": lambda p: pillow(p, "PNG", compress_level=6),
    "Pillow PNG level 1": lambda p: pillow(p, "PNG", compress_level=1),
    "OpenCV PNG level 1": lambda p: opencv(p, 1),
    "imagecodecs PNG level 1": lambda p: imagecodecs.png_encode(p, level=1),
    "imagecodecs PNG level 1, Paeth filter, RLE": lambda p: imagecodecs.png_encode(p, level=1, filter=128, strategy=3),
    "imagecodecs SPNG level 1": lambda p: imagecodecs.spng_encode(p, level=1),
    "Pillow WebP lossless, method 0": lambda p: pillow(p, "WEBP", lossless=True, quality=0, method=0),
    "imagecodecs WebP lossless, level 0": lambda p: imagecodecs.webp_encode(p, lossless=True, level=0),
    "imagecodecs JPEG XL lossless, effort 1": lambda p: imagecodecs.jpegxl_encode(
        p, lossless=True, effort=1, numthreads=1
    ),
    "imagecodecs JPEG XL lossless, effort 3": lambda p: imagecodecs.jpegxl_encode(
        p, lossless=True, effort=3, numthreads=1
    ),
}


def main() -> None:
    print(f"{'encoder':42} {'photo ms':>9} {'kB':>6} {'drawing ms':>11} {'kB':>6}")
    for name, encode in ENCODERS.items():
        row = []
        for pixels in (photo(), drawing()):
            took, size = [], 0
            for _ in range(REPEATS):
                began = time.process_time()
                size = len(encode(pixels))
                took.append(time.process_time() - began)
            row += [1000 * min(took), size / 1000]
        print(f"{name:42} {row[0]:9.1f} {row[1]:6.0f} {row[2]:11.1f} {row[3]:6.0f}")


if __name__ == "__main__":
    main()

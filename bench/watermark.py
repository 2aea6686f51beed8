"""Whether the watermark of delivered pictures is read back after what happens to pictures, and what it costs them.

    python -m bench.watermark                          scikit-image's and scikit-learn's photographs
    python -m bench.watermark .dailies/objects/images  every picture under a folder too: those that were made here

Bit error rate of the 48 bits, mean and worst picture; in how many pictures the mark is found (NEAR); PSNR of the marked
picture to the unmarked one. Resized with Lanczos, saved as JPEG by Pillow (4:2:0).
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.delivery_files import SMALLEST_MARKED
from schemas.names import count_noun
from storage.watermark import BITS, NEAR, Mark, read_mark, write_mark

Pixels = NDArray[np.uint8]

PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip


def list_photographs() -> Iterator[Path]:
    import skimage
    import sklearn

    yield from (Path(skimage.__path__[0]) / "data" / name for name in PHOTOGRAPHS)
    yield from sorted((Path(sklearn.__path__[0]) / "datasets" / "images").glob("*.jpg"))


def resave(pixels: Pixels, quality: int = 75) -> Pixels:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out).convert("RGB"))


def halve(pixels: Pixels) -> Pixels:
    picture = Image.fromarray(pixels)
    return np.asarray(picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS))


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "untouched": lambda pixels: pixels,
    "JPEG q75": resave,
    "half the size": halve,
    "half, then JPEG q75": lambda pixels: resave(halve(pixels)),
    "JPEG q50": lambda pixels: resave(pixels, 50),
}


def measure_psnr(one: Pixels, other: Pixels) -> float:
    """dB; 0..255."""
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return 10 * float(np.log10(255**2 / error))


def measure(paths: list[Path]) -> str:
    """A Markdown table. Pictures that are too small are left out."""
    reads: dict[str, list[tuple[Mark, str]]] = {name: [] for name in (*CHANGES, "(never marked)")}
    psnr = []
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        if min(pixels.shape[:2]) < SMALLEST_MARKED:
            continue
        message = hashlib.sha256(path.name.encode()).hexdigest()[:12]
        marked = write_mark(pixels, message)
        psnr.append(measure_psnr(marked, pixels))
        reads["(never marked)"].append((read_mark(pixels), message))
        for name, change in CHANGES.items():
            reads[name].append((read_mark(change(marked)), message))
    lines = [f"{count_noun(len(psnr), 'picture')}, PSNR mean {np.mean(psnr):.1f} dB, least {min(psnr):.1f} dB", ""]
    lines += ["| after | bit error rate | worst picture | found |", "|---|---|---|---|"]
    for name, marks in reads.items():
        counts = [mark.differs_by(message) for mark, message in marks]
        found = sum(mark.likeness_to(message) >= NEAR for mark, message in marks)
        lines.append(f"| {name} | {np.mean(counts) / BITS:.4f} | {max(counts)} of {BITS} | {found} of {len(counts)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print("Photographs:", measure(list(list_photographs())))
    for folder in sys.argv[1:]:
        print(
            f"\n{folder}:", measure(sorted(p for p in Path(folder).rglob("*") if p.suffix in (".png", ".webp", ".jpg")))
        )

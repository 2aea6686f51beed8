"""The watermark of a delivered picture: put in before anything else is written, read back, and looked for in a file.

Its 48 bits are the first of the image's digest, or a text of up to six letters. The mark itself: storage/watermark.py.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.delivery_files import SMALLEST_MARKED
from schemas.errors import DailiesError, ProvenanceError
from schemas.manifest import PictureReading
from schemas.settings import Limits
from storage.deep_pixels import EXR_MAGIC, open_exr
from storage.pictures import decode_kept
from storage.watermark import BITS, METHOD, Mark, read_mark, write_mark
from tasks.delivery.parcel import Parcel

Pixels = NDArray[np.uint8]

PALETTE = 256
"""Colours up to which a picture is taken for one whose exact colours matter, such as pixel art."""
CERTAIN = 0.6
"""Strength that a mark has at least when it is read back."""


def is_to_be_marked(parcel: Parcel, pixels: Pixels) -> bool:
    """Whether the manifest asks for it, and the picture has more than a palette's colours (or its asset asks)."""
    if not parcel.watermark or parcel.asset.watermark:
        return bool(parcel.watermark)
    count = pixels.shape[2]
    colours = np.zeros(pixels.shape[:2], np.uint32)
    for channel in range(count):
        colours |= pixels[..., channel].astype(np.uint32) << 8 * channel
    return len(np.unique(colours)) > PALETTE


def mark_picture(parcel: Parcel, pixels: Pixels) -> Pixels:
    """pixels: uint8 [height, width, 3 or 4] as they leave. Raises ProvenanceError where the mark does not hold."""
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_MARKED:
        raise ProvenanceError(
            f"got a watermark for {width}x{height} px; expected sides of {SMALLEST_MARKED} px or more, "
            "or `watermark: false` of its asset"
        )
    marked = write_mark(pixels, parcel.watermark)
    read = read_mark(marked)
    if read.message != parcel.watermark or read.strength < CERTAIN:
        raise ProvenanceError(
            f"its watermark does not hold: got {read.differs_by(parcel.watermark)} of 48 bits wrong at strength "
            f"{read.strength:.2f}; expected none at {CERTAIN} or more. Too much of the picture is clear or of one bare "
            "colour; `watermark: false` of its asset delivers it without"
        )
    return marked


def find_mark(data: bytes) -> Mark | None:
    """Of any picture, with or without one; None for what is no picture that can be read."""
    limits = Limits()
    try:
        if data[:4] == EXR_MAGIC:
            opened = open_exr(data, PictureReading(), limits)
            alpha = () if opened.alpha is None else (opened.alpha[..., None],)
            return read_mark(np.concatenate([opened.rgb, *alpha], axis=-1))
        return read_mark(decode_kept(_without_tga(data, limits), limits=limits))
    except (DailiesError, OSError, ValueError):
        return None


def _without_tga(data: bytes, limits: Limits) -> bytes:
    """A TGA as a PNG; everything else as it is. TGA has no header by which it is known."""
    if not data.endswith(b"TRUEVISION-XFILE.\0"):
        return data
    with Image.open(io.BytesIO(data), formats=("TGA",)) as picture:
        if picture.width * picture.height > limits.source_pixels:
            return b""
        out = io.BytesIO()
        picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def read_text(message: str) -> str:
    """The letters of a message; "" where it is a digest's."""
    letters = bytes.fromhex(message).rstrip(b"\0")
    return letters.decode() if letters and all(32 < letter < 127 for letter in letters) else ""


def describe_mark(watermark: str) -> dict[str, object]:
    """For the JSON beside the picture. `watermark`: the message that is in it, if one is."""
    if not watermark:
        return {"in_picture": False, "why": f"it has {PALETTE} colours or fewer, which may be exact"}
    return {"in_picture": True, "message": watermark, "text": read_text(watermark), "bits": BITS, "method": METHOD}

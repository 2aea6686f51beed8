"""Which image of the ledger a picture file is, by its bytes, its metadata or its watermark. Nothing of it is kept.

A file is read within `Limits` before anything of it is decoded. What it says of itself is a claim, which anybody can
write: `Recognized.is_alike` tells whether the picture resembles that image.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from schemas.errors import InputError
from schemas.likeness import distance
from schemas.manifest import PictureReading
from schemas.records import Delivery, Image
from schemas.settings import Limits
from storage.conversion import open_artwork
from storage.ledger import Ledger
from storage.perceptual_hash import compute_hash
from storage.pictures import JXL_HEADER, JXL_STREAM, PNG_HEADER, decode, make_preview, read_spec
from storage.provenance import read_credentials
from storage.watermark import BITS, Mark, read_mark

SIGNED = {
    PNG_HEADER[:3]: "image/png", b"RIF": "image/webp", JXL_HEADER[:3]: "image/jxl", b"\xff\xd8\xff": "image/jpeg",
    b"II*": "image/tiff", b"MM\0": "image/tiff",
}  # fmt: skip
"""First three bytes -> media type, of files that may hold a C2PA manifest."""
PREVIEW = 192
"""px, longest side."""


class Trace(StrEnum):
    """What led to the image."""

    BYTES = "bytes"
    CREDENTIALS = "credentials"
    METADATA = "metadata"
    WATERMARK = "watermark"


@dataclass(frozen=True)
class Recognized:
    image: str
    trace: Trace
    is_alike: bool
    """By its perceptual hash; True where the image has none."""


@dataclass(frozen=True)
class Uploaded:
    """What a search needs of a picture. Its pixels are gone by then, but for a small preview."""

    phash: str
    preview: bytes
    """WebP."""
    recognized: Recognized | None = None
    vector: NDArray[np.float32] | None = None
    """By the studio's model for searching, where there is one."""


def open_upload(data: bytes, limits: Limits) -> NDArray[np.uint8]:
    """uint8 [height, width, 3], upright and sRGB, transparent places on white. Raises InputError."""
    if len(data) > limits.source_bytes:
        raise InputError(f"got {len(data):,} bytes; expected a picture of at most {limits.source_bytes:,} bytes")
    if data[:2] == JXL_STREAM or data[:12] == JXL_HEADER:
        return decode(data, limits=limits)
    try:
        artwork = open_artwork(data, reading=PictureReading(), limits=limits)
    except InputError as wrong:
        raise InputError(f"{wrong}; expected a picture of at most {limits.source_pixels:,} pixels") from None
    if artwork.alpha is None:
        return artwork.rgb
    share = artwork.alpha[..., None] / np.float32(255)
    return np.rint(artwork.rgb * share + 255 * (1 - share)).astype(np.uint8)


def examine_upload(
    data: bytes,
    *,
    ledger: Ledger,
    limits: Limits,
    encode: Callable[[NDArray[np.uint8]], NDArray[np.float32] | None] = lambda pixels: None,
) -> Uploaded:
    """Everything that a search asks of it. `encode`: the model for searching. Raises InputError for what is no picture,
    or too large."""
    pixels = open_upload(data, limits)
    phash = compute_hash(pixels)
    recognized = recognize(data, pixels, ledger, phash=phash)
    return Uploaded(phash, make_preview(pixels, PREVIEW), recognized, encode(pixels))


def recognize(data: bytes, pixels: NDArray[np.uint8], ledger: Ledger, *, phash: str) -> Recognized | None:
    """The image that this file is, or says it is: the surest trace first. `phash`: of `pixels`."""
    for trace, image in _list_traces(data, pixels, ledger):
        found = ledger.pictures([image]).get(image)
        if found is not None:
            own = found.image.phash
            return Recognized(image, trace, trace is Trace.BYTES or not own or distance(phash, own) <= 1)
    return None


def _list_traces(data: bytes, pixels: NDArray[np.uint8], ledger: Ledger) -> Iterator[tuple[Trace, str]]:
    with ledger.reading() as session:
        same = session.scalars(select(Image.digest).where(Image.sha256 == hashlib.sha256(data).hexdigest())).first()
    if same is not None:
        yield Trace.BYTES, same
    media_type = SIGNED.get(data[:3])
    credentials = read_credentials(data, media_type=media_type) if media_type else None
    if credentials is not None and credentials.is_sound:
        yield Trace.CREDENTIALS, str(credentials.image.get("digest", ""))
    with contextlib.suppress(InputError):  # most pictures carry none
        yield Trace.METADATA, read_spec(data).digest
    if (marked := _find_marked(read_mark(pixels), ledger)) is not None:
        yield Trace.WATERMARK, marked


def _find_marked(mark: Mark, ledger: Ledger) -> str | None:
    """The delivered image whose digest begins as the mark says, up to some wrong bits; None where none is near, and for
    a mark that is a text of the studio's, which many images have."""
    with ledger.reading() as session:
        images = list(session.scalars(select(Delivery.image).order_by(Delivery.image)))
    starts = {image[: BITS // 4]: image for image in reversed(images)}
    nearest = mark.find_nearest(starts)
    return starts[nearest] if nearest is not None else None

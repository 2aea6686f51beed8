"""An uploaded picture leads to its image by its bytes, credentials, metadata or watermark, and says when it cannot."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from checks.likeness import compute_perceptual_hash
from models.studio_tiny.draw import draw
from schemas.errors import InputError
from schemas.likeness import difference
from schemas.settings import Limits
from storage.perceptual_hash import compute_hash
from storage.pictures import encode
from storage.provenance import make_authority, open_signer
from storage.recognition import Trace, Uploaded, examine_upload
from tasks.delivery.signing import Signing
from tests.checks.pictures import PHOTOS, photo
from tests.conftest import Stack
from tests.storage.test_watermark import paint
from tests.tasks.test_marks import SIDE, leave, marked_spec, strip


def examine(stack: Stack, data: bytes) -> Uploaded:
    return examine_upload(data, ledger=stack.ledger, limits=stack.settings.limits)


def found(stack: Stack, data: bytes) -> tuple[str, Trace] | None:
    recognized = examine(stack, data).recognized
    return (recognized.image, recognized.trace) if recognized else None


def test_each_trace_leads_to_the_image(local_stack: Stack, tmp_path: Path) -> None:
    make_authority(tmp_path, studio="Potion Shop")
    signing = Signing(open_signer(certificate=None, key=None, home=tmp_path), is_required=True)
    names = leave(local_stack, range(1, 4), signing=signing)
    image = marked_spec(1).digest
    name = next(name for name in names if "S1" in name)
    delivered = local_stack.store.get(f"delivery/{name}")
    made = encode(paint(1, SIDE, SIDE), marked_spec(1), image_format="png").data
    assert found(local_stack, made) == (image, Trace.BYTES)
    assert found(local_stack, delivered) == (image, Trace.CREDENTIALS)
    touched = encode(paint(1, SIDE, SIDE)[::-1].copy(), marked_spec(1), image_format="webp").data
    assert found(local_stack, touched) == (image, Trace.METADATA)
    for copy in (strip(delivered), strip(delivered, part=0.7), strip(delivered, form="PNG")):
        assert found(local_stack, copy) == (image, Trace.WATERMARK)
    other = encode(paint(99, SIDE, SIDE), marked_spec(99), image_format="png").data
    assert found(local_stack, other) is None and found(local_stack, strip(other)) is None
    looks = examine(local_stack, strip(other))
    preview = Image.open(io.BytesIO(looks.preview))
    assert preview.format == "WEBP" and max(preview.size) == SIDE and len(looks.phash) == 54


def test_a_claim_that_does_not_fit_the_picture_is_said(local_stack: Stack) -> None:
    from tests import making

    one = marked_spec(1)
    making.planned(local_stack.ledger, [one])
    image = making.an_image(one, phash=compute_perceptual_hash(photo("coffee")))
    local_stack.ledger.keep_many([making.a_keeping(one, image=image)])
    for pixels, is_alike in ((photo("coffee"), True), (photo("rocket"), False)):
        recognized = examine(local_stack, encode(pixels, one).data).recognized
        assert recognized is not None and recognized.trace is Trace.METADATA and recognized.is_alike is is_alike


def test_the_hash_is_the_checks_hash() -> None:
    """But for rounding, and for drawings of a few flat colours, whose lower frequencies are nought."""
    pictures = [photo(name) for name in PHOTOS] + [photo(name)[:301, :517] for name in PHOTOS]
    pictures += [draw(seed, size=size).image for seed in range(6) for size in (64, 96, 512)]
    away = [difference(compute_perceptual_hash(picture), compute_hash(picture)) for picture in pictures]
    assert max(bits for bits, _ in away) <= 4 and max(steps for _, steps in away) <= 3
    assert sum(one == (0, 0) for one in away) > len(away) / 2


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


WHOLE = encode(photo("coffee"), marked_spec(1)).data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is no picture that can be read"),
        (b"<svg onload=alert(1)>", "it is no picture that can be read"),
        (b"PK\x03\x04" + bytes(100), "it is no picture that can be read"),
        (WHOLE[: len(WHOLE) // 2], "it is no picture that can be read"),
        (png_claiming(60_000, 60_000), "it has too many pixels"),
        (png_claiming(9_000, 9_000), "it has 9000x9000 pixels; expected a picture of at most 64,000,000 pixels"),
        (b"v/1\x01" + bytes(60), "it is no picture that can be read"),
        (b"II*\0" + bytes(60), "it is no picture that can be read"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(40), "it is no picture that can be read"),
    ],
    ids=("empty", "svg", "zip", "cut off", "bomb", "large", "exr", "tiff", "jxl", "webp"),
)  # fmt: skip
def test_hostile_files_are_refused_in_words(local_stack: Stack, data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        examine(local_stack, data)


def test_a_large_file_is_not_opened(local_stack: Stack) -> None:
    with pytest.raises(InputError, match=r"got 400,000 bytes; expected a picture of at most 1,000 bytes"):
        examine_upload(bytes(400_000), ledger=local_stack.ledger, limits=Limits(source_bytes=1000))


def test_transparent_places_are_compared_on_white(local_stack: Stack) -> None:
    pixels = np.dstack([np.zeros((96, 96, 3), np.uint8), np.zeros((96, 96), np.uint8)])
    out = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(out, "PNG")
    white = io.BytesIO()
    Image.new("RGB", (96, 96), "white").save(white, "PNG")
    assert examine(local_stack, out.getvalue()).phash == examine(local_stack, white.getvalue()).phash

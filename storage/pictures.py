"""Pixels <-> files: encoders, previews, and a decoder that looks at a picture's size before it decodes anything.

Every file says where it came from, in words that other tools read as well:
  * PNG: `parameters` (A1111's text), `dailies` (the whole spec) and an XMP packet with IPTC's DigitalSourceType, each
    a text chunk before the pixels.
  * WebP and JPEG XL have no text chunks: the same three are EXIF's UserComment (where A1111 itself puts its text in
    a WebP) and the XMP packet, whose `dailies:spec` is the whole spec.
All formats are lossless: what is decoded is what was made. Colour profiles are not converted; pixels are sRGB.
bench/encoders.py measured the encoders.
"""

from __future__ import annotations

import importlib
import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from schemas.errors import InputError, SettingsError
from schemas.settings import ImageFormat, Limits
from schemas.spec import ImageSpec
from storage.image_metadata import make_parameters_text, make_snippet, make_spec_text, make_xmp_packet

__all__ = [
    "Encoded",
    "decode",
    "decode_kept",
    "encode",
    "make_parameters_text",
    "make_preview",
    "make_snippet",
    "read_spec",
]

Picture = NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
"""Pillow's names of what is decoded; JPEG XL beside them, where imagecodecs is installed."""

PNG_HEADER = b"\x89PNG\r\n\x1a\n"
JXL_HEADER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
JXL_STREAM = b"\xff\x0a"
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, and what they are."""

    data: bytes
    media_type: str
    extension: str


def encode(
    pixels: Picture,
    spec: ImageSpec,
    *,
    image_format: ImageFormat = "png",
    ground: tuple[int, int, int] | None = None,
    architecture: str = "sdxl",
) -> Encoded:
    """uint8 [height, width, 3], or 4 with straight alpha -> a lossless file that carries its spec.

    `ground`: RGB levels on which a PNG with alpha is laid where it is read without (`bKGD`); else white.
    `architecture`: the checkpoint's, by which A1111's text counts `Clip skip`.
    SettingsError for jxl without imagecodecs.
    """
    if image_format == "webp":
        exif, xmp = make_exif(spec, architecture), make_xmp_packet(spec, with_spec=True)
        return Encoded(
            _saved(pixels, "WEBP", lossless=True, quality=0, method=0, exact=True, exif=exif, xmp=xmp),
            "image/webp",
            "webp",
        )
    codecs = import_imagecodecs()
    if image_format == "jxl":
        if codecs is None:
            raise SettingsError("image_format jxl needs imagecodecs, which the [generate] install brings")
        stream = codecs.jpegxl_encode(_plain(pixels), lossless=True, effort=1, numthreads=1)
        return Encoded(_jxl_file(stream, spec, architecture), "image/jxl", "jxl")
    if codecs is None:  # the light install; it makes no images, and re-encodes few
        data = _saved(pixels, "PNG", compress_level=1)
    else:  # Paeth and run lengths: twice as fast as OpenCV's level 1 on a photograph, and smaller
        data = codecs.png_encode(
            _plain(pixels), level=1, filter=codecs.PNG.FILTER.PAETH, strategy=codecs.PNG.STRATEGY.RLE
        )
    return Encoded(_with_texts(data, spec, architecture, ground=ground), "image/png", "png")


def make_preview(pixels: Picture, longest: int) -> bytes:
    """WebP of uint8 [height, width, 3 or 4], its longest side at most `longest` px; never enlarged."""
    picture = Image.fromarray(_plain(pixels))
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=85, method=2)
    return out.getvalue()


def decode(data: bytes, *, limits: Limits) -> Picture:
    """uint8 [height, width, 3] of a PNG, JPEG, WebP, TIFF, BMP or JPEG XL; the first frame of several.

    Bytes and pixels are held against `limits` before anything is decoded. Turned as its EXIF says; grey becomes three
    channels, 16 bits become 8, transparent places are laid on the ground that a PNG names, else on white.
    Raises InputError.
    """
    if len(data) > limits.source_bytes:
        raise InputError(f"got a picture of {len(data)} bytes; expected at most {limits.source_bytes}")
    if data[:2] == JXL_STREAM or data[:12] == JXL_HEADER:
        return _decode_jxl(data, limits)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _hold(picture.size, limits)
            return _rgb(ImageOps.exif_transpose(picture), ground=_png_ground(data))
    except InputError:
        raise
    except Exception as wrong:  # Pillow raises a dozen kinds for what it cannot read
        allowed = ", ".join(FORMATS)
        raise InputError(
            f"this is no picture that can be read ({type(wrong).__name__}: {wrong}); expected {allowed}"
        ) from None


def decode_kept(data: bytes, *, limits: Limits) -> Picture:
    """uint8 [height, width, 3], or 4 with straight alpha, of a file that `encode` wrote. Raises InputError."""
    if len(data) > limits.source_bytes:
        raise InputError(f"got a picture of {len(data)} bytes; expected at most {limits.source_bytes}")
    if data[:12] == JXL_HEADER and (codecs := import_imagecodecs()) is not None:
        _hold(_jxl_size(data), limits)
        pixels = np.asarray(codecs.jpegxl_decode(data, index=0, numthreads=1))
        return np.ascontiguousarray(pixels)
    if data[:8] == PNG_HEADER or data[:4] == b"RIFF":
        with Image.open(io.BytesIO(data), formats=("PNG", "WEBP")) as picture:
            _hold(picture.size, limits)
            if picture.mode == "RGBA":
                return np.array(picture)
    return decode(data, limits=limits)


def read_spec(data: bytes) -> ImageSpec:
    """The spec that a file of ours carries, whatever its format; no pixel is decoded. InputError when it has none."""
    text: str | None = None
    try:
        if data[:12] == JXL_HEADER:
            text = _spec_in_xmp(next((body for kind, body in jxl_boxes(data) if kind == b"xml "), b""))
        else:
            with Image.open(io.BytesIO(data), formats=("PNG", "WEBP")) as picture:
                text = picture.info.get("dailies") or _spec_in_xmp(picture.info.get("xmp", b""))
        if text:
            return ImageSpec.model_validate_json(text)
    except Exception as wrong:
        raise InputError(f"this file's spec cannot be read: {type(wrong).__name__}: {wrong}") from None
    raise InputError("this file carries no spec of Dailies; PNG, WebP and JPEG XL files that Dailies wrote do")


def _rgb(picture: Image.Image, *, ground: tuple[int, int, int] = (255, 255, 255)) -> Picture:
    if picture.mode.startswith("I") or picture.mode == "F":  # Pillow would cut off at 255 instead of scaling
        values = np.asarray(picture, np.float64)
        top = 65535.0 if picture.mode.startswith("I") else 1.0
        grey = np.clip(values * (255.0 / top) + 0.5, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, (*ground, 255)), rgba)
    return np.array(picture.convert("RGB"))


def _hold(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.source_pixels:
        raise InputError(f"got a picture of {width}x{height} pixels; expected at most {limits.source_pixels} pixels")


def _plain(pixels: Picture) -> Picture:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ValueError(f"got {pixels.dtype} {list(pixels.shape)}; expected uint8 [height, width, 3 or 4]")
    return np.ascontiguousarray(pixels)


def _saved(pixels: Picture, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(_plain(pixels)).save(out, form, **options)
    return out.getvalue()


def import_imagecodecs() -> Any:
    """None in the light install."""
    try:
        return importlib.import_module("imagecodecs")
    except ImportError:
        return None


def _png_ground(data: bytes) -> tuple[int, int, int]:
    """The background colour of a PNG of 8-bit RGB (PNG 1.2, 11.3.5.1), which stands before its pixels; else white."""
    at = len(PNG_HEADER)
    while data[: len(PNG_HEADER)] == PNG_HEADER and at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"bKGD" and size == 6 and data[24] == 8:
            return data[at + 9], data[at + 11], data[at + 13]
        if kind == b"IDAT":
            break
        at += 12 + size
    return 255, 255, 255


def _with_texts(data: bytes, spec: ImageSpec, architecture: str, *, ground: tuple[int, int, int] | None) -> bytes:
    """Text chunks right after IHDR (PNG 1.2, 11.3.4): Latin-1 as tEXt, as every reader knows it, the rest as iTXt."""
    texts = {
        "parameters": make_parameters_text(spec, architecture=architecture),
        "dailies": make_spec_text(spec),
        "XML:com.adobe.xmp": make_xmp_packet(spec).decode(),
    }
    chunks = b"".join(make_text_chunk(name, text) for name, text in texts.items())
    if ground is not None:
        chunks += _chunk(b"bKGD", struct.pack(">3H", *ground))
    ihdr_end = len(PNG_HEADER) + 25
    return data[:ihdr_end] + chunks + data[ihdr_end:]


def make_text_chunk(name: str, text: str) -> bytes:
    try:
        if name.startswith("XML:"):  # XMP must be iTXt
            raise UnicodeError
        kind, body = b"tEXt", name.encode("latin-1") + b"\0" + text.encode("latin-1")
    except UnicodeError:
        kind, body = b"iTXt", name.encode("latin-1") + b"\0\0\0\0\0" + text.encode()
    return _chunk(kind, body)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def make_exif(spec: ImageSpec, architecture: str = "sdxl") -> bytes:
    exif = Image.Exif()
    text = make_parameters_text(spec, architecture=architecture)
    exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be")
    return exif.tobytes()


def _spec_in_xmp(packet: bytes | str) -> str | None:
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else packet
    found = re.search(r"<dailies:spec>(.*?)</dailies:spec>", text, re.DOTALL)
    return unescape(found[1]) if found else None


# JPEG XL (ISO/IEC 18181-2): a codestream in ISO base media boxes, which can hold EXIF and XMP.


def _jxl_file(stream: bytes, spec: ImageSpec, architecture: str) -> bytes:
    return jxl_container(stream, exif=make_exif(spec, architecture), xmp=make_xmp_packet(spec, with_spec=True))


def jxl_container(stream: bytes, *, exif: bytes | None, xmp: bytes) -> bytes:
    boxes = [(b"ftyp", b"jxl \0\0\0\0jxl ")]
    if exif is not None:
        boxes.append((b"Exif", b"\0\0\0\0" + exif.removeprefix(b"Exif\0\0")))
    boxes += [(b"xml ", xmp), (b"jxlc", stream)]
    return JXL_HEADER + b"".join(struct.pack(">I", 8 + len(body)) + kind + body for kind, body in boxes)


def jxl_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            size, start = struct.unpack_from(">Q", data, start)[0], start + 8
        end = at + size if size else len(data)
        if end < start:
            return
        yield kind, data[start:end]
        at = end


def _decode_jxl(data: bytes, limits: Limits) -> Picture:
    codecs = import_imagecodecs()
    if codecs is None:
        raise InputError("got a JPEG XL picture; reading one needs imagecodecs, which the [generate] install brings")
    try:
        _hold(_jxl_size(data), limits)
        pixels = np.asarray(codecs.jpegxl_decode(data, index=0, numthreads=1))
        if pixels.dtype != np.uint8:
            pixels = (pixels / (65535.0 if pixels.dtype == np.uint16 else 1.0) * 255 + 0.5).astype(np.uint8)
        return _rgb(Image.fromarray(pixels))
    except (codecs.JpegxlError, struct.error, ValueError, IndexError, TypeError) as wrong:
        raise InputError(f"this JPEG XL picture cannot be read ({type(wrong).__name__}: {wrong})") from None


def _jxl_size(data: bytes) -> tuple[int, int]:
    """(width, height) from the codestream's SizeHeader (ISO/IEC 18181-1, 9.2), without decoding."""
    stream = data
    if data[:2] != JXL_STREAM:
        stream = next((b if k == b"jxlc" else b[4:] for k, b in jxl_boxes(data) if k in (b"jxlc", b"jxlp")), b"")
    if stream[:2] != JXL_STREAM:
        raise ValueError("no codestream")
    bits, at = int.from_bytes(stream[2:18], "little"), 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return bits >> (at - count) & (1 << count) - 1

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = take(3)
    over, under = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio]
    return (height * over // under if ratio else side()), height

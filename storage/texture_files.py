"""Pictures and maps in the files of engines and compositors: PNG of 16 bits, TIFF, TGA, OpenEXR (half).

Each carries words that say what it is: text chunks (PNG), an XMP tag (TIFF), the image identification field (TGA,
Truevision TGA 2.0), attributes (OpenEXR). The same values give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.delivery_files import MapFormat
from schemas.errors import SettingsError
from storage.pictures import PNG_HEADER, Encoded, import_imagecodecs, make_text_chunk

TGA_LABEL = 255
"""Bytes that a TGA has for words."""


def encode_map(values: NDArray[np.float64], *, form: MapFormat, bits: int, texts: Mapping[str, str]) -> Encoded:
    """values: [height, width] or [height, width, 3 or 4] in 0..1, written as they are (no curve).

    `bits` of a `png`: 8 or 16. `texts`: name -> words; a TGA has room for the first. SettingsError for 16 bits in
    several channels without imagecodecs.
    """
    if form == "exr":
        return _exr(values, texts)
    if form == "tga":
        return encode_tga(to_levels(values, 8).astype(np.uint8), label=next(iter(texts.values())))
    levels = to_levels(values, 16 if form == "png16" else bits)
    if levels.dtype == np.uint8 or levels.ndim == 2:
        data = _saved(levels, "PNG", compress_level=6)
    elif (codecs := import_imagecodecs()) is not None:
        data = codecs.png_encode(levels, level=6)
    else:
        raise SettingsError("maps of 16 bits in several channels need imagecodecs, of the [generate] install")
    return _with_texts(data, texts)


def encode_png(pixels: NDArray[np.uint8], *, texts: Mapping[str, str]) -> Encoded:
    """uint8 [height, width, 3 or 4]."""
    return _with_texts(_saved(pixels, "PNG", compress_level=6), texts)


def _with_texts(data: bytes, texts: Mapping[str, str]) -> Encoded:
    chunks = b"".join(make_text_chunk(name, text) for name, text in texts.items())
    ihdr_end = len(PNG_HEADER) + 25
    return Encoded(data[:ihdr_end] + chunks + data[ihdr_end:], "image/png", "png")


def encode_tiff(pixels: NDArray[np.uint8], *, xmp: bytes, description: str, is_premultiplied: bool) -> Encoded:
    """uint8 [height, width, 3 or 4]; deflate. Tag 700 is XMP, 270 the description (TIFF 6.0; ISO 16684-3)."""
    import tifffile

    out = io.BytesIO()
    alpha = ("assocalpha" if is_premultiplied else "unassalpha",) if pixels.shape[2] == 4 else None
    tifffile.imwrite(
        out, pixels,
        photometric="rgb", compression="zlib", extrasamples=alpha, metadata=None, software=False,
        description=description or None, extratags=[(700, 1, len(xmp), xmp, True)],
    )  # fmt: skip
    return Encoded(out.getvalue(), "image/tiff", "tiff")


def encode_tga(levels: NDArray[np.uint8], *, label: str) -> Encoded:
    """uint8 [height, width] or [height, width, 3 or 4]; run lengths."""
    words = label.encode("ascii", "replace")[:TGA_LABEL]
    return Encoded(_saved(levels, "TGA", compression="tga_rle", id_section=words), "image/x-tga", "tga")


def encode_exr(pixels: NDArray[np.uint8], *, texts: Mapping[str, str]) -> Encoded:
    """uint8 sRGB, with straight alpha if 4 channels -> linear Rec. 709 in half floats, alpha associated as OpenEXR
    has it."""
    values = pixels.astype(np.float64) / 255
    colour = values[..., :3]
    light = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    if pixels.shape[2] == 4:
        light = np.concatenate([light * values[..., 3:], values[..., 3:]], axis=-1)
    return _exr(light, texts)


def to_levels(values: NDArray[np.float64], bits: int) -> NDArray[Any]:
    top = 2**bits - 1
    return np.round(values.clip(0, 1) * top).astype(np.uint8 if bits == 8 else np.uint16)


def _exr(values: NDArray[np.float64], texts: Mapping[str, str]) -> Encoded:
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    names = {2: "Y"}.get(values.ndim) or "RGBA"[: values.shape[2]]
    out = io.BytesIO()
    half = np.ascontiguousarray(values.astype(np.float16))
    OpenEXR.File(header | dict(texts), {names: half}).write(out)
    return Encoded(out.getvalue(), "image/x-exr", "exr")


def _saved(levels: NDArray[Any], form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(levels).save(out, form, **options)
    return out.getvalue()

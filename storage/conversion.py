"""A picture as an artist has it -> 8-bit sRGB without alpha, or a mask; and sentences on what was changed.

The rules, in the order in which they are applied:
  * the first frame of several; turned as EXIF says, before anything asks for its size;
  * more than 8 bits: 16-bit levels of 0..65535 become 0..255. 32-bit integers and floats have no such range, so theirs
    is read from the values: 0..1 (floats), 0..255, 0..65535, else from the least to the greatest;
  * an ICC profile is converted to sRGB (littlecms, relative colorimetric with black point compensation);
  * OpenEXR is linear light of Rec. 709 primaries: `exposure` stops, cut to 0..1, then the sRGB curve (`view: standard`)
    or none (`view: raw`, for conditions and other data);
  * alpha is composited on the ground that the manifest states: of sRGB levels, of linear light in OpenEXR;
  * a mask is alpha x luminance (Rec. 601), on no ground.
What cannot be read by these rules is refused. Reads no more pixels and bytes than `Limits` allow.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.errors import InputError
from schemas.manifest import PictureReading
from schemas.rules.imports import MADE_BY_A_MODEL
from schemas.settings import Limits
from schemas.spec import DigitalSource
from storage.artwork import Artwork, Levels, check_size, open_with_pillow
from storage.deep_pixels import EXR_MAGIC, TIFF_MAGIC, open_deep_tiff, open_exr, to_display
from storage.formats import FORMATS
from storage.pictures import decode, decode_kept

_SOURCE_TYPE = re.compile(rb"cv\.iptc\.org/newscodes/digitalsourcetype/([A-Za-z]{5,40})")
SHOWN = tuple(FORMATS[name] for name in ("PNG", "JPEG", "WEBP"))
"""What every browser shows."""
GROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0)}


@dataclass(frozen=True)
class Converted:
    """`data` replaces the file where its own bytes would be read as something else; None: they stay."""

    width: int
    height: int
    media: tuple[str, str]
    data: bytes | None = None
    remarks: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    """What is allowed and hardly meant."""
    digital_source: DigitalSource | None = None
    """What the file says of how it was made."""


def open_artwork(data: bytes, *, reading: PictureReading, limits: Limits) -> Artwork:
    """Raises InputError, which completes "came 'x': ...", for what cannot be read."""
    try:
        if data[:4] == EXR_MAGIC:
            return open_exr(data, reading, limits)
        if data[:4] in TIFF_MAGIC and (deep := open_deep_tiff(data, limits)) is not None:
            return deep
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            opened = Image.open(io.BytesIO(data), formats=tuple(name for name in FORMATS if name != "EXR"))
        with opened as picture:
            check_size(picture.size, limits)
            return open_with_pillow(picture)
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError("it has too many pixels") from None
    except Exception as wrong:  # Pillow, tifffile and OpenEXR raise a dozen kinds for what they cannot read
        raise InputError(f"it is no picture that can be read ({type(wrong).__name__})") from None


def convert_source(data: bytes, artwork: Artwork, *, reading: PictureReading, limits: Limits) -> Converted:
    """The picture to start from, or to follow."""
    pixels, remarks = _composite(artwork, reading)
    width, height = artwork.size
    if artwork.plain or _reads_the_same(data, pixels, limits, most=1):
        return Converted(width, height, artwork.media, remarks=remarks)
    return Converted(width, height, FORMATS["PNG"], _png(pixels), remarks)


def convert_background(artwork: Artwork) -> Converted:
    """The picture that stands behind others on a page: a PNG, JPEG or WebP of 8 bits in sRGB stays, anything else
    becomes a PNG. Alpha stays."""
    width, height = artwork.size
    if artwork.media in SHOWN and not artwork.remarks:
        return Converted(width, height, artwork.media)
    pixels = artwork.rgb if artwork.alpha is None else np.dstack([artwork.rgb, artwork.alpha])
    remarks = (*artwork.remarks, f"the background is a PNG of this {artwork.media[0]}, which is kept beside it")
    return Converted(width, height, FORMATS["PNG"], _png(pixels), remarks)


def convert_mask(data: bytes, artwork: Artwork, *, limits: Limits) -> Converted:
    """White where to paint: alpha x luminance."""
    luminance = np.asarray(Image.fromarray(artwork.rgb).convert("L"))
    width, height = artwork.size
    remarks, doubts = artwork.remarks, tuple[str, ...]()
    if artwork.alpha is not None:
        luminance = np.rint(luminance * (artwork.alpha / 255.0)).astype(np.uint8)
    if artwork.alpha is not None and not artwork.alpha.any():
        doubts = ("all of the mask is transparent: nothing would be painted",)
    elif not (luminance > 127).any():
        doubts = ("the mask is black everywhere: nothing would be painted",)
    elif (luminance > 127).all():
        doubts = ("the mask is white everywhere: the whole picture would be painted",)
    if _reads_the_same(data, np.repeat(luminance[..., None], 3, axis=2), limits, most=0):
        return Converted(width, height, artwork.media, remarks=remarks, doubts=doubts)
    remarks = (*remarks, "read as alpha x luminance")
    return Converted(width, height, FORMATS["PNG"], _png(luminance), remarks, doubts)


def convert_import(data: bytes, artwork: Artwork, *, limits: Limits) -> Converted:
    """The picture that becomes an image: a PNG or a WebP of 8 bits in sRGB stays, anything else becomes a PNG. Alpha
    stays, and so does what the file says of how it was made."""
    pixels = artwork.rgb if artwork.alpha is None else np.dstack([artwork.rgb, artwork.alpha])
    width, height = artwork.size
    source = find_digital_source_type(data)
    if artwork.media in (FORMATS["PNG"], FORMATS["WEBP"]) and not artwork.remarks and _is_kept_so(data, pixels, limits):
        return Converted(width, height, artwork.media, digital_source=source)
    remarks = (*artwork.remarks, f"the image is a PNG of this {artwork.media[0]}, which is kept beside it")
    return Converted(width, height, FORMATS["PNG"], _png(pixels), remarks, digital_source=source)


def find_digital_source_type(data: bytes) -> DigitalSource | None:
    """From XMP or C2PA, wherever in the file: IPTC's words are URIs, which both write out. Where several stand there
    (a C2PA manifest names those of ingredients too), a model's part in it counts most."""
    found = {word.decode() for word in _SOURCE_TYPE.findall(data)}
    known = [name for name in get_args(DigitalSource) if name in found]
    return next((name for name in MADE_BY_A_MODEL if name in known), known[0] if known else None)


def _is_kept_so(data: bytes, pixels: Levels, limits: Limits) -> bool:
    """Whether storage/pictures.decode_kept, which reads images, gives these very pixels."""
    try:
        read = decode_kept(data, limits=limits)
    except InputError:
        return False
    if read.shape[2] == 4 and pixels.shape[2] == 3 and (read[..., 3] == 255).all():
        read = read[..., :3]
    return np.array_equal(read, pixels)


def _composite(artwork: Artwork, reading: PictureReading) -> tuple[Levels, tuple[str, ...]]:
    if artwork.alpha is None:
        return artwork.rgb, artwork.remarks
    ground = GROUNDS.get(reading.on) or _edge_colour(artwork.rgb, artwork.alpha)
    said = f"its alpha was composited on {reading.on}, #{ground[0]:02x}{ground[1]:02x}{ground[2]:02x}"
    if artwork.linear is not None:
        base = (_linear(ground) if reading.view == "standard" else np.asarray(ground) / 255).astype(np.float32)
        clear = 1 - artwork.alpha[..., None].astype(np.float32) / 255
        return to_display(artwork.linear + base * clear, reading), (*artwork.remarks, said)
    rgba = Image.fromarray(np.dstack([artwork.rgb, artwork.alpha]))
    laid = Image.alpha_composite(Image.new("RGBA", rgba.size, (*ground, 255)), rgba)
    return np.array(laid.convert("RGB")), (*artwork.remarks, said)


def _linear(colour: tuple[int, int, int]) -> NDArray[np.float64]:
    """IEC 61966-2-1, from sRGB levels to linear light."""
    share = np.asarray(colour) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _edge_colour(rgb: Levels, alpha: Levels) -> tuple[int, int, int]:
    """The median colour of the opaque pixels beside transparent ones; white where there are none."""
    solid = alpha > 127
    inner = np.pad(solid, 1, constant_values=True)
    inner = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    edge = rgb[solid & ~inner]
    red, green, blue = np.median(edge, axis=0).astype(int) if len(edge) else (255, 255, 255)
    return int(red), int(green), int(blue)


def _reads_the_same(data: bytes, pixels: Levels, limits: Limits, *, most: int) -> bool:
    """Whether storage/pictures.decode, which reads pictures at night, gives these pixels from the file's own bytes."""
    if data[:4] == EXR_MAGIC:
        return False
    try:
        read = decode(data, limits=limits)
    except InputError:
        return False
    return read.shape == pixels.shape and np.abs(read.astype(np.int16) - pixels).max(initial=0) <= most


def _png(pixels: Levels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()

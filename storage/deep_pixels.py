"""What Pillow does not read in full: OpenEXR, and TIFFs of floats, of 32 bits, or of 16 bits in several channels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InputError
from schemas.manifest import PictureReading
from schemas.settings import Limits
from storage.artwork import Artwork, Levels, check_size, make_artwork, scale_to_levels
from storage.formats import FORMATS

EXR_MAGIC = b"v/1\x01"
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_deep_tiff(data: bytes, limits: Limits) -> Artwork | None:
    """TIFFs of more than 8 bits in several channels, of 32 bits, and of floats; None for what Pillow reads well."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        bits, form = page.bitspersample, int(page.sampleformat or 1)
        if (bits <= 8 and form == 1) or (bits == 16 and form == 1 and page.samplesperpixel == 1):
            return None
        if form not in (1, 2, 3):
            raise InputError(f"its samples are of TIFF's format {form}; save it as 8 or 16 bits, or as floats")
        check_size((page.imagewidth, page.imagelength), limits)
        frames = len(file.pages)
        try:
            values = page.asarray()
        except Exception as wrong:  # imagecodecs, which most compressions need, comes with [generate] only
            raise InputError(f"its TIFF pixels cannot be unpacked ({wrong})"[:300]) from None
        kept, photometric = page.tags, int(page.photometric)
        profile, orientation = page.iccprofile, int(kept[274].value) if 274 in kept else 1
        extra = tuple(int(kind) for kind in page.extrasamples or ())
        if page.planarconfig == 2 and values.ndim == 3:
            values = np.moveaxis(values, 0, -1)
    colours = (values.ndim == 3 and values.shape[2] - len(extra)) or 1
    if photometric not in (0, 1, 2, 5) or colours not in (1, 3, 4) or values.ndim not in (2, 3):
        raise InputError(f"its TIFF has {colours} channels of photometric {photometric}; save it as RGB or grey")
    values = values if values.ndim == 3 else values[..., None]
    sixteen = values.dtype == np.uint16
    colour, alpha = values[..., :colours], None
    if extra and extra[0] in (1, 2):
        top = 1.0 if values.dtype.kind == "f" else 255.0 if values[..., colours].max() <= 255 and not sixteen else 65535
        share = (values[..., colours].astype(np.float64) / top).clip(0, 1)
        if extra[0] == 1:  # premultiplied
            colour = (colour / np.maximum(share, 1e-9)[..., None]).clip(0, top).astype(values.dtype)
        alpha = np.rint(share * 255).astype(np.uint8)
        alpha = None if (alpha == 255).all() else alpha
    levels, remark = scale_to_levels(colour, sixteen=sixteen)
    if photometric == 0:
        levels = 255 - levels
    levels, remarks = np.ascontiguousarray(levels[..., 0] if colours == 1 else levels), [remark]
    if frames > 1:
        remarks.append(f"it has {frames} frames; the first is taken")
    artwork = make_artwork(levels, alpha, FORMATS["TIFF"], profile, remarks)
    return _turned(artwork, orientation)


def _turned(artwork: Artwork, orientation: int) -> Artwork:
    turns = {2: (0, True), 3: (2, False), 4: (2, True), 5: (1, True), 6: (3, False), 7: (3, True), 8: (1, False)}
    if orientation not in turns:
        return artwork
    quarters, flipped = turns[orientation]

    def turn(pixels: Levels) -> Levels:
        mirrored = pixels[:, ::-1] if flipped and orientation in (2, 4) else pixels
        turned = np.rot90(mirrored, quarters)
        return np.ascontiguousarray(turned[::-1] if flipped and orientation in (5, 7) else turned)

    alpha = None if artwork.alpha is None else turn(artwork.alpha)
    remarks = (*artwork.remarks, "turned as its orientation says")
    return Artwork(turn(artwork.rgb), alpha, artwork.media, remarks=remarks)


def open_exr(data: bytes, reading: PictureReading, limits: Limits) -> Artwork:
    import OpenEXR

    header = OpenEXR.File(io.BytesIO(data), header_only=True).header()
    windows = [np.asarray(header[name]).reshape(2, 2) for name in ("dataWindow", "displayWindow")]
    for low, high in windows:
        check_size(tuple(int(side) for side in high - low + 1), limits)
    if "chromaticities" in header and not _rec709(header["chromaticities"]):
        raise InputError("its primaries are not those of Rec. 709; convert it to linear Rec. 709 (sRGB) first")
    channels = OpenEXR.File(io.BytesIO(data), separate_channels=True, num_threads=1).channels()
    names = "RGB" if {"R", "G", "B"} <= channels.keys() else "YYY" if "Y" in channels else ""
    if not names or any(channels[name].xSampling != 1 for name in names):
        raise InputError(f"its channels are {', '.join(sorted(channels))}; R, G and B, or Y, of full size are read")
    planes = [np.asarray(channels[name].pixels, np.float32) for name in names]
    planes.append(np.asarray(channels["A"].pixels, np.float32) if "A" in channels else np.ones_like(planes[0]))
    values = _on_display(np.stack(planes, axis=-1), *windows)
    if not np.isfinite(values).all():
        raise InputError("it holds NaN or infinity")
    alpha = values[..., 3].clip(0, 1)
    light = values[..., :3] * np.float32(2.0**reading.exposure)
    straight = light / np.maximum(alpha, 1e-6)[..., None]
    said = f"OpenEXR read with view {reading.view!r}, exposure {reading.exposure:g}"
    over = float((straight > 1).mean())
    remarks = (said, *([f"{over:.1%} of its values are over 1 and were cut"] if over > 0.001 else []))
    opacity = None if (alpha >= 1).all() else np.rint(alpha * 255).astype(np.uint8)
    return Artwork(to_display(straight, reading), opacity, FORMATS["EXR"], linear=light, remarks=remarks)


def _on_display(values: NDArray[np.float32], data: NDArray[Any], display: NDArray[Any]) -> NDArray[np.float32]:
    """The data window's pixels at their place in the display window; what lies outside it is cut."""
    if np.array_equal(data, display):
        return values
    width, height = (int(side) for side in display[1] - display[0] + 1)
    whole = np.zeros((height, width, values.shape[2]), np.float32)
    left, top = (int(side) for side in data[0] - display[0])
    rows = slice(max(0, top), min(height, top + values.shape[0]))
    columns = slice(max(0, left), min(width, left + values.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        whole[rows, columns] = values[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return whole


def _rec709(chromaticities: Any) -> bool:
    return bool(np.allclose(np.ravel(chromaticities), (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.329), atol=2e-3))


def to_display(light: NDArray[np.floating[Any]], reading: PictureReading) -> Levels:
    values = light.clip(0, 1)
    if reading.view == "standard":  # IEC 61966-2-1
        values = np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
    return np.floor(values * 255 + 0.5).astype(np.uint8)

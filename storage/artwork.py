"""A picture file, opened: upright, 8 bits a channel, colours sRGB. storage/conversion.py has the rules."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from schemas.errors import InputError
from schemas.settings import Limits
from storage.formats import FORMATS

Levels = NDArray[np.uint8]

_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Artwork:
    """A picture that was opened: upright, 8 bits a channel, its colours sRGB. Size in pixels."""

    rgb: Levels
    """[height, width, 3]; transparent places as the file has them"""
    alpha: Levels | None
    """[height, width]; None where the file has none"""
    media: tuple[str, str]
    linear: NDArray[np.float32] | None = None
    """OpenEXR: premultiplied linear light [height, width, 3], exposed"""
    remarks: tuple[str, ...] = ()
    plain: bool = False
    """Nothing above had to be done: the file's own bytes say the same."""

    @property
    def size(self) -> tuple[int, int]:
        return self.rgb.shape[1], self.rgb.shape[0]


def open_with_pillow(picture: Image.Image) -> Artwork:
    media, frames = FORMATS[picture.format or "PNG"], getattr(picture, "n_frames", 1)
    remarks = [f"it has {frames} frames; the first is taken"] if frames > 1 else []
    picture.load()
    turned = picture.getexif().get(_ORIENTATION, 1) not in (0, 1)
    if turned:
        remarks.append("turned as its EXIF orientation says")
        profile = picture.info.get("icc_profile")
        picture = ImageOps.exif_transpose(picture)
        picture.info.setdefault("icc_profile", profile)
    mode = picture.mode
    if mode in ("LAB", "HSV"):
        raise InputError(f"its colours are {mode}; save it as RGB")
    if mode.startswith("I") or mode == "F":
        values, remark = scale_to_levels(np.asarray(picture), sixteen=mode.startswith("I;16"))
        return make_artwork(values, None, media, picture.info.get("icc_profile"), [*remarks, remark])
    plain = not picture.info.get("icc_profile") and not picture.has_transparency_data and mode in ("1", "L", "P", "RGB")
    alpha = None
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"))
        picture = rgba.convert("RGB") if mode not in ("LA",) else picture.convert("L")
        alpha = None if (alpha == 255).all() else alpha
    elif mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("L" if mode == "1" else "RGB")
    rgb, changes = _to_srgb(picture, open_profile(picture, remarks))
    return Artwork(rgb, alpha, media, remarks=(*remarks, *changes), plain=plain)


def open_profile(picture: Image.Image, remarks: list[str]) -> ImageCms.ImageCmsProfile | None:
    """The picture's profile; None where it has none, or one that cannot be opened, which is remarked on."""
    data = picture.info.get("icc_profile")
    if not data:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data))
    except (ImageCms.PyCMSError, OSError):
        remarks.append("its colour profile is broken; read as sRGB")
        return None


def _to_srgb(picture: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> tuple[Levels, list[str]]:
    if profile is None:
        said = ["its CMYK has no profile; read by the plain formula"] if picture.mode == "CMYK" else []
        return np.array(picture.convert("RGB")), said
    name = ImageCms.getProfileDescription(profile).strip() or "unnamed"
    space = profile.profile.xcolor_space.strip()
    if space != {"L": "GRAY", "CMYK": "CMYK"}.get(picture.mode, "RGB"):
        if space == "RGB" and picture.mode == "L":
            picture = picture.convert("RGB")
        else:
            return np.array(picture.convert("RGB")), [f"its profile {name!r} is for {space} and was left out"]
    converted = ImageCms.profileToProfile(
        picture,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None
    rgb = np.array(converted)
    near = np.abs(rgb.astype(np.int16) - np.asarray(picture.convert("RGB"))).max(initial=0) <= 1
    if near and picture.mode != "CMYK":
        return np.array(picture.convert("RGB")), []
    return rgb, [f"its profile {name!r} was converted to sRGB"]


def make_artwork(
    values: NDArray[Any], alpha: Levels | None, media: tuple[str, str], profile: bytes | None, remarks: Sequence[str]
) -> Artwork:
    """8-bit levels [height, width] or [height, width, 3 or 4 (CMYK)] through their profile."""
    picture = Image.fromarray(values, mode="CMYK") if values.shape[-1] == 4 and values.ndim == 3 else None
    picture = picture or Image.fromarray(values)
    picture.info["icc_profile"] = profile
    said = list(remarks)
    rgb, more = _to_srgb(picture, open_profile(picture, said))
    return Artwork(rgb, alpha, media, remarks=(*said, *more))


def scale_to_levels(values: NDArray[Any], *, sixteen: bool = False) -> tuple[Levels, str]:
    """Levels 0..255, and which range was scaled to them. InputError for NaN and infinity."""
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        raise InputError("it holds NaN or infinity")
    least, most = float(wide.min(initial=0.0)), float(wide.max(initial=0.0))
    if values.dtype.kind == "f" and least >= 0 and most <= 1:
        low, high = 0.0, 1.0
    elif sixteen or (least >= 0 and most <= 65535):
        low, high = 0.0, 65535.0 if sixteen or most > 255 else 255.0
    else:
        least = float(wide.min())
        low, high = least, most if most > least else least + 1
    levels = np.floor((wide - low) * (255.0 / (high - low)) + 0.5).clip(0, 255).astype(np.uint8)
    return levels, f"{values.dtype} levels of {low:g} to {high:g} became 8 bits"


def check_size(size: tuple[int, ...], limits: Limits) -> None:
    width, height = size
    if width * height > limits.source_pixels:
        raise InputError(f"it has {width}x{height} pixels")

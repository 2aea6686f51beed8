"""Which files engines take: formats of pictures and maps, sides, alpha, and maps packed into one file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from schemas.fields import make_refusal

PictureFormat = Literal["as_made", "png", "webp", "jxl", "tiff", "tga", "exr"]
MapFormat = Literal["png", "png16", "tga", "exr"]
Sides = Literal["as_made", "multiple_of_4", "power_of_two"]
Fit = Literal["pad", "resize"]
AlphaKind = Literal["straight", "premultiplied"]
MapKind = Literal["height", "normal_gl", "normal_dx", "roughness", "ao", "metallic"]
Channel = Literal["height", "roughness", "smoothness", "ao", "metallic", "black", "white"]
"""What one channel of a packed map holds; smoothness is 1 - roughness."""


def _three_or_four(value: tuple[Channel, ...]) -> tuple[Channel, ...]:
    if len(value) not in (3, 4):
        raise make_refusal(f"got {len(value)} channels", "3 for R, G, B or 4 with A; black or white where nothing is")
    return value


Channels = Annotated[tuple[Channel, ...], AfterValidator(_three_or_four)]
PackName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{0,31}$", strict=True)]


SMALLEST_MARKED = 128
"""px of the shorter side of a picture that can hold a watermark: at half its size it still has the whole of it."""
_MARK_TEXT = r"^[A-Za-z0-9_.-]{1,6}$"


def _mark(value: Any) -> Any:
    is_word = str(value).casefold() in ("yes", "no", "on", "off", "true", "false", "none", "null")  # meant as no id
    if isinstance(value, bool) or (isinstance(value, str) and re.fullmatch(_MARK_TEXT, value) and not is_word):
        return value
    shown = f"text of {len(value)} letters" if isinstance(value, str) and len(value) > 40 else repr(value)
    raise make_refusal(f"got {shown}", "true, false, or an id of 1 to 6 letters, digits, '_', '-' and '.' in quotes")


WatermarkSetting = Annotated[
    bool | Annotated[str, StringConstraints(pattern=_MARK_TEXT, strict=True)], BeforeValidator(_mark)
]


def choose_side(side: int, sides: Sides, fit: Fit) -> int:
    """The side in pixels that a file has. A padded one never gets smaller; a resized one goes to the nearest, and up
    where two are as near."""
    if sides == "multiple_of_4":
        return -(-side // 4) * 4 if fit == "pad" else max(4, (side + 2) // 4 * 4)
    if sides == "power_of_two":
        larger = 1 << (side - 1).bit_length()
        smaller = larger // 2
        return larger if fit == "pad" or larger == side or larger - side <= side - smaller else smaller
    return side

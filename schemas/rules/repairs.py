"""Repairs of given pictures: the place that is painted again, and what must hold of the pictures.

The place with its context is cut out, enlarged to the picture's size, painted again with the controls cut alike, shrunk
and put back, feathered inside the mask (engine/batch_rows.py); outside the mask the picture stays to the bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from schemas.manifest import FrozenFile, Manifest, Repair, RepairPlace
from schemas.reading.tree import Broken
from schemas.review import Region
from schemas.settings import Limits

SMALLEST = 64
"""px of a side; both must be multiples of 8, since nothing is resampled around a repair."""

ORIGINAL, MASK, BACKGROUND = "original:", "mask:", "background:"
"""Before a path among a submission's files: the bytes as they were sent, the picture as it is read as a mask, and as a
browser shows it behind another, where these are not the bytes under the path itself. No path of a manifest's own can
have a colon."""

Pixels = tuple[int, int, int, int]


def find_mask_file(files: Mapping[str, FrozenFile], path: str) -> FrozenFile:
    """The mask that a manifest names by this path."""
    return files.get(MASK + path) or files[path]


def to_pixels(place: RepairPlace | Region, *, width: int, height: int) -> Pixels:
    """(left, top, right, bottom) in a picture of this size: at least one pixel, never outside."""
    left, top = min(round(place.x * width), width - 1), min(round(place.y * height), height - 1)
    right, bottom = round((place.x + place.width) * width), round((place.y + place.height) * height)
    return left, top, min(width, max(left + 1, right)), min(height, max(top + 1, bottom))


def name_mask(place: RepairPlace, file: FrozenFile) -> str:
    """Under which a region's mask is among a submission's files. No path of a manifest's own can have a colon."""
    return f"region:{place.x:g},{place.y:g},{place.width:g},{place.height:g}:{file.width}x{file.height}"


def find_unfit_repairs(manifest: Manifest, files: Mapping[str, FrozenFile], limits: Limits) -> Iterator[Broken]:
    """Pictures of repairs whose sizes cannot be kept, and masks of another size than their picture."""
    for index, asset in enumerate(manifest.assets):
        if not isinstance(asset, Repair):
            continue
        for number, source in enumerate(asset.sources):
            file = files.get(source)
            sides = (file.width, file.height) if file else ()
            if any(side % 8 or not SMALLEST <= side <= limits.image_side for side in sides):
                came = f"got {source!r} of {'x'.join(map(str, sides))} px"
                allowed = f"a picture whose sides are multiples of 8, of {SMALLEST} to {limits.image_side} px"
                yield ("assets", index, "sources", number), came, allowed
        together = any({"sources", "mask"} <= set(group) for group in asset.zip)
        numbered = list(enumerate(asset.mask or ()))
        pairs = zip(asset.sources, numbered, strict=False) if together else itertools.product(asset.sources, numbered)
        for source, (number, mask) in pairs:
            file, other = files.get(source), files.get(mask)
            if file and other and (file.width, file.height) != (other.width, other.height):
                came = f"got {mask!r} of {other.width}x{other.height} px for {source!r}"
                yield ("assets", index, "mask", number), came, f"a mask of its size, {file.width}x{file.height}"

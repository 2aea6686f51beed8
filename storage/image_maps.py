"""The maps of an image as they leave with it: from the picture at the sides that it leaves with, and as its manifest
says. Delivery writes them as files, the review app shows them under a light.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from schemas.delivery_files import MapKind
from schemas.manifest import AnyAsset, FrozenFile, Manifest, TextureVariants
from schemas.records import Image
from schemas.rules.repairs import MASK
from schemas.settings import Limits
from schemas.spec import ImageSpec
from storage.derived_maps import DerivedMaps
from storage.fitting import fit_pixels
from storage.objects import Store
from storage.pictures import decode, decode_kept


def list_maps(manifest: Manifest, asset: AnyAsset) -> tuple[MapKind, ...]:
    """Every map that leaves with an asset's images, as a file or as a channel of a packed one."""
    if not isinstance(asset, TextureVariants):
        return ()
    kinds = list(asset.maps)
    for channel in (channel for packed in manifest.delivery.packing.values() for channel in packed):
        if channel == "smoothness":
            kinds.append("roughness")
        elif channel != "black" and channel != "white":
            kinds.append(channel)
    return tuple(dict.fromkeys(kinds))


def open_image_maps(
    data: bytes,
    *,
    image: Image,
    spec: ImageSpec,
    manifest: Manifest,
    files: Mapping[str, Any],
    store: Store,
    longest: int | None = None,
) -> DerivedMaps:
    """`data`: the image's bytes, as they were kept. `files`: those of its submission. `longest`: px, of a picture
    that is only looked at; a larger one is made smaller first. Raises InputError."""
    delivery, asset = manifest.delivery, manifest.asset(spec.asset)
    pixels, _ = fit_pixels(decode_image(data, image)[..., :3], sides=delivery.sides, fit=delivery.fit)
    if longest is not None and max(pixels.shape[:2]) > longest:
        picture = Picture.fromarray(pixels)
        picture.thumbnail((longest, longest), Picture.Resampling.LANCZOS)
        pixels = np.asarray(picture)
    metallic = _read_metal(asset, pixels.shape[:2], files, store) if isinstance(asset, TextureVariants) else 0.0
    return DerivedMaps(pixels, seamless=spec.seamless, metallic=metallic)


def decode_image(data: bytes, image: Image) -> NDArray[np.uint8]:
    """uint8 [height, width, 3 or 4] of an image's own bytes; it is as large as its record says."""
    limits = Limits(source_bytes=len(data), source_pixels=image.width * image.height)
    return decode_kept(data, limits=limits)


def _read_metal(
    asset: TextureVariants, shape: tuple[int, ...], files: Mapping[str, Any], store: Store
) -> float | NDArray[np.float64]:
    """The number, or the mask at the picture's size."""
    if asset.metallic_mask is None:
        return asset.metallic
    frozen = FrozenFile.model_validate(files.get(MASK + asset.metallic_mask) or files[asset.metallic_mask])
    data = store.get(frozen.key)
    limits = Limits(source_bytes=len(data), source_pixels=frozen.width * frozen.height)
    mask = Picture.fromarray(decode(data, limits=limits)).convert("L")
    return np.asarray(mask.resize((shape[1], shape[0]), Picture.Resampling.BILINEAR), np.float64) / 255

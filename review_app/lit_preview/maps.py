"""The maps that delivery would derive of an image, as small PNGs for the page. Derived when somebody looks, and kept in
memory. The code is delivery's own (storage/image_maps.py); only what is shown is made smaller.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from review_app.resources import open_resources
from schemas.errors import InputError
from schemas.manifest import Manifest
from storage.image_maps import list_maps, open_image_maps
from storage.texture_files import to_levels

COLOUR = "colour"
LONGEST = 1024
"""px, of what is shown"""
LARGEST = 2048
"""px, from which maps are derived here. A larger picture is made smaller first, and the page says so: it would take a
minute and gigabytes of a server that others wait for."""
MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class LitMaps:
    """`files`: PNGs by kind; "colour" is the picture itself at the sides that it leaves with."""

    order: str
    """Digest of the submission that says which maps there are."""
    width: int
    height: int
    """px, of the picture from which they were derived"""
    is_reduced: bool
    """Whether that is smaller than the one that leaves."""
    files: dict[str, bytes]


@dataclass
class KeptMaps:
    """The newest of what was derived, by image and order. Thread-safe."""

    most_bytes: int = MOST_BYTES
    _maps: OrderedDict[tuple[str, str], LitMaps] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def find(self, digest: str, order: str) -> LitMaps | None:
        with self._lock:
            if (digest, order) in self._maps:
                self._maps.move_to_end((digest, order))
            return self._maps.get((digest, order))

    def add(self, digest: str, maps: LitMaps) -> None:
        with self._lock:
            self._maps[digest, maps.order] = maps
            while len(self._maps) > 1 and self._count_bytes() > self.most_bytes:
                self._maps.popitem(last=False)

    def _count_bytes(self) -> int:
        return sum(len(data) for maps in self._maps.values() for data in maps.files.values())


def derive_maps(digest: str, kept: KeptMaps) -> LitMaps:
    """Takes seconds for a large picture. Raises InputError, StoreError and LedgerError."""
    at = open_resources()
    picture = at.ledger.picture(digest)
    brief = at.ledger.briefs([digest]).get(digest)
    if brief is None:
        raise InputError("no order asks for this image")
    if (found := kept.find(digest, brief.submission)) is not None:
        return found
    manifest, spec = Manifest.model_validate(brief.manifest_body), picture.spec
    derived = open_image_maps(
        at.store.get(picture.image.object_key),
        image=picture.image,
        spec=spec,
        manifest=manifest,
        files=brief.files,
        store=at.store,
        longest=LARGEST,
    )
    is_reduced = max(picture.image.width, picture.image.height) > LARGEST
    height, width = derived.pixels.shape[:2]
    values = {kind: derived.derive(kind) for kind in list_maps(manifest, manifest.asset(spec.asset))}
    files = {kind: _shrink(to_levels(map_, 8)) for kind, map_ in values.items()}
    maps = LitMaps(brief.submission, width, height, is_reduced, {COLOUR: _shrink(derived.pixels)} | files)
    kept.add(digest, maps)
    return maps


def _shrink(pixels: NDArray[Any]) -> bytes:
    """PNG of uint8 [height, width] or [height, width, 3]."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=3)
    return out.getvalue()

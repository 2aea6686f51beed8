"""Pictures that are too small for the watermark that the manifest asks for: found at `check`, not at delivery.

Every rule yields (path, what came, what is allowed), as schemas/rules/consistency.py does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from schemas.catalogue import ModelFacts
from schemas.delivery_files import SMALLEST_MARKED, choose_side
from schemas.fields import count_pixels
from schemas.manifest import AnyAsset, FromPictures, FrozenFile, Manifest
from schemas.reading.tree import Path
from schemas.resolved import Resolved, resolve_tiers
from schemas.rules.consistency import Broken

ALLOWED = f"sides of {SMALLEST_MARKED} px or more, or `watermark: false`"


def find_too_small(manifest: Manifest, files: Mapping[str, FrozenFile], facts: ModelFacts) -> Iterator[Broken]:
    """`files`: the pictures that the manifest names."""
    delivery, told = manifest.delivery, set()
    for index, asset in enumerate(manifest.assets):
        if not manifest.watermark_of(asset):
            continue
        for resolved in resolve_tiers(manifest, asset):
            for path, size in _sizes(resolved, asset, index, files, facts):
                least = min(choose_side(side, delivery.sides, delivery.fit) for side in count_pixels(size))
                if least < SMALLEST_MARKED and path not in told:
                    told.add(path)
                    yield path, f"got a watermark for pictures of {size} px", ALLOWED


def _sizes(
    resolved: Resolved, asset: AnyAsset, index: int, files: Mapping[str, FrozenFile], facts: ModelFacts
) -> Iterator[tuple[Path, str]]:
    """Where each size of the asset's pictures is said, and the size."""
    said = resolved.find("size")
    if not resolved.applies("size"):  # they keep the given pictures'
        for number, source in enumerate(asset.sources if isinstance(asset, FromPictures) else ()):
            if source in files:
                yield ("assets", index, "sources", number), f"{files[source].width}x{files[source].height}"
    elif said is not None:
        yield from ((said.place(number), size) for number, size in enumerate(said.value))
    else:
        for model in asset.model or (resolved.manifest.model,):
            at: Path = ("assets", index, "watermark") if asset.watermark else ("delivery", "watermark")
            yield at, str(resolved.setting("size", {"model": model}, facts).value)

"""What an approximation needs: something to approximate, a UNet that has its branch, steps of its own.

Every rule yields (path, what came, what is allowed), as schemas/rules/consistency.py does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.manifest import AnyAsset, Manifest
from schemas.reading.tree import Broken
from schemas.resolved import resolve_tiers


def find_idle_approximations(manifest: Manifest, asset: AnyAsset) -> Iterator[Broken]:
    """A branch without an interval would do nothing; a gate counts the steps of one model."""
    for resolved in resolve_tiers(manifest, asset):
        said = resolved.find("approximation")
        if said is None:
            continue
        asked = said.value
        if "cache_branch_id" in asked.model_fields_set and asked.cache_interval == 1:
            came = "got a cache_branch_id without a cache_interval"
            yield (*said.path, "cache_branch_id"), came, "a cache_interval of 2 or more"
        if asked.tgate_after < 1 and resolved.get("refiner") is not None:
            came = (
                f"got tgate_after {asked.tgate_after:g} beside a refiner, which counts steps that the two models share"
            )
            yield (*said.path, "tgate_after"), came, "a refiner or tgate_after, not both"


def find_absent_branches(manifest: Manifest, asset: AnyAsset, alias: str, unet: Mapping[str, Any]) -> Iterator[Broken]:
    """Skip connections that the UNet of checkpoint `alias` does not have. `unet`: its configuration, or empty."""
    if not unet:
        return
    levels, layers = len(unet["block_out_channels"]), unet.get("layers_per_block", 2)
    skips = (sum(layers) if isinstance(layers, list | tuple) else layers * levels) + levels  # conv_in's with them
    for resolved in resolve_tiers(manifest, asset):
        said = resolved.find("approximation")
        if said is not None and said.value.cache_branch_id > skips - 2:
            came = f"got cache_branch_id {said.value.cache_branch_id} for {alias}"
            yield (*said.path, "cache_branch_id"), came, f"0 to {skips - 2}"

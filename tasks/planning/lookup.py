"""What planning must know of the models that a manifest asks for. Reads files for their digests; loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.model_files import ModelFiles
from schemas.errors import ModelError
from schemas.manifest import Manifest
from schemas.resolved import Resolved, list_tiers
from schemas.rules.model_names import list_models
from schemas.spec import Tier
from tasks.planning.plan import PlannedModels


@dataclass
class Lookup:
    """`missing`: one sentence for each model whose weights are not on this machine; their digests are stand-ins."""

    models: PlannedModels
    missing: list[str] = field(default_factory=list)


def look_up_models(manifest: Manifest, catalogue: ModelFiles, pins: Mapping[str, str]) -> Lookup:
    """Digests by alias: the pinned one, else of the weights on this machine, else a stand-in that is told.

    Raises ModelMissing for an alias or control that the catalogue does not have (`unknown_models` says where).
    """
    # 1. What the catalogue says of every checkpoint named
    checkpoints = {manifest.model: manifest.project}
    for asset in manifest.assets:
        checkpoints |= dict.fromkeys(asset.model or (), asset.name)
    entries = {alias: catalogue.entry(alias, asker=who, kind="checkpoint") for alias, who in checkpoints.items()}
    tiers = {alias: entry.tiers for alias, entry in entries.items()}
    sizes = {alias: entry.size for alias, entry in entries.items() if entry.size}
    known = PlannedModels({}, {}, tiers, sizes)

    # 2. Every alias that planning can need, promotions included, and who asks for it
    askers: dict[str, str] = dict(checkpoints)
    controlnets: dict[tuple[str, str], str] = {}
    for _, alias, _ in list_models(manifest):
        askers.setdefault(alias, manifest.project)
    for asset in manifest.assets:
        wanted = set(list_tiers(manifest, asset))
        if manifest.promotion.when != "never" and Tier.DRAFT in wanted:
            wanted.add(Tier.FINAL)
        for model in asset.model or (manifest.model,):
            for tier in wanted:
                askers |= dict.fromkeys(Resolved(manifest, asset, tier).tier_loras(model, known), asset.name)
            for control in asset.controls:
                if control.model is None:
                    alias = catalogue.controlnet(model, control.type, asker=asset.name).alias
                    controlnets[model, control.type] = alias
                    askers[alias] = asset.name

    # 3. Their digests
    digests: dict[str, str] = {}
    missing: list[str] = []
    for alias, who in askers.items():
        if alias in pins:
            digests[alias] = pins[alias]
            continue
        try:
            digests[alias] = catalogue.digest(alias, asker=who)
        except ModelError as wrong:
            missing.append(str(wrong))
            digests[alias] = "0" * 64
    found = {alias: catalogue.entries[alias] for alias in askers}
    modes = {alias: entry.modes for alias, entry in found.items() if entry.modes}
    adapters = frozenset(alias for alias, entry in found.items() if entry.kind == "t2i_adapter")
    tokens = {alias: entry.token for alias, entry in found.items() if entry.kind == "embedding"}
    few = {alias: entry.few for alias, entry in found.items() if entry.few is not None}
    return Lookup(PlannedModels(digests, controlnets, tiers, sizes, modes, adapters, tokens, few), missing)

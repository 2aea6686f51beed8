"""Whether what a manifest asks for suits the weights that it names: their architecture, and their few steps.

Reads the catalogue, and the headers of weights that are on this machine (schemas/weights).
Every rule yields (path, what came, what is allowed), as schemas/rules.py does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from schemas.catalogue import Catalogue, Entry
from schemas.errors import ModelError
from schemas.fewstep import FewStep
from schemas.manifest import AnyAsset, Asset, Manifest
from schemas.matrix import Matrix, loras_of, sampling
from schemas.rules import Broken
from schemas.spec import Tier
from schemas.tree import Path
from schemas.weights.fit import own_fault, wearing_fault

SOUND = "weights whose every key applies (`dailies models check` says more)"

SAID = {"sdxl": "SDXL", "sd15": "SD 1.5", "sdxl-refiner": "an SDXL refiner"}


def unsuited(manifest: Manifest, catalogue: Catalogue) -> Iterator[Broken]:
    faults = Faults(catalogue)
    for index, asset in enumerate(manifest.assets):
        at: Path = ("assets", index)
        for number, model in enumerate(asset.model or (manifest.model,)):
            entry = catalogue.entries.get(model)
            if entry is None or entry.kind != "checkpoint":
                continue
            where = (*at, "model", number) if asset.model else ("model",)
            if entry.architecture == "sdxl-refiner":
                yield where, f"came {model!r}, which is a refiner", "a checkpoint; a refiner goes under `refiner`"
                continue
            if fault := faults.own(model):
                yield where, f"came {model!r}: {fault}", SOUND
            yield from _architecture(manifest, asset, at, entry, catalogue)
            yield from _weights(manifest, asset, at, entry, faults)
        for tier in dict.fromkeys(asset.tier or manifest.defaults.tier or (Tier.FINAL,)):
            yield from _few_steps(manifest, asset, at, tier, catalogue)


def _architecture(manifest: Manifest, asset: AnyAsset, at: Path, base: Entry, catalogue: Catalogue) -> Iterator[Broken]:
    """What is worn by a checkpoint is made for its architecture, and SD 1.5 has none of SDXL's own."""
    own = SAID[base.architecture]
    if base.architecture == "sd15":
        for field in ("prompt_2", "negative_prompt_2"):
            if getattr(asset, field) is not None:
                yield (
                    (*at, field),
                    f"came {field} for {base.alias}, which is SD 1.5",
                    "`prompt` alone: it has one text encoder",
                )
    refiner = asset.refiner or manifest.defaults.refiner
    if refiner is not None:
        path = (*at, "refiner", "model") if asset.refiner else ("defaults", "refiner", "model")
        second = catalogue.entries.get(refiner.model)
        if base.architecture == "sd15":
            yield path, f"came a refiner for {base.alias}, which is SD 1.5", "no refiner: only SDXL has one"
        elif second is not None and second.architecture != "sdxl-refiner":
            came = f"came {refiner.model!r}, which is {SAID[second.architecture]}"
            yield path, came, "a catalogue entry with `architecture: sdxl-refiner`"
    for path, alias in _worn(manifest, asset, at):
        entry = catalogue.entries.get(alias)
        if entry is not None and entry.architecture != base.architecture:
            came = f"came {alias!r}, made for {SAID[entry.architecture]}, with {base.alias}, which is {own}"
            yield path, came, f"one made for {own}"


class Faults:
    """What is wrong with weights, each looked at once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._known: dict[tuple[str, str], str] = {}

    def own(self, alias: str) -> str:
        if (alias, "") not in self._known:
            self._known[alias, ""] = own_fault(self.catalogue, alias)
        return self._known[alias, ""]

    def worn(self, alias: str, base: str) -> str:
        """Of an entry itself, else with this checkpoint; of the latter only where the checkpoint is sound."""
        if self.own(alias) or self.own(base):
            return self.own(alias)
        if (alias, base) not in self._known:
            self._known[alias, base] = wearing_fault(self.catalogue, alias, base)
        return self._known[alias, base]


def _weights(manifest: Manifest, asset: AnyAsset, at: Path, base: Entry, faults: Faults) -> Iterator[Broken]:
    """What would not load, or would load without some of its keys."""
    catalogue = faults.catalogue
    worn = list(_worn(manifest, asset, at))
    for tier in dict.fromkeys(asset.tier or manifest.defaults.tier or (Tier.FINAL,)):
        said = manifest.tiers.get(tier)
        if tier in base.tiers and (said is None or said.loras is None):
            worn += [(("model",), alias) for alias in base.tiers[tier].loras]
        worn += [(("tiers", tier.value, "loras", alias), alias) for alias in (said.loras or {} if said else {})]
    for name in asset.style or manifest.defaults.style or ():
        style = manifest.styles.get(name)
        worn += [(("styles", name, "loras", alias), alias) for alias in (style.loras if style else {})]
    for number, control in enumerate(asset.controls):
        if control.model is None:
            with suppress(ModelError):  # schemas/model_names.py says so
                alias = catalogue.controlnet(base.alias, control.type, asker=asset.name).alias
                worn.append(((*at, "controls", number, "type"), alias))
    for path, alias in dict.fromkeys(worn):
        entry = catalogue.entries.get(alias)
        if entry is not None and entry.architecture == base.architecture and (fault := faults.worn(alias, base.alias)):
            yield path, f"came {alias!r}: {fault}", SOUND


def _worn(manifest: Manifest, asset: AnyAsset, at: Path) -> Iterator[tuple[Path, str]]:
    """(path, alias) of what goes into the checkpoint of this asset."""
    start: Path = at if asset.loras is not None else ()
    yield from (((*start, "loras", alias), alias) for alias in loras_of(manifest, asset))
    for number, reference in enumerate(asset.references):
        yield (*at, "references", number, "model"), reference.model
    for number, alias in enumerate(asset.embeddings or manifest.defaults.embeddings or ()):
        yield (*(at if asset.embeddings else ("defaults",)), "embeddings", number), alias
    for number, alias in enumerate(asset.vae or ()):
        yield (*at, "vae", number), alias
    if manifest.vae and not asset.vae:
        yield ("vae",), manifest.vae
    for number, control in enumerate(asset.controls):
        if control.model:
            yield (*at, "controls", number, "model"), control.model


def _few_steps(manifest: Manifest, asset: AnyAsset, at: Path, tier: Tier, catalogue: Catalogue) -> Iterator[Broken]:
    """What a manifest says against its few-step weights; what it leaves open is set right in planning."""
    fields = ("scheduler", "num_inference_steps", "guidance_scale")
    try:
        choices = list(Matrix(manifest, asset).choices(tier, ("model", "style", *fields), "loras."))
    except (KeyError, ValueError):
        return  # `zip` is wrong, and schemas/rules.py says where
    for chosen in choices:
        few = [entry.few for entry in _wearing(manifest, tier, chosen, catalogue) if entry.few is not None]
        if len({each.name for each in few}) > 1:
            named = " and ".join(sorted(f"{each.alias} ({each.name})" for each in few))
            yield (*at, "loras"), f"came {named} for one image", "the weights of one few-step family"
            continue
        for each in few:
            for field in fields:
                allowed = each.allowed(field, chosen[field]) if field in chosen else ""
                if allowed:
                    value = chosen[field]
                    number = sampling(manifest, asset, tier, field).index(value)
                    came = value if isinstance(value, str) else f"{value:g}"
                    yield (*_where(manifest, asset, at, tier, field), number), f"came {came}", allowed
            yield from _spacing(manifest, asset, at, tier, each, chosen.get("scheduler", each.usual("scheduler")))


def _spacing(manifest: Manifest, asset: Asset, at: Path, tier: Tier, few: FewStep, name: str) -> Iterator[Broken]:
    if few.allowed("scheduler", name):
        return
    options = sampling(manifest, asset, tier, "scheduler_options") or {}
    try:
        against = list(few.against(name, options))
    except ValueError:
        return  # an option that this scheduler does not have: schemas/rules.py says so
    for option, allowed in against:
        field = "scheduler_options" if option in options else "scheduler"
        came = f"came {option} {options[option]}" if option in options else f"came {name}, which sets {option}"
        yield _where(manifest, asset, at, tier, field), came, allowed


def _wearing(manifest: Manifest, tier: Tier, chosen: Mapping[str, Any], catalogue: Catalogue) -> list[Entry]:
    """The checkpoint of one combination, and its LoRAs whose weight is not 0."""
    base = catalogue.entries.get(chosen["model"])
    said = manifest.tiers.get(tier)
    weights: dict[str, float] = {}
    if said is not None and said.loras is not None:
        weights |= said.loras
    elif base is not None and tier in base.tiers:
        weights |= base.tiers[tier].loras
    style = manifest.styles.get(chosen["style"])
    weights |= style.loras if style is not None else {}
    weights |= {path.removeprefix("loras."): chosen[path] for path in chosen if path.startswith("loras.")}
    aliases = [chosen["model"], *(alias for alias, weight in weights.items() if weight)]
    return [catalogue.entries[alias] for alias in aliases if alias in catalogue.entries]


def _where(manifest: Manifest, asset: Asset, at: Path, tier: Tier, field: str) -> Path:
    """Where a sampling field of this asset is said; the same order as schemas.matrix.sampling."""
    if tier in (asset.tier or manifest.defaults.tier or (Tier.FINAL,)) and getattr(asset, field) is not None:
        return (*at, field)
    said = manifest.tiers.get(tier)
    if said is not None and getattr(said, field) is not None:
        return ("tiers", tier.value, field)
    return ("defaults", field)

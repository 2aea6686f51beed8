"""Whether what a manifest asks for suits the weights that it names: their architecture, and their few steps.

Reads the catalogue, and the headers of weights that are on this machine (schemas/weights).
Every rule yields (path, what came, what is allowed), as schemas/rules/consistency.py does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from schemas.catalogue import Catalogue, Entry, ModelFacts
from schemas.errors import ModelError, UnfitWeights
from schemas.fewstep import FewStep
from schemas.manifest import AnyAsset, Manifest
from schemas.matrix import Matrix
from schemas.reading.tree import Broken, Path
from schemas.resolved import FEW_STEP_FIELDS, Resolved, resolve_tiers
from schemas.rules.approximations import find_absent_branches
from schemas.schedulers import SCHEDULERS, resolve_scheduler
from schemas.spec import Tier
from schemas.weights.components import Components
from schemas.weights.examine import list_components
from schemas.weights.fit import find_lora_fault, find_own_fault

SOUND = "weights whose every key applies"

SAID = {"sdxl": "SDXL", "sd15": "SD 1.5", "sdxl-refiner": "an SDXL refiner"}


def find_unsuitable(manifest: Manifest, catalogue: Catalogue) -> Iterator[Broken]:
    facts = catalogue.facts
    faults = Faults(catalogue)
    for index, asset in enumerate(manifest.assets):
        at: Path = ("assets", index)
        models = Resolved(manifest, asset, Tier.FINAL).find("model")
        assert models is not None
        for number, model in enumerate(models.value):
            entry = catalogue.entries.get(model)
            if entry is None or entry.kind != "checkpoint":
                continue
            where = models.place(number)
            if entry.architecture == "sdxl-refiner":
                yield where, f"got {model!r}, which is a refiner", "a checkpoint; a refiner goes under `refiner`"
                continue
            if fault := faults.own(model):
                yield where, f"got {model!r}: {fault}", SOUND
            yield from _architecture(manifest, asset, at, entry, catalogue)
            yield from _weights(manifest, asset, at, entry, faults)
            yield from _training(manifest, asset, entry, where, faults)
            yield from find_absent_branches(manifest, asset, model, faults.components(entry).get("unet", {}))
        for resolved in resolve_tiers(manifest, asset):
            yield from _few_steps(resolved, at, facts)


def _architecture(manifest: Manifest, asset: AnyAsset, at: Path, base: Entry, catalogue: Catalogue) -> Iterator[Broken]:
    """What is worn by a checkpoint is made for its architecture, and SD 1.5 has none of SDXL's own."""
    own = SAID[base.architecture]
    if base.architecture == "sd15":
        for field in ("prompt_2", "negative_prompt_2"):
            if getattr(asset, field) is not None:
                yield (
                    (*at, field),
                    f"got {field} for {base.alias}, which is SD 1.5",
                    "`prompt` alone: it has one text encoder",
                )
    resolved = Resolved(manifest, asset, Tier.FINAL)
    said = resolved.find("refiner")
    if said is not None:
        refiner, path = said.value, (*said.path, "model")
        second = catalogue.entries.get(refiner.model)
        if base.architecture == "sd15":
            yield path, f"got a refiner for {base.alias}, which is SD 1.5", "no refiner: only SDXL has one"
        elif second is not None and second.architecture != "sdxl-refiner":
            came = f"got {refiner.model!r}, which is {SAID[second.architecture]}"
            yield path, came, "a catalogue entry with `architecture: sdxl-refiner`"
    for path, alias in _worn(resolved, at):
        entry = catalogue.entries.get(alias)
        if entry is not None and entry.architecture != base.architecture:
            came = f"got {alias!r}, made for {SAID[entry.architecture]}, with {base.alias}, which is {own}"
            yield path, came, f"one made for {own}"


def _training(manifest: Manifest, asset: AnyAsset, base: Entry, where: Path, faults: Faults) -> Iterator[Broken]:
    """What a checkpoint was trained for: inpainting alone, or noise down to nothing."""
    catalogue, components = faults.catalogue, faults.components(base)
    if components.get("unet", {}).get("in_channels", 4) == 9 and asset.kind != "repair":
        came = f"got {base.alias!r}, an inpainting checkpoint (9 channels), for kind: {asset.kind}"
        yield where, came, "a checkpoint of 4 channels; this one makes kind: repair"
    if not components.get("scheduler", {}).get("rescale_betas_zero_snr"):
        return
    for resolved in resolve_tiers(manifest, asset):
        said = resolved.setting("scheduler", {"model": base.alias}, catalogue.facts)
        found = resolved.find("scheduler")
        names = found.value if found is not None else (said.value,)
        for number, name in enumerate(names):
            options = SCHEDULERS[resolve_scheduler(name)[0]]
            if "rescale_betas_zero_snr" not in options:
                able = "Euler, Euler a, DDIM, DPM++ 2M, UniPC, LCM or TCD"
                came = f"got {name} for {base.alias}, which was trained to zero terminal SNR"
                yield found.place(number) if found is not None else where, came, f"a scheduler that reaches it: {able}"


class Faults:
    """What is wrong with weights, each looked at once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._known: dict[tuple[str, str], str] = {}
        self._components: dict[str, Components] = {}

    def components(self, base: Entry) -> Components:
        """A checkpoint's configurations; none where they are wrong, which `own` says."""
        if base.alias not in self._components:
            try:
                self._components[base.alias] = list_components(self.catalogue, base) or {}
            except UnfitWeights:
                self._components[base.alias] = {}
        return self._components[base.alias]

    def own(self, alias: str) -> str:
        if (alias, "") not in self._known:
            self._known[alias, ""] = find_own_fault(self.catalogue, alias)
        return self._known[alias, ""]

    def worn(self, alias: str, base: str) -> str:
        """Of an entry itself, else with this checkpoint; of the latter only where the checkpoint is sound."""
        if self.own(alias) or self.own(base):
            return self.own(alias)
        if (alias, base) not in self._known:
            self._known[alias, base] = find_lora_fault(self.catalogue, alias, base)
        return self._known[alias, base]


def _weights(manifest: Manifest, asset: AnyAsset, at: Path, base: Entry, faults: Faults) -> Iterator[Broken]:
    """What would not load, or would load without some of its keys."""
    catalogue = faults.catalogue
    worn = list(_worn(Resolved(manifest, asset, Tier.FINAL), at))
    for resolved in resolve_tiers(manifest, asset):
        said = resolved.find_tier_loras(base.alias, catalogue.facts)
        worn += [(said.place(alias) if said.path else ("model",), alias) for alias in said.value]
        for name in resolved.get("style") or ():
            style = manifest.styles.get(name)
            worn += [(("styles", name, "loras", alias), alias) for alias in (style.loras if style else {})]
    for number, control in enumerate(asset.controls):
        if control.model is None:
            with suppress(ModelError):  # schemas/rules/model_names.py says so
                alias = catalogue.controlnet(base.alias, control.type, asker=asset.name).alias
                worn.append(((*at, "controls", number, "type"), alias))
    for path, alias in dict.fromkeys(worn):
        entry = catalogue.entries.get(alias)
        if entry is not None and entry.architecture == base.architecture and (fault := faults.worn(alias, base.alias)):
            yield path, f"got {alias!r}: {fault}", SOUND


def _worn(resolved: Resolved, at: Path) -> Iterator[tuple[Path, str]]:
    """(path, alias) of what goes into the checkpoint of this asset."""
    for field in ("loras", "embeddings", "vae"):
        if (said := resolved.find(field)) is None:
            continue
        for number, alias in enumerate(said.value):
            yield said.place(alias if field == "loras" else number), alias
    for number, reference in enumerate(resolved.asset.references):
        yield (*at, "references", number, "model"), reference.model
    for number, control in enumerate(resolved.asset.controls):
        if control.model:
            yield (*at, "controls", number, "model"), control.model


def _few_steps(resolved: Resolved, at: Path, facts: ModelFacts) -> Iterator[Broken]:
    """What a manifest says against its few-step weights; what it leaves open is set right in planning."""
    asset = resolved.asset
    if not any(alias in facts.few for alias in _wearable(resolved, facts)):
        return
    try:
        fields = ("model", "style", *FEW_STEP_FIELDS)
        choices = list(Matrix(resolved.manifest, asset).choices(resolved.tier, fields, "loras."))
    except (KeyError, ValueError):
        return  # `zip` is wrong, and schemas/rules/consistency.py says where
    for chosen in choices:
        weights = resolved.loras(chosen, facts)
        aliases = [chosen["model"], *(alias for alias, weight in weights.items() if weight)]
        few = [facts.few[alias] for alias in aliases if alias in facts.few]
        if len({each.name for each in few}) > 1:
            named = " and ".join(sorted(f"{each.alias} ({each.name})" for each in few))
            yield (*at, "loras"), f"got {named} for one image", "the weights of one few-step family"
            continue
        for each in few:
            for field in FEW_STEP_FIELDS:
                allowed = each.allowed(field, chosen[field]) if field in chosen else ""
                said = resolved.find(field)
                if allowed and said is not None:
                    value = chosen[field]
                    came = value if isinstance(value, str) else f"{value:g}"
                    yield said.place(said.value.index(value)), f"got {came}", allowed
            yield from _spacing(resolved, each, resolved.setting("scheduler", chosen, facts).value)


def _wearable(resolved: Resolved, facts: ModelFacts) -> Iterator[str]:
    """Every checkpoint and LoRA that any image of this asset and tier has, whatever goes with what."""
    for model in resolved.get("model") or ():
        yield model
        yield from resolved.find_tier_loras(model, facts).value
    yield from resolved.get("loras") or ()
    for style in resolved.get("style") or ():
        if style in resolved.manifest.styles:
            yield from resolved.manifest.styles[style].loras


def _spacing(resolved: Resolved, few: FewStep, name: str) -> Iterator[Broken]:
    if few.allowed("scheduler", name):
        return
    said = resolved.find("scheduler_options")
    options = said.value if said is not None else {}
    try:
        against = list(few.against(name, options))
    except ValueError:
        return  # an option that this scheduler does not have: schemas/rules/consistency.py says so
    for option, allowed in against:
        scheduler = resolved.find("scheduler")
        if said is not None and option in options:
            yield said.path, f"got {option} {options[option]}", allowed
        elif scheduler is not None:
            yield scheduler.path, f"got {name}, which sets {option}", allowed

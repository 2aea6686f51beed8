"""Whether the models that a manifest names are in the catalogue, and are of the kind that it needs. Opens no weights.

Every rule yields (path, what came, what is allowed), as schemas/rules/consistency.py does. The command line, the night
and the Submit page all ask `find_unknown_models`, through storage/intake.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.catalogue import Catalogue, Kind
from schemas.errors import ControlMissing
from schemas.manifest import AnyAsset, Manifest
from schemas.matrix import list_styles
from schemas.names import OneOf
from schemas.prompt_tokens import find_words
from schemas.reading.tree import Broken, Path
from schemas.resolved import Resolved
from schemas.rules.compatibility import find_unsuitable
from schemas.rules.consistency import explain_too_few_steps
from schemas.spec import Tier

_ABLE: dict[str, tuple[Kind, ...]] = {"controlnet": ("controlnet", "t2i_adapter")}
"""What may serve where a manifest names this kind."""


def find_unknown_models(manifest: Manifest, catalogue: Catalogue) -> Iterator[Broken]:
    """Aliases that the catalogue does not have, or has for something else; controls that no ControlNet serves; textures
    of no step at the model's usual ones."""
    able: dict[Kind, list[str]] = {}
    for path, alias, kind in list_models(manifest):
        entry = catalogue.entries.get(alias)
        if entry is None or entry.kind not in _ABLE.get(kind, (kind,)):
            said = f", which is a {entry.kind}" if entry else ""
            if kind not in able:
                kinds = _ABLE.get(kind, (kind,))
                able[kind] = [name for name, entry in catalogue.entries.items() if entry.kind in kinds]
            yield path, f"got the {kind} {alias!r}{said}", OneOf(alias, able[kind])
    yield from _unheard(manifest, catalogue)
    yield from find_unsuitable(manifest, catalogue)
    for index, asset in enumerate(manifest.assets):
        for model in asset.model or (manifest.model,):
            tiers = catalogue.entries[model].tiers if model in catalogue.entries else {}
            usual = {tier: said.num_inference_steps for tier, said in tiers.items() if said.num_inference_steps}
            yield from explain_too_few_steps(manifest, asset, ("assets", index), usual)
        for number, control in enumerate(asset.controls):
            union = catalogue.entries.get(control.model or "")
            if union is not None and union.modes and control.type not in union.modes:
                came = f"got {control.type!r} for the union {control.model}"
                yield ("assets", index, "controls", number, "type"), came, f"one of: {', '.join(sorted(union.modes))}"
            for model in asset.model or (manifest.model,) if control.model is None else ():
                if model in catalogue.entries and catalogue.entries[model].kind == "checkpoint":
                    try:
                        catalogue.controlnet(model, control.type, asker=asset.name)
                    except ControlMissing as wrong:
                        yield ("assets", index, "controls", number, "type"), f"got {control.type!r}", wrong.allowed


def _unheard(manifest: Manifest, catalogue: Catalogue) -> Iterator[Broken]:
    """Textual inversions whose word stands in no prompt: they would change nothing."""
    defaults = manifest.defaults
    texts = {index: _texts(manifest, asset) for index, asset in enumerate(manifest.assets)}
    asked = [(("assets", index), asset.embeddings, texts[index]) for index, asset in enumerate(manifest.assets)]
    every = [text for index, asset in enumerate(manifest.assets) if not asset.embeddings for text in texts[index]]
    for at, aliases, said in [*asked, (("defaults",), defaults.embeddings, every)]:
        for number, alias in enumerate(aliases or ()):
            entry = catalogue.entries.get(alias)
            if (
                entry is not None
                and entry.kind == "embedding"
                and not any(find_words(entry.token, text) for text in said)
            ):
                came = f"got the embedding {alias!r}, whose word {entry.token!r} stands in no prompt"
                yield (*at, "embeddings", number), came, f"{entry.token!r} in a prompt, or no embedding"


def _texts(manifest: Manifest, asset: AnyAsset) -> list[str]:
    """Everything that can get into an asset's prompts."""
    resolved = Resolved(manifest, asset, Tier.FINAL)
    values = resolved.values.values()
    fields = [asset.prompt, asset.prompt_2, resolved.get("negative_prompt")]
    texts = [text for several in (*fields, asset.negative_prompt_2, *values) for text in several or ()]
    return texts + [text for style in list_styles(manifest, asset) for text in (style.prompt, style.negative_prompt)]


def list_models(manifest: Manifest) -> Iterator[tuple[Path, str, Kind]]:
    """(path, alias, kind) for every alias that stands in the manifest."""
    yield ("model",), manifest.model, "checkpoint"
    if manifest.vae:
        yield ("vae",), manifest.vae, "vae"
    if manifest.defaults.hires and manifest.defaults.hires.upscaler:
        yield ("defaults", "hires", "upscaler"), manifest.defaults.hires.upscaler, "upscaler"
    if manifest.defaults.background and manifest.defaults.background.model:
        yield ("defaults", "background", "model"), manifest.defaults.background.model, "matting"
    if manifest.defaults.refiner:
        yield ("defaults", "refiner", "model"), manifest.defaults.refiner.model, "checkpoint"
    for number, alias in enumerate(manifest.defaults.embeddings or ()):
        yield ("defaults", "embeddings", number), alias, "embedding"
    for alias in manifest.loras:
        yield ("loras", alias), alias, "lora"
    for name, style in manifest.styles.items():
        for alias in style.loras:
            yield ("styles", name, "loras", alias), alias, "lora"
    for tier, settings in manifest.tiers.items():
        for alias in settings.loras or ():
            yield ("tiers", tier.value, "loras", alias), alias, "lora"
    for index, asset in enumerate(manifest.assets):
        at: Path = ("assets", index)
        for number, alias in enumerate(asset.model or ()):
            yield (*at, "model", number), alias, "checkpoint"
        if asset.background and asset.background.model:
            yield (*at, "background", "model"), asset.background.model, "matting"
        if asset.refiner:
            yield (*at, "refiner", "model"), asset.refiner.model, "checkpoint"
        if asset.hires and asset.hires.upscaler:
            yield (*at, "hires", "upscaler"), asset.hires.upscaler, "upscaler"
        for number, reference in enumerate(asset.references):
            yield (*at, "references", number, "model"), reference.model, "ip_adapter"
        for number, alias in enumerate(asset.embeddings or ()):
            yield (*at, "embeddings", number), alias, "embedding"
        for number, alias in enumerate(asset.vae or ()):
            yield (*at, "vae", number), alias, "vae"
        for alias in asset.loras or ():
            yield (*at, "loras", alias), alias, "lora"
        for number, control in enumerate(asset.controls):
            if control.model:
                yield (*at, "controls", number, "model"), control.model, "controlnet"

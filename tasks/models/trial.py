"""One picture with one model, to see that it works and what it does: `dailies models try`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model_files import ModelFiles
from schemas.catalogue import Entry
from schemas.errors import InputError, ModelMissing, UnfitWeights
from schemas.settings import Settings
from schemas.spec import (
    AssetKind,
    ControlSpec,
    EmbeddingRef,
    Hires,
    ImageSpec,
    LoraRef,
    ModelRef,
    ReferenceSpec,
    Refiner,
)  # fmt: skip
from schemas.weights.examine import list_components
from schemas.weights.fit import find_faults, find_lora_fault
from tasks.models.listing import WORN, list_bases
from tasks.planning.sweep import find_tier, make_base

Pictures = dict[str, dict[str, NDArray[np.uint8]]]
DRAWN, MASK = "d" * 64, "e" * 64
"""Digests that stand for the drawn picture and its mask."""


def make_trial(
    catalogue: ModelFiles, alias: str, *, base: str | None, prompt: str, seed: int, size: str | None, tier: str
) -> tuple[ImageSpec, Pictures]:
    """A spec with this model in it, and the pictures that it reads, drawn here.

    Raises ModelMissing for an alias that is not there, UnfitWeights for one that is not sound, InputError for a model
    that needs a checkpoint where none fits.
    """
    entry = catalogue.entry(alias, asker="models try")
    if faults := find_faults(catalogue, alias):
        raise UnfitWeights(f"{alias}: {'; '.join(faults)}")
    if entry.kind == "dual_encoder":
        raise InputError(f"{alias} is a dual_encoder, which makes no picture; the setting `search_model` names one")
    model = _base(catalogue, entry, base)
    fields, _ = make_base(catalogue, model, size=size, tier=find_tier(tier))
    fields |= {"project": "models try", "asset": alias, "variant": "", "seed": seed}
    words = [prompt, *entry.trigger_words]
    pictures: Pictures = {"sources": {}, "masks": {}, "conditions": {}}
    ref = {"alias": alias, "digest": catalogue.digest(alias, asker="models try")}
    width, height = fields["width"], fields["height"]
    if entry.kind == "lora":
        fields["loras"] = (*(lora for lora in fields["loras"] if lora.alias != alias), LoraRef(**ref))
    elif entry.kind == "vae":
        fields["vae"] = ModelRef(**ref)
    elif entry.kind == "embedding":
        fields["embeddings"] = (EmbeddingRef(**ref, token=entry.token),)
        words.append(entry.token)
    elif entry.kind in ("controlnet", "t2i_adapter"):
        control = _control(entry, ModelRef(**ref))
        fields["controls"] = (control,)
        pictures["conditions"][control.condition_key(width, height)] = draw(width, height, lines=True)
    elif entry.kind == "ip_adapter":
        fields["references"] = (ReferenceSpec(image=DRAWN, model=ModelRef(**ref)),)
        pictures["sources"][DRAWN] = draw(width, height)
    elif entry.kind == "upscaler":
        small = {"width": max(64, width // 2 // 8 * 8), "height": max(64, height // 2 // 8 * 8)}
        fields["hires"] = Hires(**small, strength=0.3, upscaler=ModelRef(**ref))
    elif entry.architecture == "sdxl-refiner":
        fields["refiner"] = Refiner(model=ModelRef(**ref))
    if _channels(catalogue, catalogue.entries[model]) == 9:
        fields |= {"kind": AssetKind.REPAIR, "source": DRAWN, "mask": MASK, "strength": 1.0}
        mask = np.zeros((height, width), np.uint8)
        mask[height // 4 : -height // 4, width // 4 : -width // 4] = 255
        pictures["sources"][DRAWN], pictures["masks"][MASK] = draw(width, height), mask
    return ImageSpec(prompt=", ".join(words), **fields), pictures


def draw(width: int, height: int, *, lines: bool = False) -> NDArray[np.uint8]:
    """A disc before a slope of colours; `lines`: its edge alone, white on black. uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    away = np.hypot(x - width / 2, y - height / 2) / (0.3 * min(width, height))
    if lines:
        return np.repeat((np.abs(away - 1) < 0.04)[..., None] * np.uint8(255), 3, axis=2)
    slope = np.stack([x / width, y / height, np.full((height, width), 0.4)], axis=-1)
    picture = np.where((away < 1)[..., None], (0.9, 0.3, 0.2), slope)
    return (picture * 255).astype(np.uint8)


def _base(catalogue: ModelFiles, entry: Entry, asked: str | None) -> str:
    """The checkpoint to try it with."""
    if asked is not None:
        return catalogue.entry(asked, asker="--model", kind="checkpoint").alias
    if entry.kind == "checkpoint" and entry.architecture != "sdxl-refiner":
        return entry.alias
    if entry.kind not in WORN:
        wanted = ("sdxl",) if entry.architecture == "sdxl-refiner" else ("sdxl", "sd15")
        bases = [e.alias for e in catalogue.entries.values() if e.kind == "checkpoint" and e.architecture in wanted]
    else:
        bases = list_bases(catalogue, entry)
    for alias in bases:
        if (
            catalogue.local(alias)
            and not find_faults(catalogue, alias)
            and not find_lora_fault(catalogue, entry.alias, alias)
        ):
            return alias
    raise ModelMissing(f"models try: no sound checkpoint of the catalogue goes with {entry.alias}; give --model")


def _control(entry: Entry, ref: ModelRef) -> ControlSpec:
    kind = next(iter(entry.serves), "canny")
    if entry.kind == "t2i_adapter":
        return ControlSpec(type=kind, image=DRAWN, model=ref, precomputed=True, kind="t2i_adapter")
    mode = entry.modes.get(kind)
    return ControlSpec(type=kind, image=DRAWN, model=ref, precomputed=True, control_mode=mode)


def _channels(catalogue: ModelFiles, entry: Entry) -> int:
    components = list_components(catalogue, entry)
    if components is None:
        raise InputError(f"{entry.alias} is not on this machine")
    return int(components.get("unet", {}).get("in_channels", 4))


def render_trial(catalogue: ModelFiles, spec: ImageSpec, pictures: Pictures, settings: Settings) -> Any:
    """The `Rendered` row. Imports torch. Raises what stopped it."""
    from engine.diffuse import Engine
    from engine.runtime_options import RuntimeOptions

    engine = Engine(catalogue, device=settings.device, dtype=settings.dtype, levers=RuntimeOptions.of(settings))
    row = engine.render(
        [spec], sources=pictures["sources"], masks=pictures["masks"], conditions=pictures["conditions"]
    )[0]
    if row.error is not None:
        raise row.error
    return row

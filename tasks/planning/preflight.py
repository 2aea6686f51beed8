"""What stands in the way of a spec, found before the night begins: models, detector weights, pictures.

A spec with an obstacle is not tried tonight; it waits, and the report names it with its reason. Opens no weights.
And what this machine's device will be asked to hold, for each checkpoint of the catalogue (`dailies preflight`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from engine.model_files import ModelFiles
from schemas.catalogue import Entry
from schemas.errors import ModelError
from schemas.rules.compatibility import Faults
from schemas.settings import Settings
from schemas.spec import ControlSpec, ImageSpec, LoraRef, ModelRef
from storage.objects import Store
from tasks.shift.gather import KINDS, make_picture_key


def find_obstacles(
    specs: Iterable[ImageSpec], *, catalogue: ModelFiles, store: Store, condition_models: Path | None
) -> dict[str, str]:
    """Spec digest -> one sentence that says what is missing, for whom. Each model and picture is looked at once."""

    @cache
    def model(alias: str, digest: str, asker: str) -> str | None:
        try:
            found = catalogue.digest(alias, asker=asker)
        except ModelError as error:
            return str(error)
        if found != digest:
            return f"{asker} was planned with {alias} {digest[:12]}; the files are now {found[:12]}"
        return None

    @cache
    def picture(digest: str) -> str | None:
        return None if make_picture_key(store, digest) else f"is in none of {', '.join(KINDS)} in the object store"

    @cache
    def detector(control: str, asker: str) -> str | None:
        from engine.detectors import find_missing_files

        return find_missing_files(control, condition_models, asker=asker)

    faults = Faults(catalogue)

    def unfit(spec: ImageSpec, asker: str) -> str | None:
        """Weights that would not load, or not apply: counted in their headers."""
        if spec.model.alias not in catalogue.entries:
            return None
        for ref in spec.models():
            if ref.alias in catalogue.entries and (fault := faults.worn(ref.alias, spec.model.alias)):
                return f"{asker} asks for {ref.alias}: {fault}"
        return None

    def first(spec: ImageSpec) -> str | None:
        asker = f"{spec.project}/{spec.asset}"
        for ref in spec.models():
            if reason := model(ref.alias, ref.digest, asker):
                return reason
        if reason := unfit(spec, asker):
            return reason
        for digest in sorted(spec.digests_needed()):
            if reason := picture(digest):
                return f"{asker}: picture {digest[:12]} {reason}"
        for control in spec.controls:
            if control.precomputed or not (reason := detector(control.type, asker)):
                continue
            if not store.exists(control.condition_key(spec.width, spec.height)):  # made on another machine, perhaps
                return reason
        return None

    return {spec.digest: reason for spec in specs if (reason := first(spec))}


def fits_device(settings: Settings, catalogue: ModelFiles) -> list[str]:
    """Lines to print: the device, its levers, and each checkpoint's way into its memory, with and without a ControlNet.

    Imports torch. A missing model is named; the rest is told all the same.
    """
    from engine.diffuse import Engine
    from engine.guards import find_slow_dtype
    from engine.runtime_options import RuntimeOptions

    levers = RuntimeOptions.of(settings)
    engine = Engine(catalogue, device=settings.device, dtype=settings.dtype, levers=levers)
    used = {"attention": engine.attention, "channels_last": levers.channels_last, "memory": levers.memory}
    used["compile"] = "regional, kept in " + str(levers.folder) if levers.compile else "no"
    used["backend"] = engine.graphs.describe()
    lines = [f"{engine.device_name}, {str(engine.dtype).removeprefix('torch.')}"]
    if slow := find_slow_dtype(engine.dtype, engine.device.type):
        lines.append(f"  dtype: {slow}")
    lines += [f"  {name}: {value}" for name, value in used.items()]
    for alias, entry in catalogue.entries.items():
        if entry.kind != "checkpoint":
            continue
        side = entry.size or 1024
        nets = [net for net in catalogue.entries.values() if net.kind == "controlnet" and alias in net.checkpoints]
        for net in (None, *nets[:1]):
            lines.append(f"{alias}{f' with {net.alias}' if net else ''}, {side} x {side}")
            try:
                lines += [f"  {reason}" for reason in engine.models.policy(_spec(catalogue, alias, side, net)).reasons]
            except ModelError as missing:
                lines.append(f"  {missing}")
    return lines


def _spec(catalogue: ModelFiles, alias: str, side: int, net: Entry | None) -> ImageSpec:
    """Any image of this checkpoint; its weights are weighed, not hashed."""
    control = (
        ControlSpec(type="canny", image="0" * 64, model=ModelRef(alias=net.alias, digest="0" * 64)) if net else None
    )
    model = ModelRef(alias=alias, digest=hashlib.sha256(alias.encode()).hexdigest())
    usual = {name for tier in catalogue.entries[alias].tiers.values() for name in tier.loras}
    loras = tuple(LoraRef(alias=name, digest="0" * 64) for name in sorted(usual) if name in catalogue.entries)
    return ImageSpec(
        project="preflight", asset=alias, variant="1", prompt="", seed=0, width=side, height=side,
        num_inference_steps=1, guidance_scale=5.0, model=model, controls=(control,) if control else (), loras=loras,
    )  # fmt: skip

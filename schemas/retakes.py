"""What a reason for a retake proposes: the house's answers, and the manifest's where it has its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.manifest import RetakeDefault
from schemas.review import Reason
from schemas.spec import ImageSpec

HOUSE: dict[Reason, RetakeDefault] = {
    Reason.HANDS: RetakeDefault(way="region", strength=0.6, add_negative="extra fingers, missing fingers"),
    Reason.TEXT: RetakeDefault(way="region", strength=0.9, add_negative="text, letters, watermark"),
    Reason.TEXT_WRONG: RetakeDefault(way="region", strength=0.8),
    Reason.OFF_BRAND: RetakeDefault(reference_times=1.3, keep_colour=True),
    Reason.COMPOSITION: RetakeDefault(control_times=1.25),
    Reason.ARTEFACT: RetakeDefault(way="seed"),
    Reason.SEAM: RetakeDefault(seamless="both"),
    Reason.DUPLICATE: RetakeDefault(way="seed"),
    Reason.BRIEF: RetakeDefault(),
}
"""Where nothing of a `change` applies to an image, the panel opens on it all the same, and the person says what."""


def cap_retakes(house: int, manifest: int | None) -> int:
    """Retakes that one line may have: the settings' `max_retakes`, unless the manifest says less."""
    return house if manifest is None else min(house, manifest)


def find_manifest_default(manifest: Mapping[str, Any]) -> dict[Reason, RetakeDefault]:
    """The manifest's own answers; `manifest`: the body of a submission."""
    said = (manifest.get("review") or {}).get("retakes") or {}
    return {Reason(reason): RetakeDefault.model_validate(default) for reason, default in said.items()}


def propose_changes(spec: ImageSpec, own: Mapping[Reason, RetakeDefault]) -> dict[str, dict[str, Any]]:
    """Reason -> {"way", "changes"}: the way, and the fields of schemas.review.Changes that differ from the spec's."""
    return {str(reason): _of(spec, own.get(reason, HOUSE[reason])) for reason in Reason}


def _of(spec: ImageSpec, wanted: RetakeDefault) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if wanted.way == "seed":
        return {"way": wanted.way, "changes": changes}
    # 1. Words
    for name, words in (("prompt", wanted.add_prompt), ("negative_prompt", wanted.add_negative)):
        there = getattr(spec, name)
        if words and words not in there:
            changes[name] = ", ".join(part for part in (there, words) if part)
    # 2. Numbers
    if wanted.strength is not None and (spec.source or wanted.way == "region"):
        changes["strength"] = wanted.strength
    if wanted.guidance_scale is not None:
        changes["guidance_scale"] = wanted.guidance_scale
    if wanted.control_times is not None and spec.controls:
        scale = spec.controls[0].controlnet_conditioning_scale * wanted.control_times
        changes["controlnet_conditioning_scale"] = min(round(scale, 2), 4.0)
    if wanted.reference_times is not None and spec.references:
        changes["reference_scale"] = min(round(spec.references[0].scale * wanted.reference_times, 2), 2.0)
    # 3. Tiling and colour
    if wanted.seamless is not None:
        changes["seamless"] = wanted.seamless.replace("both", "xy")
    if wanted.keep_colour is not None and spec.source:
        changes["keep_colour"] = wanted.keep_colour
    now = {"seamless": spec.seamless, "keep_colour": spec.keep_colour}
    return {"way": wanted.way, "changes": {k: v for k, v in changes.items() if now.get(k) != v}}

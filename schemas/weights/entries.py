"""What a file was found to be -> the fields of its catalogue entry, and an alias. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Any, get_args

from schemas.catalogue import Architecture, Kind
from schemas.weights.folders import Place
from schemas.weights.identity import Identity

ARCHITECTURES = get_args(Architecture)
_KINDS: Mapping[str, Kind] = {"unet": "checkpoint"}
_ARCHITECTURES = {"ssd-1b": "sdxl", "segmind-vega": "sdxl"}
_SIDES = {"sdxl": 1024, "sdxl-refiner": 1024, "sd15": 512}

_UNION = {
    "pose": 0, "depth": 1, "softedge": 2, "hed": 2, "scribble": 2, "canny": 3, "lineart": 3, "mlsd": 3, "normal": 4,
}  # fmt: skip
UNION_MODES = {6: _UNION, 8: _UNION}
"""By the number of conditions: how ControlNet-Union and its ProMax (xinsir) count them; from 5 on they are no types."""

CONTROLS = {
    "canny": ("canny",), "depth": ("depth",), "openpose": ("pose",), "pose": ("pose",), "dwpose": ("pose",),
    "lineart_anime": ("lineart_anime",), "lineart": ("lineart", "lineart_standard"),
    "softedge": ("softedge", "hed", "pidinet"), "hed": ("hed", "softedge"), "scribble": ("scribble",),
    "sketch": ("sketch",), "mlsd": ("mlsd",), "normal": ("normal",), "anyline": ("anyline",), "teed": ("teed",),
    "shuffle": ("shuffle",), "tile": ("tile",), "blur": ("blur",), "recolor": ("recolor",), "seg": ("seg",),
}  # fmt: skip
"""A word in a ControlNet's file name -> control types of a manifest."""

_FEW_STEPS = (
    (re.compile(r"lightning[-_](\d+)[-_]?steps?"), "lightning"),
    (re.compile(r"hyper[-_]sdxl[-_](\d+)[-_]?steps?"), "hyper"),
    (re.compile(r"hyper[-_]sd15[-_](\d+)[-_]?steps?"), "hyper"),
    (re.compile(r"lcm[-_]lora()"), "lcm"),
)
_XL, _OLD = re.compile(r"xl(?![a-z])"), re.compile(r"vae[-_]ft[-_]|kl[-_]f8|840000|560000|sd[-_]?1[-_.]?5|v1[-_]5")


def entry_fields(identity: Identity, place: Place) -> dict[str, Any]:
    """Without `path` and `hub`. Only for an identity without a refusal."""
    kind = _KINDS.get(identity.kind, identity.kind)
    fields: dict[str, Any] = {"kind": kind}
    architecture = _ARCHITECTURES.get(identity.architecture, identity.architecture) or guess_architecture(kind, place)
    if architecture in ARCHITECTURES and kind not in ("upscaler", "image_encoder"):
        fields["architecture"] = architecture
    name = PurePosixPath(place.name).name.lower()
    if kind == "checkpoint":
        fields["size"] = identity.side or _SIDES.get(architecture, 1024)
    elif kind in ("controlnet", "t2i_adapter"):
        modes = UNION_MODES.get(identity.conditions) if identity.layout == "union" else None
        fields |= {"modes": modes} if modes else {"controls": list(list_controls(name))}
    elif kind == "embedding":
        fields["trigger"] = PurePosixPath(place.name).name
    elif kind == "lora":
        for pattern, family in _FEW_STEPS:
            if match := pattern.search(name):
                fields |= {"few_step": family} | ({"steps": [int(match[1])]} if match[1] else {})
                break
    if identity.trigger_words and kind in ("lora", "checkpoint"):
        fields["trigger_words"] = list(identity.trigger_words)
    if identity.licence:
        fields["licence"] = identity.licence
    if identity.title:
        fields["note"] = identity.title
    return {field: value for field, value in fields.items() if value not in ([], "", None)}


def guess_architecture(kind: str, place: Place) -> str:
    """By its name, where keys and metadata do not say it: the autoencoders of SDXL and SD 1.5 have the same keys."""
    text = place.path.as_posix().lower() if kind != "vae" else place.path.name.lower()
    for part in place.path.parts:
        if part.lower() in ("sdxl", "sd-1", "sd1.5", "sd15", "sdxl-refiner"):  # InvokeAI's folders, and many people's
            return {"sdxl": "sdxl", "sdxl-refiner": "sdxl-refiner"}.get(part.lower(), "sd15")
    if kind in ("vae", "lora"):
        name = PurePosixPath(text).name
        return "sdxl" if _XL.search(name) else "sd15" if _OLD.search(name) else ""
    return ""


def list_controls(name: str) -> tuple[str, ...]:
    """The control types that a ControlNet's name tells; none where it tells none."""
    for word, controls in CONTROLS.items():
        if re.search(rf"(?<![a-z]){word}(?![a-z])", name):
            return controls
    return ()


def make_alias(place: Place, kind: str, taken: Collection[str]) -> str:
    """Its name; with its folder, its kind or a number where that is taken. Lower case, stable for the same names."""
    parts = [slug for part in PurePosixPath(place.name).parts if (slug := to_slug(part))] or [kind]
    names = [parts[-1]]
    if len(parts) > 1:
        names.append("/".join(parts[-2:]))
    names.append(f"{kind}/{parts[-1]}".replace("_", "-"))
    names += [f"{parts[-1]}-{number}" for number in range(2, len(taken) + 3)]
    return next(name for name in names if name not in taken)


def to_slug(text: str) -> str:
    """Letters, digits and points in lower case, with hyphens between."""
    return re.sub(r"[^\w.]+|_+", "-", text.lower()).strip("-.")
